import { WeftError } from '../platform/errors.js';

/** `line:column` of an offset into a text, both from 1. */
export function positionOf(source: string, offset: number): string {
  let line = 1;
  let lineStart = 0;
  const end = Math.min(offset, source.length);
  for (let at = source.indexOf('\n'); at !== -1 && at < end; at = source.indexOf('\n', at + 1)) {
    line++;
    lineStart = at + 1;
  }
  return `${String(line)}:${String(end - lineStart + 1)}`;
}

/** A fault in a segment's expression, at an offset into its text. */
export function expressionError(source: string, offset: number, message: string, hint?: string): WeftError {
  const where = positionOf(source, offset);
  return new WeftError('EXPRESSION_INVALID', message, hint === undefined ? { where } : { where, hint });
}
