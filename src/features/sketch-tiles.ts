import type { JsonValue } from '../events/event.model.js';
import { CellTiles } from './cell-tiles.js';
import { addendOf } from './exact-number.js';
import type { FeatureEvent, FeatureValue } from './feature.model.js';
import { corruptState, type PackedReader, type PackedWriter } from './packed-bytes.js';
import { present, type FeatureReading } from './stream-state.js';

/** A percentile is off by at most this share of itself. */
const RELATIVE_ACCURACY = 0.01;
const GAMMA = (1 + RELATIVE_ACCURACY) / (1 - RELATIVE_ACCURACY);
const LOG_GAMMA = Math.log(GAMMA);
/** Values nearer to 0 count as 0. */
const MIN_MAGNITUDE = 1e-6;
/** Makes the buckets of all magnitudes positive. */
const OFFSET = 1 - Math.ceil(Math.log(MIN_MAGNITUDE) / LOG_GAMMA);
/** The bucket of the greatest magnitude that is counted, 10¹². */
const MAX_BUCKET = Math.ceil(Math.log(1e12) / LOG_GAMMA) + OFFSET + 1;

interface Sketch {
  /** How many values are in each bucket; buckets of negative values are negative, that of zeros is 0. */
  readonly buckets: Map<number, number>;
  count: number;
  /** Values that were no numbers within the bound. */
  ignored: number;
}

/**
 * A DDSketch of each tile (C. Masson, J. E. Rim, H. K. Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with
 * Relative-Error Guarantees", VLDB 2019): a value is counted in bucket ⌈log_γ |value|⌉. The range of values is bounded,
 * and so are the buckets (4,200 a tile): none is ever collapsed, and merging adds counts up, in any order.
 */
export class SketchTiles extends CellTiles<Sketch> {
  static unpack(reader: PackedReader, hopMs: number | null): SketchTiles {
    const state = new SketchTiles(hopMs);
    state.readTiles(reader);
    return state;
  }

  add(tile: number, event: FeatureEvent, value: JsonValue | undefined): boolean {
    const number = addendOf(value);
    if (number === undefined) return false;
    const cell = this.cellAt(tile);
    this.packed = null;
    if (number === null) {
      cell.ignored++;
      return true;
    }
    const bucket = bucketOf(number);
    cell.buckets.set(bucket, (cell.buckets.get(bucket) ?? 0) + 1);
    cell.count++;
    if (event.occurredAt > this.newestTs) this.newestTs = event.occurredAt;
    return true;
  }

  protected fresh(): Sketch {
    return { buckets: new Map(), count: 0, ignored: 0 };
  }

  protected fold(into: Sketch, from: Sketch): void {
    for (const [bucket, count] of from.buckets) into.buckets.set(bucket, (into.buckets.get(bucket) ?? 0) + count);
    into.count += from.count;
    into.ignored += from.ignored;
  }

  protected counts({ count }: Sketch): boolean {
    return count > 0;
  }

  protected valueOver({ buckets, count }: Sketch, feature: FeatureReading, until: number): FeatureValue {
    if (count === 0) return { status: 'NOT_FOUND', value: null, eventTs: null, validUntil: until, approximate: true };
    const rank = Math.floor((feature.definition.options?.p ?? 0.5) * (count - 1));
    let below = 0;
    let found = 0;
    for (const bucket of [...buckets.keys()].sort((a, b) => a - b)) {
      below += buckets.get(bucket) ?? 0;
      found = bucket;
      if (below > rank) break;
    }
    return present(valueOfBucket(found), this.newestTs, until, true);
  }

  protected writeCell(writer: PackedWriter, { buckets, ignored }: Sketch): void {
    writer.varint(buckets.size * 2 + (ignored > 0 ? 1 : 0));
    if (ignored > 0) writer.varint(ignored);
    let previous = 0;
    for (const [bucket, count] of [...buckets].sort(([a], [b]) => a - b)) {
      writer.signed(bucket - previous);
      writer.varint(count);
      previous = bucket;
    }
  }

  protected readCell(reader: PackedReader): Sketch {
    const head = reader.varint();
    const cell: Sketch = { buckets: new Map(), count: 0, ignored: head % 2 === 1 ? reader.varint() : 0 };
    let bucket = 0;
    for (let i = Math.floor(head / 2); i > 0; i--) {
      bucket += reader.signed();
      const count = reader.varint();
      if (Math.abs(bucket) > MAX_BUCKET) throw corruptState('a bucket is out of range', reader.at);
      cell.buckets.set(bucket, (cell.buckets.get(bucket) ?? 0) + count);
      cell.count += count;
    }
    return cell;
  }
}

function bucketOf(value: number): number {
  const magnitude = Math.abs(value);
  if (magnitude < MIN_MAGNITUDE) return 0;
  const bucket = Math.ceil(Math.log(magnitude) / LOG_GAMMA) + OFFSET;
  return value < 0 ? -bucket : bucket;
}

/** The value whose distance from both ends of the bucket is the same share of them. */
function valueOfBucket(bucket: number): number {
  if (bucket === 0) return 0;
  const magnitude = (2 * GAMMA ** (Math.abs(bucket) - OFFSET)) / (GAMMA + 1);
  return bucket < 0 ? -magnitude : magnitude;
}
