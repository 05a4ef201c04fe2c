import type { JsonValue } from '../../events/event.model.js';
import { plainNumber } from '../clean-rows.js';
import { DECIMAL_MARKS, type DecimalMark } from '../cleaning.model.js';
import { compileTime } from '../mapping-time.js';
import { convert, ValueFault, type ColumnType } from '../mapping-value.js';
import { inferTime, type InferredTime } from './infer-time.js';
import { areMistakes, nearlyAll } from './nearly-all.js';
import type { FileSample } from './read-sample.js';

/** Texts that stand for "no value" wherever they are. */
const NULL_TEXTS = new Set(['null', 'NULL', 'Null', '\\N', 'N/A', 'n/a', '#N/A', 'NaN', 'nan', 'None', '<NA>', 'NA']);
/** Of these, in a column of numbers or times only: in one of texts they may be words. */
const NULL_LIKE = new Set([...NULL_TEXTS, '-', '--', '?', 'unknown', 'none', 'nil', 'missing']);
/** Numbers by name that are not counted with, and may begin with a zero. */
const CODE_NAME =
  /(?:^|[_\s])(?:zip|postal|postcode|post_code|plz|phone|mobile|tel|fax|iban|ssn|sku|isbn|ean)|birth|dob/i;
const ID_NAME = /(?:^|[_\s-])(?:id|uuid|guid|key|no|nr|number|code)$|(?:Id|ID|No|Nr|Number|Key|Code)$/;
const INTEGER = /^[+-]?(?:0|[1-9]\d{0,14})$/;
const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?$/;
const WRITTEN_AS_DECIMAL = /^[1-9]\d*\.0$/;
const BOOLEANS = [
  ['true', 'false'],
  ['yes', 'no'],
  ['y', 'n'],
  ['t', 'f'],
];
const EMAIL = /^[^@\s]{1,64}@[^@\s]+\.[^@\s.]{2,}$/;
const JSON_VALUE = /^\s*[[{]/;
/** `1,234`: a thousand and more, or one and some. */
const GROUPS_OF_THREE = /^\s*[+-]?\d{1,3}(?:,\d{3})+\s*$/;
/** Rows whose values do not fit that are named. */
const MAX_NAMED_ROWS = 5;
const MOST_EMAILS = 0.8;

/** What the values of a column are like, in a sample. */
export interface ColumnProfile {
  readonly name: string;
  readonly type: ColumnType;
  readonly time: InferredTime | null;
  readonly isEmail: boolean;
  readonly isId: boolean;
  /** Whole numbers that a spreadsheet or pandas wrote as `17850.0`. */
  readonly isWrittenAsDecimal: boolean;
  /** How its numbers are written, where not as numbers of programs; null: as they are, or it has none. */
  readonly decimal: DecimalMark | null;
  /** Whether they could be read with the other mark as well. */
  readonly isDecimalUncertain: boolean;
  /** Values that are not of the type: rows that would be refused, where the column is used. */
  readonly misfits: Misfits;
  /** Texts with spaces around them. */
  readonly isPadded: boolean;
  readonly nulls: readonly string[];
  /** Rows that have a value, of those in the sample. */
  readonly filled: number;
  readonly rows: number;
  readonly distinct: number;
}

export interface Misfits {
  readonly count: number;
  /** Numbers of the first of their rows, of those that are known. */
  readonly rows: readonly number[];
}

export function profileColumn(name: string, sample: FileSample): ColumnProfile {
  const { rows, format, delimiter } = sample;
  const values: JsonValue[] = [];
  for (const row of rows) {
    const value = row.get(name);
    if (value !== undefined && value !== null && value !== '') values.push(value);
  }
  const texts = values.map((value) => (typeof value === 'object' ? JSON.stringify(value) : String(value)));
  const trimmed = texts.map((text) => text.trim());
  const kindOf = (given: readonly string[]) =>
    format === 'csv' ? textKind(name, given, delimiter) : recordKind(values, given);
  const likely = trimmed.filter((text) => text !== '' && !NULL_LIKE.has(text));
  const kind = likely.length === 0 ? NO_KIND : kindOf(likely);
  const isText = kind.type === 'string' && kind.time === null;
  const nullTexts = isText ? NULL_TEXTS : NULL_LIKE;
  const isNull = (text: string): boolean => nullTexts.has(text);
  const there = texts.filter((text) => text.trim() !== '' && !isNull(text.trim()));
  return {
    name,
    ...kind,
    misfits: format === 'csv' ? misfitsOf(name, kind, nullTexts, sample) : NO_MISFITS,
    isEmail: kind.type === 'string' && share(likely, (text) => EMAIL.test(text)) >= MOST_EMAILS,
    isId: ID_NAME.test(name),
    isPadded: isText && there.some((text) => text !== text.trim()),
    nulls: [...new Set(texts.filter((text) => isNull(text.trim())))].sort(),
    filled: there.length,
    rows: rows.length,
    distinct: new Set(there).size,
  };
}

type Kind = Pick<ColumnProfile, 'type' | 'time' | 'isWrittenAsDecimal' | 'decimal' | 'isDecimalUncertain'>;
const NO_KIND: Kind = {
  type: 'string',
  time: null,
  isWrittenAsDecimal: false,
  decimal: null,
  isDecimalUncertain: false,
};
const NO_MISFITS: Misfits = { count: 0, rows: [] };

function textKind(name: string, texts: readonly string[], delimiter: string): Kind {
  const all = (fits: (text: string) => boolean): boolean => nearlyAll(texts, fits);
  if (ID_NAME.test(name) && all((text) => WRITTEN_AS_DECIMAL.test(text)))
    return { ...NO_KIND, isWrittenAsDecimal: true };
  const time = inferTime(name, texts);
  if (time !== null) return { ...NO_KIND, time };
  if (CODE_NAME.test(name) || ID_NAME.test(name)) return NO_KIND;
  const number = numberKind(texts, delimiter);
  if (number !== null) return number;
  if (BOOLEANS.some((pair) => all((text) => pair.includes(text.toLowerCase())))) return { ...NO_KIND, type: 'bool' };
  const isJson = all((text) => JSON_VALUE.test(text) && !(convert(text, 'json') instanceof ValueFault));
  return isJson ? { ...NO_KIND, type: 'json' } : NO_KIND;
}

/** Numbers as programs write them, with decimal commas, or with commas between thousands: what most texts are. */
function numberKind(texts: readonly string[], delimiter: string): Kind | null {
  const misfitsOfReading = (mark: DecimalMark | null): number =>
    texts.reduce((count, text) => (isNumber(plain(text, mark)) ? count : count + 1), 0);
  let [decimal, misfits]: [DecimalMark | null, number] = [null, misfitsOfReading(null)];
  let isDecimalUncertain = false;
  if (texts.some((text) => text.includes(','))) {
    // Where both marks fit, as in 1,234: cells that a semicolon parts are of where decimals have a comma.
    const marks = delimiter === ';' ? DECIMAL_MARKS : DECIMAL_MARKS.toReversed();
    for (const mark of marks) {
      const found = misfitsOfReading(mark);
      if (decimal !== null && found === misfits) {
        isDecimalUncertain = texts.every((text) => !text.includes(',') || GROUPS_OF_THREE.test(text));
      }
      if (found < misfits) [decimal, misfits] = [mark, found];
    }
  }
  if (!areMistakes(misfits, texts.length)) return null;
  const numbers = texts.map((text) => plain(text, decimal)).filter(isNumber);
  const type = numbers.every((text) => INTEGER.test(text)) ? 'int' : 'double';
  return { ...NO_KIND, type, decimal, isDecimalUncertain };
}

function plain(text: string, mark: DecimalMark | null): string {
  return mark === null ? text : plainNumber(text, mark);
}

/** A zero at the front is of a code. */
function isNumber(text: string): boolean {
  return INTEGER.test(text) || (DECIMAL.test(text) && !/^[+-]?0\d/.test(text));
}

/** Values of a column that are not what the column is. */
function misfitsOf(
  name: string,
  { type, time, decimal }: Kind,
  nulls: ReadonlySet<string>,
  { rows, headNumbers }: FileSample,
): Misfits {
  if (type === 'string' && time === null) return NO_MISFITS;
  const readTime = time === null ? null : compileTime({ format: time.format, zone: 'UTC' });
  let count = 0;
  const numbers: number[] = [];
  for (const [i, row] of rows.entries()) {
    const value = row.get(name);
    if (typeof value !== 'string' || value.trim() === '' || nulls.has(value.trim())) continue;
    const isMisfit =
      readTime === null
        ? convert(plain(value, decimal), type) instanceof ValueFault
        : Number.isNaN(readTime(value.trim()));
    if (!isMisfit) continue;
    count++;
    const number = headNumbers[i];
    if (number !== undefined && numbers.length < MAX_NAMED_ROWS) numbers.push(number);
  }
  return count === 0 ? NO_MISFITS : { count, rows: numbers };
}

/** Records keep their own types; only what times look like is told. */
function recordKind(values: readonly JsonValue[], texts: readonly string[]): Kind {
  const isOf = (type: string): boolean => values.every((value) => typeof value === type);
  if (isOf('object')) return { ...NO_KIND, type: 'json' };
  if (isOf('boolean')) return { ...NO_KIND, type: 'bool' };
  const time = inferTime('', texts);
  if (!isOf('number')) return { ...NO_KIND, time };
  return { ...NO_KIND, type: values.every((value) => Number.isInteger(value)) ? 'int' : 'double' };
}

function share(texts: readonly string[], fits: (text: string) => boolean): number {
  return texts.length === 0 ? 0 : texts.filter(fits).length / texts.length;
}
