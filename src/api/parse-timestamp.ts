import { parseInstant, type InstantPolicy } from '../platform/instant.js';

/** UTC where no zone is named, so that a server's own zone never shows. */
const POLICY: InstantPolicy = { date: 'utc', time: 'utc' };

/** A point in time as ms: ISO 8601 text, or a number of ms. NaN for anything else. */
export function parseTimestamp(value: unknown): number {
  if (typeof value === 'number') return value;
  return typeof value === 'string' ? parseInstant(value, POLICY) : Number.NaN;
}
