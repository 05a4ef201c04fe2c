import type { KnownAsOf } from '../features/training-set.model.js';
import { WeftError } from '../platform/errors.js';
import { parseTimestamp } from './parse-timestamp.js';

/**
 * What may be known, as `now`, `event-time` or an instant.
 * @param where the argument that says it
 * @throws WeftError BAD_REQUEST
 */
export function parseKnownAsOf(text: string, where: string): KnownAsOf {
  if (text === 'now' || text === 'event-time') return text;
  const ms = parseTimestamp(text);
  if (!Number.isNaN(ms)) return ms;
  throw new WeftError('BAD_REQUEST', `"${text.slice(0, 50)}" is no time`, {
    where,
    hint: 'write now, event-time, or ISO 8601 such as 2026-01-31T12:00:00Z',
  });
}
