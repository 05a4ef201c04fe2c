import { CountTiles } from './count-tiles.js';
import { DistinctValues } from './distinct-values.js';
import { EventRing } from './event-ring.js';
import { ExtremeTiles } from './extreme-tiles.js';
import { LatestTimes } from './latest-times.js';
import { MomentTiles } from './moment-tiles.js';
import type { PackedReader } from './packed-bytes.js';
import { FirstRows, LastRow } from './row-tiles.js';
import { RecordRow } from './record-row.js';
import type { StreamState } from './stream-state.js';
import type { PartialKind, StreamSpec } from './stream.model.js';

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
};
