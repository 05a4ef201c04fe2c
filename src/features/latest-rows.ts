import type { JsonValue } from '../events/event.model.js';
import type { FeatureEvent, FeatureValue, Item } from './feature.model.js';
import { itemTypeOf } from './feature.model.js';
import { corruptState, type PackedReader, type PackedWriter } from './packed-bytes.js';
import { isEarlier, readRow, rowOf, typedValue, writeRow, type Row } from './row-value.js';
import { present, StreamState, type FeatureReading } from './stream-state.js';
import { departureOf, firstTileSeen, tileOf } from './stream.model.js';

/**
 * The latest `capacity` events that have a value, in canonical order. They serve every window: what is in a window are
 * the newest of them, or nothing is (invariant 3 of {@link StreamState}).
 */
export class LatestRows extends StreamState {
  readonly #hopMs: number | null;
  readonly #capacity: number;
  /** Newest first. */
  #rows: Row[] = [];

  constructor(hopMs: number | null, capacity: number) {
    super();
    this.#hopMs = hopMs;
    this.#capacity = capacity;
  }

  static unpack(reader: PackedReader, hopMs: number | null, capacity: number): LatestRows {
    const state = new LatestRows(hopMs, capacity);
    let baseMs = reader.signed() * (hopMs ?? 0);
    do {
      if (state.#rows.length === capacity) throw corruptState('there are too many rows', reader.at);
      const row = readRow(reader, baseMs);
      state.#rows.unshift(row);
      baseMs = row.occurredAt;
    } while (!reader.done);
    return state;
  }

  get isEmpty(): boolean {
    return this.#rows.length === 0;
  }

  add(_tile: number, event: FeatureEvent, value: JsonValue | undefined): boolean {
    if (value === undefined || value === null) return false;
    const row = rowOf(event, value);
    return row.value !== null && this.#put(row);
  }

  merge(other: LatestRows): void {
    for (const row of other.#rows) if (!this.#put(row)) return;
  }

  dropBefore(tile: number): void {
    const kept = this.#rows.filter((row) => tileOf(row.occurredAt, this.#hopMs) >= tile);
    if (kept.length === this.#rows.length) return;
    this.#rows = kept;
    this.packed = null;
  }

  /** Of the latest `limit` values, those of the feature's type. */
  read(feature: FeatureReading, t: number): FeatureValue {
    const { windowMs, limit, type } = feature.definition;
    const from = firstTileSeen(t, windowMs, this.#hopMs);
    const itemType = itemTypeOf(type) ?? 'string';
    const values: Item[] = [];
    let newestTs: number | null = null;
    let validUntil = Infinity;
    let approximate = false;
    for (let i = 0; i < this.#rows.length && i < (limit ?? 1); i++) {
      const row = this.#rows[i] as Row;
      const tile = tileOf(row.occurredAt, this.#hopMs);
      if (tile < from) break;
      const value = typedValue(row.value, itemType);
      if (value === null) continue;
      values.push(value);
      newestTs ??= row.occurredAt;
      validUntil = departureOf(tile, windowMs, this.#hopMs);
      approximate ||= row.shortened;
    }
    return values.length === 0 ? feature.empty : present(values, newestTs, validUntil, approximate);
  }

  write(writer: PackedWriter): void {
    const oldest = tileOf(this.#rows.at(-1)?.occurredAt ?? 0, this.#hopMs);
    writer.signed(oldest);
    let baseMs = oldest * (this.#hopMs ?? 0);
    for (let i = this.#rows.length - 1; i >= 0; i--) {
      const row = this.#rows[i] as Row;
      writeRow(writer, row, baseMs);
      baseMs = row.occurredAt;
    }
  }

  #put(row: Row): boolean {
    const rows = this.#rows;
    let position = rows.length;
    while (position > 0 && isEarlier(rows[position - 1] as Row, row)) position--;
    if (position >= this.#capacity) return false;
    rows.splice(position, 0, row);
    if (rows.length > this.#capacity) rows.pop();
    this.packed = null;
    return true;
  }
}
