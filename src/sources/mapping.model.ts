import type { EventType, JsonValue } from '../events/event.model.js';
import type { ColumnCleaning, Dedupe } from './cleaning.model.js';
import type { Encoding } from './decode-text.js';
import type { LoadExpectation } from './load-expectation.model.js';
import type { RowExpression } from './mapping-expression.js';
import type { TimeFormat } from './mapping-time.js';
import type { ColumnType, Transform } from './mapping-value.js';
import type { FileFormat } from './row.model.js';
import type { WarehouseQuery } from './warehouse/warehouse.model.js';

/** The value of a column, changed and converted. An empty one is absent, unless there is a default. */
export interface ColumnValue {
  readonly kind: 'column';
  readonly column: string;
  /** Null: as the mapping's `columns` say; else CSV text, or the JSON value as it is. */
  readonly type: ColumnType | null;
  /** Applied to the text before it is converted, in this order. */
  readonly transforms: readonly Transform[];
  readonly fallback: JsonValue | null;
}

export interface ConstantValue {
  readonly kind: 'constant';
  readonly value: JsonValue;
}

/** What no other row has: the hash of its file, and its number. */
export interface RowIdValue {
  readonly kind: 'row';
}

/** Computed on the row; of a group on its first row. */
export interface ComputedValue {
  readonly kind: 'computed';
  readonly expression: RowExpression;
}

/** Over all lines of a group; rounded to micro-units, as features count sums. */
export interface SumValue {
  readonly kind: 'sum';
  readonly expression: RowExpression;
}

/** Lines of a group; with a condition: those for which it holds. */
export interface CountValue {
  readonly kind: 'count';
  readonly condition: RowExpression | null;
}

export type RowValue = ColumnValue | ConstantValue | ComputedValue | RowIdValue;
export type FieldValue = RowValue | SumValue | CountValue;

export interface NamedValue<V> {
  readonly name: string;
  readonly value: V;
}

/** A constant, the text of a column, or the first case whose condition holds (null: always). */
export type Choice<T extends string> =
  | { readonly kind: 'constant'; readonly value: T }
  | { readonly kind: 'column'; readonly column: string }
  | { readonly kind: 'switch'; readonly cases: readonly { readonly when: RowExpression | null; readonly value: T }[] };

/** A pattern such as `{InvoiceNo}-{Line}`: text and columns in turn. */
export type KeyTemplate = readonly ({ readonly text: string } | { readonly column: string })[];

export interface Grouping {
  readonly by: readonly string[];
  /** A group closes once this many rows have passed without one of it. */
  readonly withinRows: number;
  readonly lines: {
    /** The property that holds the list. */
    readonly path: string;
    readonly fields: readonly NamedValue<RowValue>[];
    /** Lines kept in the list; sums and counts are over all of them. */
    readonly most: number;
  } | null;
}

/** Stop when more than `rows` rows or groups, and more than this share of them, were refused. */
export interface ErrorLimit {
  readonly rows: number;
  /** 0…1 */
  readonly share: number;
}

export const DEFAULT_ERROR_LIMIT: ErrorLimit = { rows: 1_000, share: 0.1 };

/** What a mapping file says, checked. How a row becomes an event; pure, knows no file. */
export interface Mapping {
  readonly source: string;
  /** What rows are about, if not people: they become records of that entity, not events. Null: people. */
  readonly entity: string | null;
  /** Where rows come from if no file is named; null: a file must be. */
  readonly from: WarehouseQuery | null;
  readonly format: FileFormat;
  readonly encoding: Encoding;
  readonly delimiter: string;
  readonly header: readonly string[] | null;
  /** Cell texts that mean "no value", besides the empty one. */
  readonly nulls: readonly string[];
  readonly columnTypes: ReadonlyMap<string, ColumnType>;
  /** In the order of the mapping. */
  readonly cleaning: readonly ColumnCleaning[];
  readonly dedupe: Dedupe | null;
  readonly group: Grouping | null;
  readonly key: KeyTemplate | null;
  readonly when: RowExpression | null;
  readonly time: (TimeFormat & { readonly column: string }) | null;
  readonly identifiers: readonly NamedValue<ColumnValue | RowIdValue>[];
  readonly type: Choice<EventType>;
  readonly name: Choice<string> | null;
  readonly groupId: ColumnValue | null;
  readonly properties: readonly NamedValue<FieldValue>[];
  readonly traits: readonly NamedValue<FieldValue>[];
  readonly context: readonly NamedValue<FieldValue>[];
  /** What the person says of purposes, by their keys. */
  readonly consents: readonly NamedValue<RowValue>[];
  readonly errorLimit: ErrorLimit | null;
  /** What is expected of the events of a whole file. */
  readonly expectations: readonly LoadExpectation[];
  /** What the file says, as JSON: without its comments and layout, and parsed to the same mapping again. */
  readonly text: string;
  /** SHA-256 of what the file says of events, without its comments, layout, and what it expects. */
  readonly hash: string;
}

export const MAPPING_LIMITS = {
  maxFileBytes: 262_144,
  /** Values, in all lists together. */
  maxValues: 1_000,
  maxWithinRows: 1_000_000,
  maxLines: 10_000,
} as const;

/** Every column that the mapping reads, each once. */
export function columnsOf(mapping: Mapping): string[] {
  const columns = new Set<string>();
  const expression = (found: RowExpression | null): void => {
    for (const column of found?.columns ?? []) columns.add(column);
  };
  const value = (found: FieldValue): void => {
    if (found.kind === 'column') columns.add(found.column);
    else if (found.kind === 'computed' || found.kind === 'sum') expression(found.expression);
    else if (found.kind === 'count') expression(found.condition);
  };
  const choice = (found: Choice<string> | null): void => {
    if (found?.kind === 'column') columns.add(found.column);
    if (found?.kind === 'switch') for (const { when } of found.cases) expression(when);
  };
  for (const column of mapping.group?.by ?? []) columns.add(column);
  for (const field of mapping.group?.lines?.fields ?? []) value(field.value);
  for (const part of mapping.key ?? []) if ('column' in part) columns.add(part.column);
  expression(mapping.when);
  if (mapping.time !== null) columns.add(mapping.time.column);
  if (mapping.groupId !== null) value(mapping.groupId);
  choice(mapping.type);
  choice(mapping.name);
  for (const list of [mapping.identifiers, mapping.properties, mapping.traits, mapping.context, mapping.consents]) {
    for (const field of list) value(field.value);
  }
  for (const column of mapping.columnTypes.keys()) columns.add(column);
  for (const { column } of mapping.cleaning) columns.add(column);
  for (const column of mapping.dedupe?.by ?? []) columns.add(column);
  return [...columns];
}
