import { compareValue, type CompareOp, type Constant } from './compare-value.model.js';
import type { FeatureEvent, FeatureValue } from './feature.model.js';
import { insertAt, trimmed } from './insert-at.js';
import { corruptState, type PackedReader, type PackedWriter } from './packed-bytes.js';
import { present, StreamState, type FeatureReading } from './stream-state.js';

/**
 * The times of the latest `capacity` events, equal times each counted. Exact to the millisecond: windows over it are
 * no sawtooth, an event at `ts` is in a window of W at `t` while `t < ts + W`.
 */
export class LatestTimes extends StreamState {
  readonly #capacity: number;
  /** Newest first. */
  #times: number[] = [];

  constructor(capacity: number) {
    super();
    this.#capacity = capacity;
  }

  static unpack(reader: PackedReader, capacity: number): LatestTimes {
    const state = new LatestTimes(capacity);
    let time = reader.signed();
    for (;;) {
      state.#times.push(time);
      if (reader.done) break;
      if (state.#times.length === capacity) throw corruptState('there are too many times', reader.at);
      time -= reader.varint();
    }
    state.#times = trimmed(state.#times);
    return state;
  }

  get isEmpty(): boolean {
    return this.#times.length === 0;
  }

  add(_tile: number, event: FeatureEvent): boolean {
    return this.#put(event.occurredAt);
  }

  merge(other: LatestTimes): void {
    for (const time of other.#times) if (!this.#put(time)) return;
  }

  /** At most {@link #capacity} times are kept whatever their age, so that a later feature may have any window. */
  dropBefore(): void {
    return;
  }

  /** The latest `limit` times, newest first. */
  latest(limit: number): readonly number[] {
    return this.#times.slice(0, limit);
  }

  read(feature: FeatureReading, t: number): FeatureValue {
    const { aggregate, unitMs } = feature.definition;
    const windowMs = feature.definition.windowMs ?? Infinity;
    const newest = this.#times[0] ?? -Infinity;
    if (t - newest >= windowMs) return feature.empty;
    if (aggregate === 'recency') {
      const unit = unitMs ?? 1;
      const age = Math.floor((t - newest) / unit);
      return present(age, newest, Math.min(newest + (age + 1) * unit, newest + windowMs));
    }
    const limit = feature.definition.limit ?? 1;
    const times = this.#times;
    let count = 1;
    while (count < limit && count < times.length && t - (times[count] ?? 0) < windowMs) count++;
    return present(times.slice(0, count), newest, (times[count - 1] ?? 0) + windowMs);
  }

  /** As the general one; a recency, which never stops changing, goes straight to where its answer can change. */
  override flipAt(feature: FeatureReading, t: number, op: CompareOp, constant: Constant): number {
    if (feature.definition.aggregate !== 'recency') return super.flipAt(feature, t, op, constant);
    const now = this.read(feature, t);
    const newest = this.#times[0];
    if (newest === undefined || typeof constant !== 'number' || now.status !== 'PRESENT') return Infinity;
    const { unitMs, windowMs } = feature.definition;
    const endsAt = newest + (windowMs ?? Infinity);
    const before = compareValue(now, op, constant);
    for (const age of [Math.floor(constant), Math.floor(constant) + 1]) {
      const at = newest + age * (unitMs ?? 1);
      if (at > t && at < endsAt && compareValue(present(age, newest, at), op, constant) !== before) return at;
    }
    return endsAt;
  }

  write(writer: PackedWriter): void {
    let newer = this.#times[0] ?? 0;
    writer.signed(newer);
    for (let i = 1; i < this.#times.length; i++) {
      const time = this.#times[i] ?? 0;
      writer.varint(newer - time);
      newer = time;
    }
  }

  #put(time: number): boolean {
    const times = this.#times;
    let position = times.length;
    while (position > 0 && time > (times[position - 1] ?? 0)) position--;
    if (position >= this.#capacity) return false;
    this.#times = insertAt(times, position, time);
    if (this.#times.length > this.#capacity) this.#times.pop();
    this.packed = null;
    return true;
  }
}
