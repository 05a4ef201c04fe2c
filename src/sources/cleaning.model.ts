import type { RE2JS } from 're2js';

export const LETTER_CASES = ['lower', 'upper', 'title'] as const;
export type LetterCase = (typeof LETTER_CASES)[number];

/** What stands before the decimals of a number: `1.250,50` has a comma, `1,250.50` a point. */
export const DECIMAL_MARKS = ['comma', 'point'] as const;
export type DecimalMark = (typeof DECIMAL_MARKS)[number];

/** What becomes of a value that a rule does not allow: its row is refused, it counts as none, or the event is marked. */
export const INVALID_POLICIES = ['refuse', 'null', 'flag'] as const;
export type InvalidPolicy = (typeof INVALID_POLICIES)[number];

/** What a value must be. All but `required` are asked of values that are there. */
export interface ValueRules {
  readonly required: boolean;
  /** Within the load, among the last million different values. */
  readonly unique: boolean;
  /** Of the whole value; RE2, in time linear in its length. */
  readonly pattern: RE2JS | null;
  readonly min: number | null;
  readonly max: number | null;
  readonly oneOf: ReadonlySet<string> | null;
  readonly otherwise: InvalidPolicy;
}

/** What is done to the values of a column before anything reads them, in the order of these fields. */
export interface ColumnCleaning {
  readonly column: string;
  readonly trim: boolean;
  readonly letterCase: LetterCase | null;
  /** How numbers are written, which may have their thousands parted; other texts stay as they are. */
  readonly decimal: DecimalMark | null;
  readonly table: ReadonlyMap<string, string> | null;
  /** For a value that is not there: another one, or that of the row before. */
  readonly impute: { readonly value: string } | 'previous' | null;
  readonly rules: ValueRules | null;
}

/** Rows with equal values here are one row, if no more than so many rows are between. */
export interface Dedupe {
  readonly by: readonly string[];
  readonly keep: 'first' | 'last';
  readonly withinRows: number;
}

export const CLEANING_LIMITS = {
  maxTableEntries: 10_000,
  maxWithinRows: 1_000_000,
  defaultWithinRows: 100_000,
  maxUniqueValues: 1_000_000,
} as const;
