import type { JsonObject, JsonValue } from '../../events/event.model.js';
import { parseJsonRow } from '../parse-json-row.js';
import { decimalCell, floatCell, integerCell } from './number-text.js';
import type { CursorKind } from './warehouse.model.js';

/** A field of a schema, as BigQuery's REST interface tells it (`TableFieldSchema`). */
export interface BigQueryField {
  readonly name: string;
  /** `INTEGER` and `INT64` are one type, and so are `FLOAT`, `BOOLEAN` and `RECORD` and their newer names. */
  readonly type: string;
  readonly mode?: string | undefined;
  readonly fields?: readonly BigQueryField[] | undefined;
}

/** A value of the REST interface: a text, a list of `{ v }` where it is repeated, `{ f: [{ v }] }` where it is a record. */
export type WireValue = string | null | readonly WireCell[] | { readonly f: readonly WireCell[] };

export interface WireCell {
  readonly v: WireValue;
}

/**
 * What a value of the REST interface becomes in a row, by its field. Timestamps are expected as microseconds
 * (`formatOptions.useInt64Timestamp`):
 *
 * - `TIMESTAMP`: ISO 8601 with `Z`; `DATETIME`: the same without it, so that the zone of the mapping counts; both with six
 *   digits of a second. `DATE`: `yyyy-MM-dd`
 * - numbers: numbers, decimals the nearest ones. Whole numbers beyond 2^53: their digits as a text
 * - NaN and infinities: null. `BYTES`: Base64. `JSON`: as it is. Repeated fields: lists. Records: objects
 * - all else, such as `GEOGRAPHY`, `INTERVAL`, `TIME` and `RANGE`: the text that BigQuery writes
 */
export function bigQueryCell(field: BigQueryField): (value: WireValue) => JsonValue {
  const one = field.fields === undefined ? leaf(field.type) : record(field.fields);
  if (field.mode !== 'REPEATED') return one;
  return (value) => (Array.isArray(value) ? (value as readonly WireCell[]).map(({ v }) => one(v)) : null);
}

/** The value of a cursor, exact to its last digit; null: the row has none. */
export function bigQueryCursor(type: string): (value: WireValue) => string | null {
  const text = EXACT.get(type) ?? ((exact: string) => exact);
  return (value) => (typeof value === 'string' ? text(value) : null);
}

/** What rows can be read on by. */
export function bigQueryCursorKind({ type, mode }: BigQueryField): CursorKind | null {
  return mode === 'REPEATED' ? null : (CURSOR_KINDS.get(type) ?? null);
}

/** Names of types in queries, where those of schemas differ. */
export function sqlType(type: string): string {
  return type === 'INTEGER' ? 'INT64' : type;
}

function record(fields: readonly BigQueryField[]): (value: WireValue) => JsonValue {
  const readers = fields.map((field) => [field.name, bigQueryCell(field)] as const);
  return (value) => {
    if (value === null || typeof value !== 'object' || !('f' in value)) return null;
    const found: JsonObject = {};
    for (const [i, [name, read]] of readers.entries()) found[name] = read(value.f[i]?.v ?? null);
    return found;
  };
}

function leaf(type: string): (value: WireValue) => JsonValue {
  const read = READERS.get(type) ?? ((text: string) => text);
  return (value) => (typeof value === 'string' ? read(value) : null);
}

/** From microseconds. */
function instant(micros: string): string {
  const value = BigInt(micros);
  const below = ((value % 1_000n) + 1_000n) % 1_000n;
  const iso = new Date(Number((value - below) / 1_000n)).toISOString();
  return `${iso.slice(0, 23)}${String(below).padStart(3, '0')}Z`;
}

function local(text: string): string {
  const [second = '', fraction = ''] = text.replace(' ', 'T').split('.');
  return `${second}.${fraction.padEnd(6, '0')}`;
}

const EXACT: ReadonlyMap<string, (text: string) => string> = new Map([
  ['TIMESTAMP', instant],
  ['DATETIME', local],
]);

const READERS: ReadonlyMap<string, (text: string) => JsonValue> = new Map<string, (text: string) => JsonValue>([
  ...EXACT,
  ['BOOLEAN', (text) => text === 'true'],
  ['BOOL', (text) => text === 'true'],
  ['INTEGER', integerCell],
  ['INT64', integerCell],
  ['FLOAT', floatCell],
  ['FLOAT64', floatCell],
  ['NUMERIC', decimalCell],
  ['BIGNUMERIC', decimalCell],
  ['JSON', parseJsonRow],
]);

const CURSOR_KINDS: ReadonlyMap<string, CursorKind> = new Map<string, CursorKind>([
  ['TIMESTAMP', 'time'],
  ['DATETIME', 'time'],
  ['DATE', 'time'],
  ['INTEGER', 'integer'],
  ['INT64', 'integer'],
  ['NUMERIC', 'decimal'],
  ['BIGNUMERIC', 'decimal'],
]);
