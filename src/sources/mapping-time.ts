import { parseInstant, type InstantPolicy } from '../platform/instant.js';
import { ZoneOffsets } from '../platform/zone-offsets.js';

/**
 * How times are written: `iso` (ISO 8601 dates and times), `epoch_s`, `epoch_ms`, or a pattern of the letters of
 * Unicode LDML: `yyyy yy MMM MM M dd d HH H hh h a mm m ss s S… XXX`, others literal, letters in 'quotes'.
 */
export interface TimeFormat {
  readonly format: string;
  /** IANA zone, `UTC` or `±hh:mm`; for times that carry no offset themselves. */
  readonly zone: string;
}

/** Reads one time; ms UTC, NaN where it is not written in the format or does not exist in the calendar. */
export type TimeReader = (text: string) => number;

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const TOKEN = /yyyy|yy|MMM|MM|M|dd|d|HH|H|hh|h|mm|m|ss|s|S+|a|XXX|'(?:[^']|'')*'|[A-Za-z]|[^A-Za-z']+/g;
const NUMBER = /^-?\d+(?:\.\d+)?$/;
const DATE_LETTERS = [
  ['y', 'year'],
  ['M', 'month'],
  ['d', 'day'],
] as const;
const MINUTE_MS = 60_000;

/** @throws RangeError where the format or the zone is not known; the message says which. */
export function compileTime(time: TimeFormat): TimeReader {
  if (time.format === 'epoch_s') return (text) => (NUMBER.test(text) ? Math.round(Number(text) * 1_000) : Number.NaN);
  if (time.format === 'epoch_ms') return (text) => (NUMBER.test(text) ? Math.round(Number(text)) : Number.NaN);
  const zone = new ZoneOffsets(time.zone);
  if (time.format === 'iso') return isoReader(zone);
  const steps = compilePattern(time.format);
  const scan = new Scan();
  return (text) => {
    scan.reset(text);
    for (const step of steps) if (!step(scan)) return Number.NaN;
    return scan.at === text.length ? scan.toUtc(zone) : Number.NaN;
  };
}

/** Position in a text and the calendar fields read so far. Reused between texts. */
class Scan {
  text = '';
  at = 0;
  year = 0;
  month = 1;
  day = 1;
  hour = 0;
  minute = 0;
  second = 0;
  millisecond = 0;
  afternoon: boolean | null = null;
  /** Minutes east of UTC; null: not written, the zone decides. */
  offsetMinutes: number | null = null;

  reset(text: string): void {
    this.text = text;
    this.at = 0;
    this.year = 0;
    this.month = 1;
    this.day = 1;
    this.hour = 0;
    this.minute = 0;
    this.second = 0;
    this.millisecond = 0;
    this.afternoon = null;
    this.offsetMinutes = null;
  }

  /** Reads `least` to `most` digits; -1 where there are fewer. */
  digits(least: number, most: number): number {
    let value = 0;
    const from = this.at;
    while (this.at - from < most) {
      const digit = this.text.charCodeAt(this.at) - 48;
      if (!(digit >= 0 && digit <= 9)) break;
      value = value * 10 + digit;
      this.at++;
    }
    return this.at - from < least ? -1 : value;
  }

  /** Digits after a decimal point, to whole milliseconds; further ones are cut. */
  fraction(): boolean {
    const from = this.at;
    const value = this.digits(1, 3);
    if (value < 0) return false;
    this.millisecond = value * (this.at - from === 1 ? 100 : this.at - from === 2 ? 10 : 1);
    while (this.at - from < 9 && this.digits(1, 1) >= 0);
    return true;
  }

  /** `Z`, `±hh`, `±hhmm` or `±hh:mm`. */
  offset(): boolean {
    const sign = this.text[this.at];
    this.at++;
    if (sign === 'Z' || sign === 'z') {
      this.offsetMinutes = 0;
      return true;
    }
    if (sign !== '+' && sign !== '-') return false;
    const hours = this.digits(2, 2);
    if (this.text[this.at] === ':') this.at++;
    else if (this.at === this.text.length) return this.#setOffset(sign, hours, 0);
    return this.#setOffset(sign, hours, this.digits(2, 2));
  }

