/** Date, or date and time, as in ISO 8601; zone optional. Seconds may have up to nine decimals. */
const ISO = /^(\d{4}-\d{2}-(\d{2}))(?:[T ](\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?)(Z|[+-]\d{2}(?::?\d{2})?)?)?$/i;

const MINUTE_MS = 60_000;
const MAX_LENGTH = 40;
/** The shortest month: only later days can be ones that do not exist, which `Date.parse` moves into the next month. */
const SAFE_DAY = 28;

/**
 * A point in time as ms: ISO 8601 text (UTC where it names no zone, so that a server's own zone never shows) or a number
 * of ms. NaN for anything else; `Date.parse` alone takes a good deal that is no time.
 */
export function parseTimestamp(value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string' || value.length > MAX_LENGTH) return Number.NaN;
  const match = ISO.exec(value);
  if (match === null) return Number.NaN;
  const [, date = '', day = '', time = '00:00', zone = 'Z'] = match;
  const asUtcMs = Date.parse(`${date}T${time.replace(',', '.')}Z`);
  if (Number(day) > SAFE_DAY && !isDay(asUtcMs, Number(day), time)) return Number.NaN;
  return asUtcMs - offsetMinutes(zone) * MINUTE_MS;
}

/** 24:00 is midnight of the next day, by ISO 8601 and by `Date.parse`. */
function isDay(ms: number, day: number, time: string): boolean {
  return new Date(time.startsWith('24') ? ms - MINUTE_MS : ms).getUTCDate() === day;
}

/** Of `Z`, `+02`, `+0200` or `+02:00`. NaN for hours and minutes that no clock shows. */
function offsetMinutes(zone: string): number {
  if (zone.length === 1) return 0;
  const digits = zone.slice(1).replace(':', '');
  const hours = Number(digits.slice(0, 2));
  const minutes = Number(digits.slice(2));
  if (hours > 23 || minutes > 59) return Number.NaN;
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes);
}
