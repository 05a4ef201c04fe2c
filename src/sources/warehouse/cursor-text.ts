import type { CursorKind, Overlap } from './warehouse.model.js';

const DAY_MS = 86_400_000;
/** The first instant of the year 1, ms: what calendars of warehouses begin with. */
const FIRST_MS = -62_135_596_800_000;
const INT64_MIN = -(2n ** 63n);

/**
 * Texts of a cursor of one column: `yyyy-MM-dd`; `yyyy-MM-ddTHH:mm:ss.f…` with or without `Z`, all with as many digits of
 * a second; whole numbers; decimals.
 */
export function greaterCursor(kind: CursorKind, a: string, b: string): string {
  return isLess(kind, a, b) ? b : a;
}

/** Less than 0, 0 or more than 0 is not asked for: only which is less. */
function isLess(kind: CursorKind, a: string, b: string): boolean {
  // Texts of times of one width are ordered as their times.
  if (kind === 'time') return a < b;
  const [x, y] = scaled(a, b);
  return x < y;
}

/**
 * A time that is not later than the clock of the store; other cursors as they are.
 * @param nowMs the clock of the store, ms
 */
export function notAhead(kind: CursorKind, text: string, nowMs: number): string {
  if (kind !== 'time') return text;
  const now = timeText(nowMs, '000', text);
  return now < text ? now : text;
}

/** The place that lies the overlap before a text of a cursor: rows from there on are read again. */
export function earlierCursor(kind: CursorKind, text: string, overlap: Overlap): string {
  if (overlap.kind === 'time') return earlierTime(text, overlap.ms);
  const fraction = /\.(\d+)$/.exec(text)?.[1]?.length ?? 0;
  const [value, one] = scaled(text, fraction === 0 ? '1' : `1.${'0'.repeat(fraction)}`);
  const less = value - one * BigInt(overlap.count);
  if (kind === 'integer') return String(less < INT64_MIN ? INT64_MIN : less);
  return unscaled(less, fraction);
}

function earlierTime(text: string, ms: number): string {
  if (isDate(text)) return timeText(Date.parse(text) - Math.ceil(ms / DAY_MS) * DAY_MS, '', text);
  const [, second = '', fraction = ''] = /^([^.Z]+)(?:\.(\d+))?/.exec(text) ?? [];
  const wholeMs = Date.parse(`${second}.${fraction.slice(0, 3).padEnd(3, '0')}Z`);
  return timeText(wholeMs - ms, fraction.slice(3), text);
}

/** @param below digits of the second below the ms, cut to the width of `like` */
function timeText(ms: number, below: string, like: string): string {
  const iso = new Date(Math.max(ms, FIRST_MS)).toISOString();
  if (isDate(like)) return iso.slice(0, 10);
  const digits = /\.(\d+)/.exec(like)?.[1]?.length ?? 0;
  const fraction = digits === 0 ? '' : `.${(iso.slice(20, 23) + below).padEnd(digits, '0').slice(0, digits)}`;
  return `${iso.slice(0, 19)}${fraction}${like.endsWith('Z') ? 'Z' : ''}`;
}

function isDate(text: string): boolean {
  return text.length === 10;
}

/** Two decimals as whole numbers of one scale. */
function scaled(a: string, b: string): [bigint, bigint] {
  const places = Math.max(placesOf(a), placesOf(b));
  const whole = (text: string): bigint => BigInt(text.replace('.', '') + '0'.repeat(places - placesOf(text)));
  return [whole(a), whole(b)];
}

function placesOf(text: string): number {
  const point = text.indexOf('.');
  return point < 0 ? 0 : text.length - point - 1;
}

function unscaled(value: bigint, places: number): string {
  if (places === 0) return String(value);
  const digits = String(value < 0n ? -value : value).padStart(places + 1, '0');
  return `${value < 0n ? '-' : ''}${digits.slice(0, -places)}.${digits.slice(-places)}`;
}
