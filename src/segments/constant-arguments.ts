import type { ASTNode } from '@marcbachmann/cel-js';
import { durationMs, durationText } from '../features/duration.model.js';
import { MAX_WINDOW_MS, MIN_WINDOW_MS } from '../features/stream.model.js';
import type { CheckContext } from './check-context.js';

const MAX_EVENT_NAME_LENGTH = 200;
const VALUE_PATH = /^(properties|traits|context)(\.[A-Za-z_][A-Za-z0-9_-]{0,99}){1,8}$/;

const DURATION_HINT = 'durations are written as 30s, 5m, 24h or 90d';

/** Constant text of an argument. Features must be known when the segment is saved, so names cannot be computed. */
export function constantText(c: CheckContext, node: ASTNode, what: string): string {
  if (node.op === 'value' && typeof node.args === 'string') return node.args;
  return c.fail(node, `${what} must be constant text in quotes`);
}

export function eventName(c: CheckContext, node: ASTNode): string {
  const name = constantText(c, node, 'the name of the event');
  if (name !== '' && name.length <= MAX_EVENT_NAME_LENGTH) return name;
  return c.fail(node, `an event's name has 1 to ${String(MAX_EVENT_NAME_LENGTH)} characters`);
}

/** Positive milliseconds of a duration such as `24h`. */
export function durationOf(c: CheckContext, node: ASTNode, text: string): number {
  let ms: number;
  try {
    ms = durationMs(text);
  } catch {
    return c.fail(node, `"${text}" is not a duration`, DURATION_HINT);
  }
  return ms > 0 ? ms : c.fail(node, 'a duration must be more than zero', DURATION_HINT);
}

export function windowOf(c: CheckContext, node: ASTNode): number {
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
  return c.fail(node, `"${path}" is not the path of a value`, 'write it as "properties.total"');
}
