import type { JsonValue } from '../../events/event.model.js';
import { convert, ValueFault, type ColumnType } from '../mapping-value.js';
import { inferTime, type InferredTime } from './infer-time.js';
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
/** Of the values that are there: so many make a column what they are. */
const MOST = 0.98;
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
  /** Texts with spaces around them. */
  readonly isPadded: boolean;
  readonly nulls: readonly string[];
  /** Rows that have a value, of those in the sample. */
  readonly filled: number;
  readonly rows: number;
  readonly distinct: number;
}

export function profileColumn(name: string, { rows, format }: FileSample): ColumnProfile {
  const values: JsonValue[] = [];
  for (const row of rows) {
    const value = row.get(name);
    if (value !== undefined && value !== null && value !== '') values.push(value);
  }
  const texts = values.map((value) => (typeof value === 'object' ? JSON.stringify(value) : String(value)));
  const trimmed = texts.map((text) => text.trim());
  const kindOf = (given: readonly string[]) => (format === 'csv' ? textKind(name, given) : recordKind(values, given));
  const likely = trimmed.filter((text) => text !== '' && !NULL_LIKE.has(text));
  const kind = likely.length === 0 ? NO_KIND : kindOf(likely);
  const isText = kind.type === 'string' && kind.time === null;
  const nullTexts = isText ? NULL_TEXTS : NULL_LIKE;
  const isNull = (text: string): boolean => nullTexts.has(text);
  const there = texts.filter((text) => text.trim() !== '' && !isNull(text.trim()));
  return {
    name,
    ...kind,
    isEmail: kind.type === 'string' && share(likely, (text) => EMAIL.test(text)) >= MOST_EMAILS,
    isId: ID_NAME.test(name),
    isPadded: isText && there.some((text) => text !== text.trim()),
    nulls: [...new Set(texts.filter((text) => isNull(text.trim())))].sort(),
    filled: there.length,
    rows: rows.length,
    distinct: new Set(there).size,
  };
}

type Kind = Pick<ColumnProfile, 'type' | 'time' | 'isWrittenAsDecimal'>;
const NO_KIND: Kind = { type: 'string', time: null, isWrittenAsDecimal: false };

function textKind(name: string, texts: readonly string[]): Kind {
  const all = (fits: (text: string) => boolean): boolean => share(texts, fits) >= MOST;
  if (ID_NAME.test(name) && all((text) => WRITTEN_AS_DECIMAL.test(text)))
    return { ...NO_KIND, isWrittenAsDecimal: true };
  const time = inferTime(name, texts);
  if (time !== null) return { ...NO_KIND, time };
  if (CODE_NAME.test(name) || ID_NAME.test(name)) return NO_KIND;
  if (all((text) => INTEGER.test(text))) return { ...NO_KIND, type: 'int' };
  if (all((text) => DECIMAL.test(text) && !/^[+-]?0\d/.test(text))) return { ...NO_KIND, type: 'double' };
  const words = new Set(texts.map((text) => text.toLowerCase()));
  if (BOOLEANS.some((pair) => words.size <= 2 && [...words].every((word) => pair.includes(word)))) {
    return { ...NO_KIND, type: 'bool' };
  }
  const isJson = all((text) => JSON_VALUE.test(text) && !(convert(text, 'json') instanceof ValueFault));
  return isJson ? { ...NO_KIND, type: 'json' } : NO_KIND;
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
