import { AffinityTiles } from './affinity-tiles.js';
import { CountTiles } from './count-tiles.js';
import { DecayTiles } from './decay-tiles.js';
import { DistinctValues } from './distinct-values.js';
import { EventRing } from './event-ring.js';
import { ExtremeTiles } from './extreme-tiles.js';
import { COUNTS, GREATEST, LEAST, MOMENTS, type CellKind } from './keyed-cells.js';
import { KeyedValues } from './keyed-values.js';
import { LatestRows } from './latest-rows.js';
import { LatestTimes } from './latest-times.js';
import { MomentTiles } from './moment-tiles.js';
import type { PackedReader } from './packed-bytes.js';
import { FirstRows, LastRow } from './row-tiles.js';
import { RecordRow } from './record-row.js';
import { SketchTiles } from './sketch-tiles.js';
import type { StreamState } from './stream-state.js';
import type { PartialKind, StreamSpec } from './stream.model.js';
import { VarianceTiles } from './variance-tiles.js';

interface StreamKind {
  empty(spec: StreamSpec): StreamState;
  unpack(reader: PackedReader, spec: StreamSpec): StreamState;
}

/** How the streams of each kind come into being. To add a kind, add a row. */
export const STREAM_KINDS: { readonly [K in PartialKind]: StreamKind } = {
  count: {
    empty: ({ hopMs }) => new CountTiles(hopMs),
    unpack: (reader, { hopMs }) => CountTiles.unpack(reader, hopMs),
  },
  moments: {
    empty: ({ hopMs }) => new MomentTiles(hopMs),
    unpack: (reader, { hopMs }) => MomentTiles.unpack(reader, hopMs),
  },
  min: {
    empty: ({ hopMs }) => new ExtremeTiles(hopMs, 'min'),
    unpack: (reader, { hopMs }) => ExtremeTiles.unpack(reader, hopMs, 'min'),
  },
  max: {
    empty: ({ hopMs }) => new ExtremeTiles(hopMs, 'max'),
    unpack: (reader, { hopMs }) => ExtremeTiles.unpack(reader, hopMs, 'max'),
  },
  first: {
    empty: ({ hopMs }) => new FirstRows(hopMs),
    unpack: (reader, { hopMs }) => FirstRows.unpack(reader, hopMs),
  },
  last: {
    empty: ({ hopMs }) => new LastRow(hopMs),
    unpack: (reader, { hopMs }) => LastRow.unpack(reader, hopMs),
  },
  distinct: {
    empty: ({ hopMs }) => new DistinctValues(hopMs),
    unpack: (reader, { hopMs }) => DistinctValues.unpack(reader, hopMs),
  },
  times: {
    empty: ({ capacity }) => new LatestTimes(capacity),
    unpack: (reader, { capacity }) => LatestTimes.unpack(reader, capacity),
  },
  ring: {
    empty: ({ capacity, marks }) => new EventRing(capacity, marks !== undefined),
    unpack: (reader, { capacity, marks }) => EventRing.unpack(reader, capacity, marks !== undefined),
  },
  row: {
    empty: ({ created }) => new RecordRow(created ?? null),
    unpack: (reader, { created }) => RecordRow.unpack(reader, created ?? null),
  },
  variance: {
    empty: ({ hopMs }) => new VarianceTiles(hopMs),
    unpack: (reader, { hopMs }) => VarianceTiles.unpack(reader, hopMs),
  },
  sketch: {
    empty: ({ hopMs }) => new SketchTiles(hopMs),
    unpack: (reader, { hopMs }) => SketchTiles.unpack(reader, hopMs),
  },
  rows: {
    empty: ({ hopMs, capacity }) => new LatestRows(hopMs, capacity),
    unpack: (reader, { hopMs, capacity }) => LatestRows.unpack(reader, hopMs, capacity),
  },
  decayed: {
    empty: (spec) => new DecayTiles(halfLifeOf(spec), spec.value !== null),
    unpack: (reader, spec) => DecayTiles.unpack(reader, halfLifeOf(spec), spec.value !== null),
  },
  keyed_count: keyed(COUNTS),
  keyed_moments: keyed(MOMENTS),
  keyed_min: keyed(LEAST),
  keyed_max: keyed(GREATEST),
  weights: {
    empty: (spec) => new AffinityTiles(halfLifeOf(spec)),
    unpack: (reader, spec) => AffinityTiles.unpack(reader, halfLifeOf(spec)),
  },
};

function keyed<Cell>(kind: CellKind<Cell>): StreamKind {
  return {
    empty: ({ hopMs }) => new KeyedValues(hopMs, kind),
    unpack: (reader, { hopMs }) => KeyedValues.unpack(reader, hopMs, kind),
  };
}

function halfLifeOf({ hopMs, key }: StreamSpec): number {
  if (hopMs === null) throw new RangeError(`the stream ${key} has no half-life`);
  return hopMs;
}
