import pg from 'pg';

import type { JsonValue } from '../../events/event.model.js';
import { parseJsonRow } from '../parse-json-row.js';
import { decimalCell, floatCell, integerCell } from './number-text.js';

const { builtins } = pg.types;
/** The driver's types know those of arrays by no name. */
const parserOf = pg.types.getTypeParser as unknown as (typeId: number, format: 'text') => (text: string) => unknown;

type TextReader = (text: string) => JsonValue;

/**
 * What the text of a value becomes in a row, by its type:
 *
 * - times in UTC: ISO 8601 with `Z`; local ones: the same without it, so that the zone of the mapping counts; both to the
 *   microsecond. Dates `yyyy-MM-dd`
 * - numbers: numbers, decimals the nearest ones. Whole numbers beyond 2^53: their digits as a text
 * - NaN and infinities: null. `bytea`: Base64. JSON: as it is. Arrays of texts, numbers and booleans: lists
 * - all else: the text that the server writes
 */
export function postgresCell(typeId: number): TextReader {
  return READERS.get(typeId) ?? ((text) => text);
}

/** From `2026-01-31 12:00:00.123456+00`. */
function instant(text: string): JsonValue {
  return text.replace(' ', 'T').replace(/\+00$/, 'Z');
}

function bytes(text: string): JsonValue {
  return Buffer.from(text.slice(2), 'hex').toString('base64');
}

function list(arrayTypeId: number): TextReader {
  const parse = parserOf(arrayTypeId, 'text');
  return (text) => JSON.parse(JSON.stringify(parse(text))) as JsonValue;
}

const ARRAYS = { bool: 1000, int2: 1005, int4: 1007, text: 1009, varchar: 1015, float4: 1021, float8: 1022 } as const;

const READERS: ReadonlyMap<number, TextReader> = new Map<number, TextReader>([
  [builtins.BOOL, (text) => text === 't'],
  [builtins.INT2, integerCell],
  [builtins.INT4, integerCell],
  [builtins.INT8, integerCell],
  [builtins.NUMERIC, decimalCell],
  [builtins.FLOAT4, floatCell],
  [builtins.FLOAT8, floatCell],
  [builtins.TIMESTAMP, instant],
  [builtins.TIMESTAMPTZ, instant],
  [builtins.BYTEA, bytes],
  [builtins.JSON, parseJsonRow],
  [builtins.JSONB, parseJsonRow],
  ...Object.values(ARRAYS).map((typeId) => [typeId, list(typeId)] as const),
]);
