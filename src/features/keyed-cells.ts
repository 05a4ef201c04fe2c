import type { JsonValue } from '../events/event.model.js';
import { weightInTile } from './decay.model.js';
import { addendOf, MICROS, microsOf, quotientOf, readBig, writeBig } from './exact-number.js';
import type { Aggregate, FeatureEvent } from './feature.model.js';
import { corruptState, type PackedReader, type PackedWriter } from './packed-bytes.js';

/** What keyed tiles keep for each key. Cells are never changed in place. */
export interface CellKind<Cell> {
  /** What one event is; undefined: nothing, null: a value that cannot be counted, which makes the tile approximate. */
  of(event: FeatureEvent, value: JsonValue | undefined): Cell | null | undefined;
  /** Exact and in any order. */
  add(a: Cell, b: Cell): Cell;
  /** What a feature shows of it. */
  numberOf(cell: Cell, aggregate: Aggregate): number;
  write(writer: PackedWriter, cell: Cell): void;
  read(reader: PackedReader): Cell;
}

/** How many events. */
export const COUNTS: CellKind<number> = {
  of: () => 1,
  add: (a, b) => a + b,
  numberOf: (count) => count,
  write: (writer, count) => {
    writer.varint(count);
  },
  read: (reader) => reader.varint(),
};

export interface KeyedMoments {
  readonly count: number;
  /** Micro-units. */
  readonly sum: bigint;
}

/** Exact sums and counts. */
export const MOMENTS: CellKind<KeyedMoments> = {
  of: (_event, value) => {
    const addend = addendOf(value);
    return typeof addend === 'number' ? { count: 1, sum: microsOf(addend) } : addend;
  },
  add: (a, b) => ({ count: a.count + b.count, sum: a.sum + b.sum }),
  numberOf: ({ count, sum }, aggregate) => quotientOf(sum, aggregate === 'avg' ? MICROS * count : MICROS),
  write: (writer, { count, sum }) => {
    writer.varint(count);
    writeBig(writer, sum);
  },
  read: (reader) => {
    const count = reader.varint();
    if (count === 0) throw corruptState('a key has no values', reader.at);
    return { count, sum: readBig(reader) };
  },
};

function extremes(pick: (a: number, b: number) => number): CellKind<number> {
  return {
    // Adding 0 turns −0 into 0, which packing does not tell apart.
    of: (_event, value) => (typeof value === 'number' && Number.isFinite(value) ? value + 0 : undefined),
    add: pick,
    numberOf: (value) => value,
    write: (writer, value) => {
      writer.number(value);
    },
    read: (reader) => reader.number(),
  };
}

export const LEAST = extremes(Math.min);
export const GREATEST = extremes(Math.max);

/** Weights in their tile are kept in units of 2⁻³¹: exact sums of two million of them a key and tile. */
export const WEIGHT_ONE = 2 ** 31;

/** Decayed counts. A sum that is full stays so. */
export function weights(halfLifeMs: number): CellKind<number> {
  return {
    of: ({ occurredAt }) => Math.round(weightInTile(occurredAt, halfLifeMs) * WEIGHT_ONE),
    add: (a, b) => Math.min(a + b, Number.MAX_SAFE_INTEGER),
    numberOf: (weight) => weight / WEIGHT_ONE,
    write: (writer, weight) => {
      writer.varint(weight);
    },
    read: (reader) => reader.varint(),
  };
}
