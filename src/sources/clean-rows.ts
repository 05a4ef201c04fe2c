import type { JsonObject, JsonValue } from '../events/event.model.js';
import {
  CLEANING_LIMITS,
  type ColumnCleaning,
  type DecimalMark,
  type LetterCase,
  type ValueRules,
} from './cleaning.model.js';
import type { Mapping } from './mapping.model.js';
import type { SourceRow } from './row.model.js';

const WORDS = /[\p{L}\p{N}]+/gu;
const MAX_QUOTED_LENGTH = 40;

interface Invalid {
  readonly code: 'VALUE_MISSING' | 'NOT_VALID' | 'NOT_UNIQUE';
  readonly reason: string;
}

/**
 * Cleans the values of rows as the mapping says, before anything else reads them. What a row becomes depends on the rows
 * before it where values are imputed from them or must be unique, so a feed is cleaned from its start.
 */
export class RowCleaner {
  readonly #columns: readonly ColumnCleaner[];
  readonly #index: ReadonlyMap<string, number> | null;

  /** @param header the columns of a CSV file; of others it is not used */
  constructor({ cleaning, format, nulls }: Mapping, header: readonly string[] | null) {
    this.#index = format !== 'csv' || header === null ? null : new Map(header.map((name, i) => [name, i]));
    this.#columns = cleaning.map((each) => new ColumnCleaner(each, new Set(nulls)));
  }

  /** A row that cannot be read stays as it is. */
  clean(row: SourceRow): SourceRow {
    if (row.fault !== null) return row;
    const cells = row.cells === null ? null : [...row.cells];
    const record: JsonObject | null = row.record === null ? null : { ...row.record };
    const flags: string[] = [];
    let invalid: Invalid | null = null;
    for (const cleaner of this.#columns) {
      const { column } = cleaner;
      const at = this.#index?.get(column) ?? -1;
      const before = cells === null ? record?.[column] : cells[at];
      const { value, fault } = cleaner.clean(before ?? '');
      if (fault !== null && cleaner.otherwise === 'flag') flags.push(column);
      if (fault !== null && cleaner.otherwise === 'refuse') invalid ??= fault;
      if (cells !== null) cells[at] = typeof value === 'string' ? value : JSON.stringify(value);
      else if (record !== null) record[column] = value === '' ? null : value;
    }
    return {
      ...row,
      cells,
      record,
      asRead: row,
      ...(invalid === null ? undefined : { invalid }),
      ...(flags.length === 0 ? undefined : { flags }),
    };
  }
}

class ColumnCleaner {
  readonly column: string;
  readonly otherwise: ValueRules['otherwise'];
  #previous: JsonValue = '';
  readonly #seen = new RecentValues(CLEANING_LIMITS.maxUniqueValues);

  constructor(
    private readonly cleaning: ColumnCleaning,
    private readonly nulls: ReadonlySet<string>,
  ) {
    this.column = cleaning.column;
    this.otherwise = cleaning.rules?.otherwise ?? 'refuse';
  }

  /** An empty text is no value, as in the file. */
  clean(before: JsonValue): { readonly value: JsonValue; readonly fault: Invalid | null } {
    const { impute, rules } = this.cleaning;
    let value = typeof before === 'string' ? this.#cleanText(before) : this.#mapped(before);
    if (typeof value === 'string' && this.nulls.has(value)) value = '';
    if (value === '' && impute !== null) value = impute === 'previous' ? this.#previous : impute.value;
    const fault = rules === null ? null : this.#check(value, rules);
    if (fault !== null && rules?.otherwise === 'null') return { value: '', fault };
    if (value !== '' && fault === null) this.#previous = value;
    return { value, fault };
  }

  #cleanText(text: string): JsonValue {
    const { trim, letterCase, decimal } = this.cleaning;
    let value = trim ? text.trim() : text;
    if (this.nulls.has(value)) return '';
    if (letterCase !== null) value = APPLY[letterCase](value);
    if (decimal !== null) value = plainNumber(value, decimal);
    return this.#mapped(value);
  }

  #mapped(value: JsonValue): JsonValue {
    if (this.cleaning.table === null || typeof value === 'object') return value;
    return this.cleaning.table.get(String(value)) ?? value;
  }

  #check(value: JsonValue, rules: ValueRules): Invalid | null {
    if (value === '') return rules.required ? this.#invalid('VALUE_MISSING', 'is empty, and must not be') : null;
    const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
    const shown = JSON.stringify(text.slice(0, MAX_QUOTED_LENGTH));
    const why = valueFault(text, rules);
    if (why !== null) return this.#invalid('NOT_VALID', `${shown} ${why}`);
    if (!rules.unique || this.#seen.add(text)) return null;
    return this.#invalid('NOT_UNIQUE', `${shown} is in a row before, and must be unique`);
  }

  #invalid(code: Invalid['code'], why: string): Invalid {
    const separator = code === 'VALUE_MISSING' ? ' ' : ': ';
    return { code, reason: `column "${this.column}"${separator}${why}` };
  }
}

function valueFault(text: string, { pattern, min, max, oneOf }: ValueRules): string | null {
  if (oneOf !== null && !oneOf.has(text)) return 'is none of the values that it may be';
  if (pattern !== null && !pattern.matches(text)) return `does not match ${pattern.pattern()}`;
  if (min === null && max === null) return null;
  const number = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isNaN(number)) return 'is no number';
  if (min !== null && number < min) return `is less than ${String(min)}`;
  return max !== null && number > max ? `is more than ${String(max)}` : null;
}

/** Thousands may be parted by the other mark, a space or an apostrophe. */
const NUMBERS: Readonly<Record<DecimalMark, RegExp>> = {
  comma: /^\s*([+-]?(?:\d{1,3}(?:[.'’\s]\d{3})+|\d+))(?:,(\d+))?\s*$/,
  point: /^\s*([+-]?(?:\d{1,3}(?:[,'’\s]\d{3})+|\d+))(?:\.(\d+))?\s*$/,
};
const BETWEEN_THOUSANDS = /[.,'’\s]/g;

/** `1.250,50` → `1250.50`; a text that is no number of this kind stays as it is. */
export function plainNumber(text: string, mark: DecimalMark): string {
  const [, whole, decimals] = NUMBERS[mark].exec(text) ?? [];
  if (whole === undefined) return text;
  return `${whole.replace(BETWEEN_THOUSANDS, '')}${decimals === undefined ? '' : `.${decimals}`}`;
}

const APPLY: Readonly<Record<LetterCase, (text: string) => string>> = {
  lower: (text) => text.toLowerCase(),
  upper: (text) => text.toUpperCase(),
  title: (text) =>
    text.replace(WORDS, (word) => {
      const [first = ''] = word;
      return first.toUpperCase() + word.slice(first.length).toLowerCase();
    }),
};

/** Remembers at least so many values, the newest, and at most twice as many. */
class RecentValues {
  #young = new Set<string>();
  #old = new Set<string>();

  constructor(private readonly least: number) {}

  /** False where it is remembered already. */
  add(value: string): boolean {
    if (this.#young.has(value) || this.#old.has(value)) return false;
    if (this.#young.size >= this.least) {
      this.#old = this.#young;
      this.#young = new Set();
    }
    this.#young.add(value);
    return true;
  }
}
