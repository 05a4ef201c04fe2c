import { maskValue } from '../../privacy/mask.model.js';
import type { JsonValue } from '../../events/event.model.js';
import {
  isList,
  isOlderThan,
  type FeatureDefinition,
  type FeatureType,
  type FeatureValue,
  type Imputations,
  type Item,
} from '../../features/feature.model.js';
import { imputationOf } from '../../features/impute.model.js';
import { formatInstant } from '../../platform/instant.js';

/** A value as it stands in an answer: three pieces of JSON. */
export interface OnlineCell {
  readonly value: string;
  readonly status: string;
  readonly eventTime: string;
}

/** What Feast tells of what has no time. */
const EPOCH = '"1970-01-01T00:00:00Z"';
export const NOT_FOUND_CELL: OnlineCell = { value: 'null', status: '"NOT_FOUND"', eventTime: EPOCH };
/** Quoted once, not for every cell. */
const STATUSES: Readonly<Record<FeatureValue['status'], string>> = {
  PRESENT: '"PRESENT"',
  NULL_VALUE: '"NULL_VALUE"',
  NOT_FOUND: '"NOT_FOUND"',
  OUTSIDE_MAX_AGE: '"OUTSIDE_MAX_AGE"',
};

interface CellAsk {
  readonly isMasked: boolean;
  /** The instant that the value is of, ms. */
  readonly t: number;
  /** Values whose newest event is older are not told; null: all are. */
  readonly maxAgeMs: number | null;
  /** JSON that stands for a value that is missing, whose status stays; null: nothing does. */
  readonly imputed: string | null;
}

export function cellOf(value: FeatureValue, definition: Pick<FeatureDefinition, 'type'>, ask: CellAsk): OnlineCell {
  const cell = toldCell(value, definition, ask);
  return ask.imputed !== null && cell.value === 'null' ? { ...cell, value: ask.imputed } : cell;
}

function toldCell(
  value: FeatureValue,
  definition: Pick<FeatureDefinition, 'type'>,
  { isMasked, t, maxAgeMs }: CellAsk,
): OnlineCell {
  const { eventTs } = value;
  const eventTime = eventTs === null ? EPOCH : `"${formatInstant(eventTs)}"`;
  const ageMs = eventTs === null ? null : t - eventTs;
  if (maxAgeMs !== null && isOlderThan({ status: value.status, ageMs }, maxAgeMs)) {
    return { value: 'null', status: STATUSES.OUTSIDE_MAX_AGE, eventTime };
  }
  return {
    value: isMasked ? JSON.stringify(maskValue(value.value as JsonValue)) : jsonOf(value.value, definition.type),
    status: STATUSES[value.status],
    eventTime,
  };
}

/** The JSON of what a service imputes for a feature; null: nothing. */
export function imputedJson(
  imputed: Imputations | null,
  { name, type }: Pick<FeatureDefinition, 'name' | 'type'>,
): string | null {
  const imputation = imputed === null ? undefined : imputationOf(imputed, name);
  return imputation === undefined ? null : itemJson(imputation.value, type);
}

function jsonOf(value: FeatureValue['value'], type: FeatureType): string {
  if (value === null) return 'null';
  if (isList(value)) return `[${value.map((item) => itemJson(item, type)).join(',')}]`;
  if (typeof value !== 'object') return itemJson(value, type);
  const entries = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}:${itemJson(item, type)}`);
  return `{${entries.join(',')}}`;
}

/** Feast's times are whole seconds. Its client tells doubles from whole numbers by how they are written. */
function itemJson(item: Item, type: FeatureType): string {
  if (typeof item !== 'number') return JSON.stringify(item);
  if (type.startsWith('time')) return String(Math.floor(item / 1_000));
  return type.startsWith('double') && Number.isSafeInteger(item) ? `${String(item)}.0` : JSON.stringify(item);
}

/** The cells of one entity, in the order of the features, as the bytes that stand in answers. */
export interface OnlineRow {
  /** UTF-8: value, status and event time of each cell, with a comma behind each of the three. */
  readonly bytes: Uint8Array;
  /** Where the pieces end, commas included: three places a cell. */
  readonly ends: Uint32Array;
}

export function packRow(cells: readonly OnlineCell[]): OnlineRow {
  const ends = new Uint32Array(cells.length * 3);
  let text = '';
  let end = 0;
  for (const [i, { value, status, eventTime }] of cells.entries()) {
    ends[i * 3] = end += Buffer.byteLength(value) + 1;
    ends[i * 3 + 1] = end += status.length + 1;
    ends[i * 3 + 2] = end += eventTime.length + 1;
    text += `${value},${status},${eventTime},`;
  }
  return { bytes: Buffer.from(text), ends };
}

/** The lists of a column, and what stands before each of them. */
const BEFORE_LIST = ['{"values":[', '],"statuses":[', '],"event_timestamps":['].map((text) => Buffer.from(text));
const AFTER_LISTS = Buffer.from(']}');
const MAX_AROUND_LISTS = BEFORE_LIST.reduce((size, { length }) => size + length, AFTER_LISTS.length + 1);
const COMMA = 0x2c;

/**
 * JSON of an answer in columns, each an object of `values`, `statuses` and `event_timestamps`. Bytes are copied by hand: the
 * pieces are too short for a call each, and joining texts takes three times as long.
 *
 * @param frame what stands before the columns of the rows, and behind them
 * @param count of the columns
 */
export function writeColumns(
  rows: readonly OnlineRow[],
  count: number,
  frame: { readonly before: string; readonly after: string },
): Buffer {
  const [before, after] = [Buffer.from(frame.before), Buffer.from(frame.after)];
  let size = before.length + after.length + count * MAX_AROUND_LISTS;
  for (const { bytes } of rows) size += bytes.length;
  const out = Buffer.allocUnsafe(size);
  let at = before.copy(out);
  const pieces = count * 3;
  for (let piece = 0; piece < pieces; piece++) {
    const list = piece % 3;
    if (list === 0 && piece > 0) out[at++] = COMMA;
    at += BEFORE_LIST[list]?.copy(out, at) ?? 0;
    for (const { bytes, ends } of rows) {
      const end = ends[piece] ?? 0;
      for (let from = piece === 0 ? 0 : (ends[piece - 1] ?? 0); from < end; from++) out[at++] = bytes[from] ?? 0;
    }
    // The comma behind the last of the list.
    if (rows.length > 0) at--;
    if (list === 2) at += AFTER_LISTS.copy(out, at);
  }
  at += after.copy(out, at);
  return out.subarray(0, at);
}

/** JSON of the column of the join key. */
export function keyColumn(values: readonly string[]): string {
  const each = (piece: string): string => new Array<string>(values.length).fill(piece).join(',');
  const shown = values.map((value) => JSON.stringify(value)).join(',');
  return `{"values":[${shown}],"statuses":[${each(STATUSES.PRESENT)}],"event_timestamps":[${each(EPOCH)}]}`;
}
