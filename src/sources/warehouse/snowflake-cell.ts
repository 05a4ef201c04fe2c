import type { JsonValue } from '../../events/event.model.js';
import { parseJsonRow } from '../parse-json-row.js';
import { decimalCell, floatCell } from './number-text.js';
import type { SnowflakeColumn, SnowflakeDate } from './snowflake-client.js';
import type { CursorKind } from './warehouse.model.js';

/** A column of a result. */
export interface SnowflakeField {
  readonly name: string;
  /** Of the wire, as `fixed`, `real` or `timestamp_ntz`. */
  readonly type: string;
  /** Digits after the point of numbers; null: the type has none. */
  readonly scale: number | null;
  /** Whether its parts have types of their own, as of `OBJECT(a NUMBER)` and `MAP(TEXT, NUMBER)`. */
  readonly isStructured: boolean;
}

export function snowflakeField(column: SnowflakeColumn): SnowflakeField {
  const type = column.getType().toLowerCase();
  return {
    name: column.getName(),
    type,
    scale: type === 'fixed' ? column.getScale() : null,
    isStructured: SEMI_STRUCTURED.has(type) && !column.isVariant(),
  };
}

/**
 * What a cell of Snowflake's client becomes in a row, where numbers and `VARIANT` are fetched as texts:
 *
 * - `TIMESTAMP_LTZ`, `TIMESTAMP_TZ`: ISO 8601 with `Z`; `TIMESTAMP_NTZ`: the same without it, so that the zone of the
 *   mapping counts; all with nine digits of a second. `DATE`: `yyyy-MM-dd`
 * - numbers: numbers, decimals the nearest ones. Whole numbers beyond 2^53: their digits as a text
 * - NaN and infinities: null. `BINARY`: Base64. `VARIANT`, `OBJECT`, `ARRAY`: JSON, or the text that they are where it is none
 * - all else: the text that Snowflake writes
 */
export function snowflakeCell({ type }: SnowflakeField): (value: unknown) => JsonValue {
  const read = READERS.get(type) ?? String;
  return (value) => (value === null || value === undefined ? null : read(value));
}

/** The value of a cursor, exact to its last digit; null: the row has none. */
export function snowflakeCursor({ type }: SnowflakeField): (value: unknown) => string | null {
  const text = TIMES.get(type) ?? String;
  return (value) => (value === null || value === undefined ? null : text(value));
}

/** What rows can be read on by. */
export function snowflakeCursorKind({ type, scale }: SnowflakeField): CursorKind | null {
  if (TIMES.has(type)) return 'time';
  if (type !== 'fixed') return null;
  return scale === 0 ? 'integer' : 'decimal';
}

/** The parameter of a statement that a text of a cursor is bound to, as a value of the column's type. */
export function cursorParameter({ type, scale }: SnowflakeField): string {
  switch (type) {
    case 'date':
      return `TO_DATE(?, 'YYYY-MM-DD')`;
    case 'timestamp_ntz':
      return `TO_TIMESTAMP_NTZ(?, '${TIME_FORMAT}')`;
    case 'timestamp_ltz':
      return `TO_TIMESTAMP_LTZ(?, '${TIME_FORMAT}TZH:TZM')`;
    case 'timestamp_tz':
      return `TO_TIMESTAMP_TZ(?, '${TIME_FORMAT}TZH:TZM')`;
    default:
      return `TO_NUMBER(?, 38, ${String(scale ?? 0)})`;
  }
}

/** What is bound: zones are given as offsets. */
export function cursorBind(text: string): string {
  return text.replace(/Z$/, '+00:00');
}

/** As a column is declared, for people. */
export function snowflakeType({ type, scale }: SnowflakeField): string {
  return type === 'fixed' ? `NUMBER(…,${String(scale ?? 0)})` : type.toUpperCase();
}

const TIME_FORMAT = 'YYYY-MM-DD"T"HH24:MI:SS.FF9';

const SEMI_STRUCTURED: ReadonlySet<string> = new Set(['variant', 'object', 'array', 'map']);

function local(value: unknown): string {
  const date = value as SnowflakeDate;
  const second = new Date(date.getEpochSeconds() * 1_000).toISOString().slice(0, -5);
  return `${second}.${String(date.getNanoSeconds()).padStart(9, '0')}`;
}

function instant(value: unknown): string {
  return `${local(value)}Z`;
}

function day(value: unknown): string {
  return new Date((value as SnowflakeDate).getEpochSeconds() * 1_000).toISOString().slice(0, 10);
}

/** A `VARIANT` may also be XML. */
function json(value: unknown): JsonValue {
  const text = String(value);
  try {
    return parseJsonRow(text);
  } catch {
    return text;
  }
}

const TIMES: ReadonlyMap<string, (value: unknown) => string> = new Map([
  ['date', day],
  ['timestamp_ntz', local],
  ['timestamp_ltz', instant],
  ['timestamp_tz', instant],
]);

const READERS: ReadonlyMap<string, (value: unknown) => JsonValue> = new Map<string, (value: unknown) => JsonValue>([
  ...TIMES,
  ['boolean', (value) => value === true],
  ['fixed', (value) => decimalCell(String(value))],
  ['real', (value) => floatCell(String(value))],
  ['decfloat', (value) => decimalCell(String(value))],
  ['binary', (value) => Buffer.from(value as Uint8Array).toString('base64')],
  ...[...SEMI_STRUCTURED].map((type) => [type, json] as const),
]);
