import type { ZoneOffsets } from '../platform/zone-offsets.js';
import type { Value } from './expression-values.js';

/** A day that comes round each year. */
export interface CalendarDate {
  /** 1 … 12 */
  readonly month: number;
  /** 1 … 31 */
  readonly day: number;
}

/** A date of ISO 8601, also at the head of a time; or one without a year, as vCard has it (RFC 6350, 4.3.1). */
const DATE = /^(?:(\d{4})-|--)(\d{2})-?(\d{2})(?:$|[T ])/;
/** The furthest instant from 1970 that a date may be at, ms (ECMA-262, time values). */
const MAX_INSTANT_MS = 8.64e15;

/**
 * The day and month of a text, as they are written there, or of an instant in ms, as the wall clock had them; null: it
 * is neither, or there is no such day.
 */
export function calendarDateOf(value: Value, zone: ZoneOffsets): CalendarDate | null {
  if (typeof value === 'number') {
    if (!Number.isFinite(value) || Math.abs(value) >= MAX_INSTANT_MS / 2) return null;
    const wall = new Date(zone.toWall(value));
    return { month: wall.getUTCMonth() + 1, day: wall.getUTCDate() };
  }
  const match = typeof value === 'string' ? DATE.exec(value) : null;
  if (match === null) return null;
  // Without a year it may be 29 February.
  const [year, month, day] = [Number(match[1] ?? 2000), Number(match[2]), Number(match[3])];
  if (month < 1 || month > 12 || day < 1 || day > 31) return null;
  // Other days are in each month.
  if (day > 28 && new Date(Date.UTC(year, month - 1, day)).getUTCDate() !== day) return null;
  return { month, day };
}
