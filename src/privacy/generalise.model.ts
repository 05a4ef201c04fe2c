import type { JsonValue } from '../events/event.model.js';

/** What stands for a value of which nothing may be told. */
export const ANYTHING = '*';

/** Ways of saying less and less about the values of one column. Level 0 is the value itself, the last is `*` for all. */
export interface Hierarchy {
  readonly kind: 'number' | 'date' | 'text';
  /** The last level. */
  readonly top: number;
  at(value: JsonValue, level: number): string;
}

/** Texts longer than this lose more than a character a level. */
const MAX_PREFIX_LEVELS = 12;
const DATE = /^\d{4}-\d{2}(-\d{2}([T ].*)?)?$/;
const DATE_LENGTHS = [10, 7, 4, 3];

/**
 * The hierarchy that fits all of these values: ranges for numbers, month, year and decade for dates, else prefixes. Digits
 * that came as a text are a code, such as a postcode.
 */
export function hierarchyOf(values: Iterable<JsonValue>): Hierarchy {
  let min = Infinity;
  let max = -Infinity;
  let areNumbers = true;
  let areDates = true;
  let longest = 0;
  for (const value of values) {
    if (value === null) continue;
    const text = textOf(value);
    longest = Math.max(longest, text.length);
    areNumbers &&= typeof value === 'number';
    areDates &&= DATE.test(text);
    if (typeof value === 'number') [min, max] = [Math.min(min, value), Math.max(max, value)];
  }
  if (longest === 0) return textHierarchy(0);
  if (areNumbers) return numberHierarchy(min, max);
  return areDates ? DATES : textHierarchy(longest);
}

/** Ranges of 1, 2, 5, 10, 20, 50, … units, from the finest that joins anything to the one that holds all. */
function numberHierarchy(min: number, max: number): Hierarchy {
  const span = max - min;
  const widths: number[] = [];
  let power = Math.floor(Math.log10(span / 1_000 || 1));
  if (Number.isInteger(min) && Number.isInteger(max)) power = Math.max(0, power);
  for (; widths.length < 40; power++) {
    for (const digit of [1, 2, 5]) {
      const width = digit * 10 ** power;
      if (width <= span) widths.push(width);
    }
    if (10 ** power > span) break;
  }
  const top = widths.length + 1;
  return {
    kind: 'number',
    top,
    at: (value, level) => {
      const width = widths[level - 1];
      if (level >= top) return ANYTHING;
      if (value === null || width === undefined) return textOf(value);
      const bin = Math.floor(Number(value) / width);
      return `${plain(bin * width)}..${plain((bin + 1) * width)}`;
    },
  };
}

const DATES: Hierarchy = {
  kind: 'date',
  top: DATE_LENGTHS.length + 1,
  at: (value, level) => {
    if (level > DATE_LENGTHS.length) return ANYTHING;
    const length = DATE_LENGTHS[level - 1];
    const text = textOf(value);
    if (value === null || length === undefined) return text;
    return length === 3 ? `${text.slice(0, 3)}0s` : text.slice(0, length);
  },
};

/** Prefixes that lose a part of the longest value's length each level. */
function textHierarchy(longest: number): Hierarchy {
  const step = Math.max(1, Math.ceil(longest / MAX_PREFIX_LEVELS));
  const top = Math.max(1, Math.ceil(longest / step));
  return {
    kind: 'text',
    top,
    at: (value, level) => {
      if (level >= top) return ANYTHING;
      const text = textOf(value);
      const kept = longest - level * step;
      return value === null || level === 0 || text.length <= kept ? text : `${text.slice(0, kept)}${ANYTHING}`;
    },
  };
}

export function textOf(value: JsonValue): string {
  if (value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** Without what binary fractions add. */
function plain(value: number): string {
  return String(Number(value.toPrecision(12)));
}
