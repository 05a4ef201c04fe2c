import type { JsonValue } from '../events/event.model.js';
import type { FeatureEvent, FeatureValue } from './feature.model.js';
import { corruptState, type PackedReader, type PackedWriter } from './packed-bytes.js';
import { SlidingHyperLogLog } from './sliding-hyperloglog.js';
import { present, StreamState, type FeatureReading } from './stream-state.js';
import { departureOf, firstTileSeen } from './stream.model.js';
import { hashValue } from './value-hash.js';

/** A window with more distinct values than this is estimated. */
const MAX_EXACT_VALUES = 256;

/**
 * Distinct values, each by its hash and the latest tile it was seen in: a value is in a window if that tile is
 * (invariant 3 of {@link StreamState}), so one entry a value serves every window.
 *
 * Bounded without regard to order: let C(i) be how many values were seen last in tile i or later. The *floor* is the
 * newest tile with C > {@link MAX_EXACT_VALUES}. Values seen last in newer tiles are all here, so that a window that
 * begins after the floor is exact; the others are only in a sketch, which knows all values since there is a floor.
 * Floor and entries are functions of the set of (value, tile), whatever the order, splits and merges, because C only
 * grows by merging and is fully known above the floor.
 */
export class DistinctValues extends StreamState {
  readonly #hopMs: number | null;
  /** Ascending. */
  #hashes: number[] = [];
  /** Latest tile of each hash, all newer than the floor. */
  #latest: number[] = [];
  #floor = -Infinity;
  #sketch: SlidingHyperLogLog | null = null;
  #newestTs = -Infinity;

  constructor(hopMs: number | null) {
    super();
    this.#hopMs = hopMs;
  }

  get isEmpty(): boolean {
    return this.#hashes.length === 0 && this.#sketch === null;
  }

  add(tile: number, event: FeatureEvent, value: JsonValue | undefined): boolean {
    if (value === undefined || value === null || typeof value === 'object') return false;
    if (typeof value === 'number' && !Number.isFinite(value)) return false;
    let changed = this.#put(hashValue(value), tile);
    if (event.occurredAt > this.#newestTs) {
      this.#newestTs = event.occurredAt;
      changed = true;
    }
    if (changed) this.packed = null;
    return changed;
  }

  merge(other: DistinctValues): void {
    if (other.#sketch !== null) {
      this.#sketch ??= this.#sketchOfAll();
      this.#sketch.merge(other.#sketch);
      this.#raiseFloor(other.#floor);
    }
    for (let i = 0; i < other.#hashes.length; i++) this.#put(other.#hashes[i] ?? 0, other.#latest[i] ?? 0);
    this.#newestTs = Math.max(this.#newestTs, other.#newestTs);
    this.packed = null;
  }

  dropBefore(tile: number): void {
    if (this.#oldestTile() >= tile) return;
    this.packed = null;
    this.#keepFrom(tile);
    if (this.#floor < tile) {
      this.#floor = -Infinity;
      this.#sketch = null;
    }
    this.#sketch?.dropBefore(tile);
    if (this.isEmpty) this.#newestTs = -Infinity;
  }

  read(feature: FeatureReading, t: number): FeatureValue {
    const { windowMs } = feature.definition;
    const from = firstTileSeen(t, windowMs, this.#hopMs);
    if (this.#sketch !== null && this.#floor >= from) {
      const { count, oldestTile } = this.#sketch.estimate(from);
      // Past the floor the value is exact again, which may be another one even if no register changes.
      const changesAt = departureOf(Math.min(oldestTile, this.#floor), windowMs, this.#hopMs);
      return present(count, this.#newestTs, changesAt, true);
    }
    let count = 0;
    let oldest = Infinity;
    for (let i = 0; i < this.#latest.length; i++) {
      const tile = this.#latest[i] ?? 0;
      if (tile < from) continue;
      count++;
      if (tile < oldest) oldest = tile;
    }
    return count === 0 ? feature.empty : present(count, this.#newestTs, departureOf(oldest, windowMs, this.#hopMs));
  }

  write(writer: PackedWriter): void {
    const oldest = this.#oldestTile();
    writer.signed(oldest);
    writer.signed(this.#newestTs - oldest * (this.#hopMs ?? 0));
    writer.varint(this.#sketch === null ? 0 : this.#floor - oldest + 1);
    writer.varint(this.#hashes.length);
    for (let i = 0; i < this.#hashes.length; i++) {
      writer.hash(this.#hashes[i] ?? 0);
      if (this.#hopMs !== null) writer.varint((this.#latest[i] ?? 0) - oldest);
    }
    this.#sketch?.write(writer, oldest, this.#hopMs !== null);
  }

  static unpack(reader: PackedReader, hopMs: number | null): DistinctValues {
    const state = new DistinctValues(hopMs);
    const oldest = reader.signed();
    state.#newestTs = reader.signed() + oldest * (hopMs ?? 0);
    const floorOffset = reader.varint();
    const count = reader.varint();
    if (count > MAX_EXACT_VALUES) throw corruptState('there are too many values', reader.at);
    for (let i = 0; i < count; i++) {
      state.#hashes.push(reader.hash());
      state.#latest.push(hopMs === null ? 0 : oldest + reader.varint());
    }
    if (floorOffset > 0) {
      state.#floor = oldest + floorOffset - 1;
      state.#sketch = SlidingHyperLogLog.unpack(reader, oldest, hopMs !== null);
    }
    return state;
  }

  #put(hash: number, tile: number): boolean {
    const sketched = this.#sketch?.add(hash, tile) ?? false;
    if (tile <= this.#floor) return sketched;
    const position = this.#locate(hash);
    if (this.#hashes[position] === hash) {
      if ((this.#latest[position] ?? 0) >= tile) return sketched;
      this.#latest[position] = tile;
      return true;
    }
    this.#hashes.splice(position, 0, hash);
    this.#latest.splice(position, 0, tile);
    if (this.#hashes.length > MAX_EXACT_VALUES) {
      this.#sketch ??= this.#sketchOfAll();
      const newestFirst = this.#latest.toSorted((a, b) => b - a);
      this.#raiseFloor(newestFirst[MAX_EXACT_VALUES] ?? -Infinity);
    }
    return true;
  }

  #raiseFloor(floor: number): void {
    if (floor <= this.#floor) return;
    this.#floor = floor;
    this.#keepFrom(floor + 1);
  }

  #keepFrom(tile: number): void {
    const latest = this.#latest;
    this.#hashes = this.#hashes.filter((_, i) => (latest[i] ?? 0) >= tile);
    this.#latest = latest.filter((seen) => seen >= tile);
  }

  #sketchOfAll(): SlidingHyperLogLog {
    const sketch = new SlidingHyperLogLog();
    for (let i = 0; i < this.#hashes.length; i++) sketch.add(this.#hashes[i] ?? 0, this.#latest[i] ?? 0);
    return sketch;
  }

  #oldestTile(): number {
    let oldest = this.#sketch === null ? Infinity : Math.min(this.#floor, this.#sketch.oldestTile);
    for (const tile of this.#latest) if (tile < oldest) oldest = tile;
    return oldest;
  }

  #locate(hash: number): number {
    let low = 0;
    let high = this.#hashes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#hashes[middle] ?? 0) < hash) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
