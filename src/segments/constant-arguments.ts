import type { ASTNode } from '@marcbachmann/cel-js';
import { durationMs, durationText, nearDuration } from '../platform/duration.js';
import { MAX_WINDOW_MS, MIN_WINDOW_MS } from '../features/stream.model.js';
import type { CheckContext } from './check-context.js';

const MAX_EVENT_NAME_LENGTH = 200;
const VALUE_PATH = /^(properties|traits|context)(\.[A-Za-z_][A-Za-z0-9_-]{0,99}){1,8}$/;

const DURATION_HINT = 'durations are written as 30s, 5m, 24h or 90d';

/** Constant text of an argument. Features must be known when the segment is saved, so names cannot be computed. */
export function constantText(c: CheckContext, node: ASTNode, what: string): string {
  if (node.op === 'value' && typeof node.args === 'string') return node.args;
  return c.fail(node, `${what} must be constant text in quotes`, quotedHint(node));
}

export function eventName(c: CheckContext, node: ASTNode): string {
  const name = constantText(c, node, 'the name of the event');
  if (name !== '' && name.length <= MAX_EVENT_NAME_LENGTH) return name;
  return c.fail(node, `an event's name has 1 to ${String(MAX_EVENT_NAME_LENGTH)} characters`);
}

function quotedHint(node: ASTNode): string {
  if (node.op === 'id') return `write "${node.args}"`;
  return 'it cannot be computed: features are made when the segment is saved';
}

/** Positive milliseconds of a duration such as `24h`. */
export function durationOf(c: CheckContext, node: ASTNode, text: string): number {
  let ms: number;
  try {
    ms = durationMs(text);
  } catch {
    const near = nearDuration(text);
    return c.fail(node, `"${text}" is not a duration`, near === undefined ? DURATION_HINT : `write "${near}"`);
  }
  return ms > 0 ? ms : c.fail(node, 'a duration must be more than zero', DURATION_HINT);
}

/** For a number where a duration belongs. */
export function durationHint(n: number | bigint): string {
  const number = String(n);
  return `write the unit, too: "${number}d" for days, "${number}h" for hours, "${number}m" for minutes`;
}

export function windowOf(c: CheckContext, node: ASTNode): number {
  if (node.op === 'value' && (typeof node.args === 'bigint' || typeof node.args === 'number')) {
    return c.fail(node, 'the window must be constant text in quotes', durationHint(node.args));
  }
  return durationOf(c, node, constantText(c, node, 'the window'));
}

/** Window of an aggregate kept in tiles. */
export function tiledWindowOf(c: CheckContext, node: ASTNode): number {
  const ms = windowOf(c, node);
  if (ms < MIN_WINDOW_MS) {
    c.fail(
      node,
      `the window must be at least ${durationText(MIN_WINDOW_MS)}`,
      'a count compared with less than 32 may be shorter',
    );
  }
  if (ms > MAX_WINDOW_MS) {
    c.fail(node, `the window must be at most ${durationText(MAX_WINDOW_MS)}`, 'leave the window out for a lifetime');
  }
  return ms;
}

/** Dotted path of the value that is aggregated, as `properties.total`. */
export function valuePath(c: CheckContext, node: ASTNode): string {
  const path = constantText(c, node, 'the value');
  if (VALUE_PATH.test(path)) return path;
  const isName = /^[A-Za-z_][A-Za-z0-9_-]*$/.test(path);
  const hint = isName ? `write "properties.${path}"` : 'write it as "properties.total"';
  return c.fail(node, `"${path}" is not the path of a value`, hint);
}