  #setOffset(sign: string, hours: number, minutes: number): boolean {
    if (hours < 0 || hours > 18 || minutes < 0 || minutes > 59) return false;
    this.offsetMinutes = (sign === '-' ? -1 : 1) * (hours * 60 + minutes);
    return true;
  }

  toUtc(zone: ZoneOffsets): number {
    const { year, month, day, minute, second } = this;
    let { hour } = this;
    if (this.afternoon !== null) {
      if (hour < 1 || hour > 12) return Number.NaN;
      hour = (hour % 12) + (this.afternoon ? 12 : 0);
    }
    if (year < 1_000 || month < 1 || month > 12 || day < 1 || day > 31) return Number.NaN;
    if (hour > 23 || minute > 59 || second > 59) return Number.NaN;
    const wallMs = Date.UTC(year, month - 1, day, hour, minute, second, this.millisecond);
    if (day > 28 && new Date(wallMs).getUTCDate() !== day) return Number.NaN;
    return this.offsetMinutes === null ? zone.toUtc(wallMs) : wallMs - this.offsetMinutes * MINUTE_MS;
  }
}

/** `yyyy-MM-dd`, with `T` or a space and `HH:mm`, `:ss`, a fraction and an offset if there are any. */
function isoReader(zone: ZoneOffsets): TimeReader {
  const toUtc = (wallMs: number): number => zone.toUtc(wallMs);
  const policy: InstantPolicy = { date: toUtc, time: toUtc };
  // Years before 1000 are typing errors, here as in patterns.
  return (text) => (text.startsWith('0') ? Number.NaN : parseInstant(text, policy));
}

type Step = (scan: Scan) => boolean;

function compilePattern(pattern: string): Step[] {
  const tokens: readonly string[] = pattern.match(TOKEN) ?? [];
  if (tokens.join('') !== pattern) throw new RangeError('a quote in the pattern is not closed');
  const has = (letter: string): boolean => tokens.some((token) => token.startsWith(letter));
  for (const [letter, what] of DATE_LETTERS) {
    if (!has(letter)) throw new RangeError(`the pattern names no ${what} (${letter})`);
  }
  if (has('h') !== has('a')) {
    throw new RangeError('h (hour 1 to 12) and a (am or pm) go together; use H for hours 0 to 23');
  }
  return tokens.map(compileToken);
}

type NumberField = 'year' | 'month' | 'day' | 'hour' | 'minute' | 'second';
const NUMBER_FIELDS: Readonly<Record<string, NumberField>> = {
  y: 'year',
  M: 'month',
  d: 'day',
  H: 'hour',
  h: 'hour',
  m: 'minute',
  s: 'second',
};

function compileToken(token: string): Step {
  const letter = token[0] ?? '';
  if (token === 'yy') return twoDigitYear;
  if (token === 'MMM') return monthName;
  if (token === 'a') return halfDay;
  if (token === 'XXX') return (scan) => scan.offset();
  if (letter === 'S') return (scan) => scan.fraction();
  const field = NUMBER_FIELDS[letter];
  if (field !== undefined) {
    const least = token.length;
    const most = Math.max(2, least);
    return (scan) => (scan[field] = scan.digits(least, most)) >= 0;
  }
  if (/[A-Za-z]/.test(letter)) {
    throw new RangeError(`"${letter}" means nothing in a time pattern; put literal letters in 'quotes'`);
  }
  const literal = letter === "'" ? (token === "''" ? "'" : token.slice(1, -1).replaceAll("''", "'")) : token;
  return (scan) => {
    if (!scan.text.startsWith(literal, scan.at)) return false;
    scan.at += literal.length;
    return true;
  };
}

/** 69 to 99 are of the twentieth century, as in POSIX strptime. */
function twoDigitYear(scan: Scan): boolean {
  const year = scan.digits(2, 2);
  scan.year = year < 69 ? 2_000 + year : 1_900 + year;
  return year >= 0;
}

function monthName(scan: Scan): boolean {
  scan.month = MONTHS.indexOf(scan.text.slice(scan.at, scan.at + 3).toLowerCase()) + 1;
  scan.at += 3;
  return scan.month > 0;
}

function halfDay(scan: Scan): boolean {
  const text = scan.text.slice(scan.at, scan.at + 2).toLowerCase();
  scan.afternoon = text === 'pm';
  scan.at += 2;
  return text === 'am' || text === 'pm';
}
