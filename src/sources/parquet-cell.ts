import type { SchemaElement, SchemaTree } from 'hyparquet';

import type { JsonObject, JsonValue } from '../events/event.model.js';

/** A decoded cell, never null or undefined, as JSON. */
export type CellConverter = (value: unknown) => JsonValue;

const DAY_MS = 86_400_000;
/** Decimal places that a double can tell apart at all. */
const MAX_SCALE = 100;

/**
 * What cells of a column become:
 *
 * - times in UTC: ISO 8601 with `Z`; local ones: the same without it, so that the zone of the mapping counts; both to ms
 * - dates `yyyy-MM-dd`; times of day `HH:mm:ss.SSS`
 * - decimals and 64-bit integers: numbers; whole ones beyond 2^53: their digits as a text
 * - NaN and infinities: null. Bytes that are no text: Base64
 * - lists, maps (with text keys) and structs: lists and objects of these
 */
export function parquetCells({ element, children }: SchemaTree): CellConverter {
  const one = children.length === 0 ? leafCells(element) : nestedCells(children);
  return element.repetition_type === 'REPEATED' ? (value) => listOf(value, one) : one;
}

function leafCells(element: SchemaElement): CellConverter {
  const { logical_type: logical, converted_type: converted } = element;
  if (logical?.type === 'TIMESTAMP') return logical.isAdjustedToUTC ? instantText : localText;
  if (logical?.type === 'DATE' || converted === 'DATE') return (value) => instantText(value).slice(0, 10);
  if (logical?.type === 'TIME') return timeOfDay({ MILLIS: 1, MICROS: 1_000, NANOS: 1_000_000 }[logical.unit]);
  if (converted === 'TIME_MILLIS') return timeOfDay(1);
  if (converted === 'TIME_MICROS') return timeOfDay(1_000);
  if (isExactDecimal(element)) return exactDecimals(element.scale ?? 0);
  if (converted === 'DECIMAL' || logical?.type === 'DECIMAL') return decimals(element.scale ?? 0);
  return plainCell;
}

/** Lists and maps are assembled already; their own levels of the schema are not in the values. */
function nestedCells(children: readonly SchemaTree[]): CellConverter {
  const [only] = children;
  if (only !== undefined && children.length === 1 && only.element.repetition_type === 'REPEATED') {
    const isMap = only.children.length === 2 && only.children[0]?.element.name === 'key';
    if (isMap) return mapCells(only.children[1]);
    const [item] = only.children;
    const itemCells =
      only.children.length === 0
        ? leafCells(only.element)
        : only.children.length === 1 && item !== undefined
          ? parquetCells(item)
          : nestedCells(only.children);
    return (value) => listOf(value, itemCells);
  }
  const fields = new Map(children.map((child) => [child.element.name, parquetCells(child)]));
  return (value) => objectOf(value, (name) => fields.get(name) ?? plainCell);
}

function mapCells(valueTree: SchemaTree | undefined): CellConverter {
  const cells = valueTree === undefined ? plainCell : parquetCells(valueTree);
  return (value) => objectOf(value, () => cells);
}

function listOf(value: unknown, cells: CellConverter): JsonValue {
  if (!Array.isArray(value)) return plainCell(value);
  return value.map((item: unknown) => (item === null || item === undefined ? null : cells(item)));
}

function objectOf(value: unknown, cellsOf: (name: string) => CellConverter): JsonValue {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return plainCell(value);
  const found: JsonObject = {};
  for (const [name, item] of Object.entries(value as Record<string, unknown>)) {
    found[name] = item === null || item === undefined ? null : cellsOf(name)(item);
  }
  return found;
}

function plainCell(value: unknown): JsonValue {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      return Number.isFinite(value) ? value : null;
    case 'bigint':
      return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
    default:
      if (value instanceof Date) return instantText(value);
      if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
      if (Array.isArray(value)) return listOf(value, plainCell);
      return value === null || typeof value !== 'object' ? null : objectOf(value, () => plainCell);
  }
}

/** Times beyond the calendar of JavaScript are told as a text that no format of times reads. */
function instantText(value: unknown): string {
  return value instanceof Date && !Number.isNaN(value.getTime()) ? value.toISOString() : 'not a time';
}

function localText(value: unknown): string {
  return instantText(value).replace(/Z$/, '');
}

function timeOfDay(unitsPerMs: number): CellConverter {
  return (value) => {
    const ms = Math.floor(Number(value) / unitsPerMs);
    return ms >= 0 && ms < DAY_MS ? new Date(ms).toISOString().slice(11, 23) : null;
  };
}

/**
 * Whether a decimal can be read digit by digit: the decoder would make a number of it, and of an id of 20 digits somebody
 * else's.
 */
export function isExactDecimal({ type, converted_type: converted, logical_type: logical }: SchemaElement): boolean {
  if (converted !== 'DECIMAL' && logical?.type !== 'DECIMAL') return false;
  return type === 'INT32' || type === 'INT64' || type === 'FIXED_LEN_BYTE_ARRAY';
}

/** Of decimals as they are stored: whole numbers, as such or big-endian in two's complement. */
function exactDecimals(scale: number): CellConverter {
  return (value) => {
    const stored = value instanceof Uint8Array ? wholeOf(value) : BigInt(value as number | bigint);
    const digits = String(stored < 0n ? -stored : stored).padStart(scale + 1, '0');
    const whole = `${stored < 0n ? '-' : ''}${digits.slice(0, digits.length - scale)}`;
    const fraction = digits.slice(digits.length - scale);
    const isWhole = scale === 0 || /^0+$/.test(fraction);
    if (!isWhole) return Number(`${whole}.${fraction}`);
    return Number.isSafeInteger(Number(whole)) ? Number(whole) : whole;
  };
}

function wholeOf(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt.asIntN(bytes.length * 8, BigInt(`0x${Buffer.from(bytes).toString('hex')}`));
}

function decimals(scale: number): CellConverter {
  const digits = Math.min(Math.max(scale, 0), MAX_SCALE);
  return (value) => (typeof value === 'number' && Number.isFinite(value) ? Number(value.toFixed(digits)) : null);
}
