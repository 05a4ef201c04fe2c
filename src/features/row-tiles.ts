import type { JsonValue } from '../events/event.model.js';
import type { FeatureEvent, FeatureValue } from './feature.model.js';
import { insertAt, trimmed } from './insert-at.js';
import type { PackedReader, PackedWriter } from './packed-bytes.js';
import { isEarlier, readRow, rowOf, valueOfRow, writeRow, type Row } from './row-value.js';
import { StreamState, type FeatureReading } from './stream-state.js';
import { departureOf, firstTileSeen, tileOf } from './stream.model.js';
import { TileStream } from './tile-stream.js';

/** The first event of each tile in canonical order. It is chosen by row: an event without a value wins all the same. */
export class FirstRows extends TileStream {
  #rows: Row[] = [];

  static unpack(reader: PackedReader, hopMs: number | null): FirstRows {
    const state = new FirstRows(hopMs);
    state.readTiles(reader);
    // Rows carry their own times.
    state.newestTs = -Infinity;
    return state;
  }

  add(tile: number, event: FeatureEvent, value: JsonValue | undefined): boolean {
    const position = this.locate(tile);
    const current = position < 0 ? undefined : this.#rows[position];
    if (current !== undefined && !isEarlier(event, current)) return false;
    this.#put(tile, position, rowOf(event, value));
    this.packed = null;
    return true;
  }

  merge(other: FirstRows): void {
    for (const [i, row] of other.#rows.entries()) {
      const tile = other.tiles[i] ?? 0;
      const position = this.locate(tile);
      const current = position < 0 ? undefined : this.#rows[position];
      if (current === undefined || isEarlier(row, current)) this.#put(tile, position, row);
    }
    this.packed = null;
  }

  read(feature: FeatureReading, t: number): FeatureValue {
    const { windowMs } = feature.definition;
    const position = this.firstFrom(firstTileSeen(t, windowMs, this.hopMs));
    const row = this.#rows[position];
    if (row === undefined) return feature.empty;
    return valueOfRow(row, feature, departureOf(this.tiles[position] ?? 0, windowMs, this.hopMs));
  }

  #put(tile: number, position: number, row: Row): void {
    if (position >= 0) {
      this.#rows[position] = row;
    } else {
      this.tiles = insertAt(this.tiles, ~position, tile);
      this.#rows = insertAt(this.#rows, ~position, row);
    }
  }

  protected override trim(): void {
    this.#rows = trimmed(this.#rows);
  }

  protected cut(count: number): void {
    this.tiles.splice(0, count);
    this.#rows.splice(0, count);
  }

  protected writeTile(writer: PackedWriter, position: number, gap: number): void {
    writer.varint(gap);
    const row = this.#rows[position];
    if (row !== undefined) writeRow(writer, row, (this.tiles[position] ?? 0) * (this.hopMs ?? 0));
  }

  protected readTile(reader: PackedReader, next: number): number {
    const tile = next + reader.varint();
    this.#rows.push(readRow(reader, tile * (this.hopMs ?? 0)));
    return tile;
  }
}

/**
 * The last event in canonical order. One row serves every window: it is in the window or nothing is (invariant 3 of
 * {@link StreamState}).
 */
export class LastRow extends StreamState {
  readonly #hopMs: number | null;
  #row: Row | null = null;

  constructor(hopMs: number | null) {
    super();
    this.#hopMs = hopMs;
  }

  static unpack(reader: PackedReader, hopMs: number | null): LastRow {
    const state = new LastRow(hopMs);
    state.#row = readRow(reader, reader.signed() * (hopMs ?? 0));
    return state;
  }

  get isEmpty(): boolean {
    return this.#row === null;
  }

  add(_tile: number, event: FeatureEvent, value: JsonValue | undefined): boolean {
    if (this.#row !== null && isEarlier(event, this.#row)) return false;
    this.#row = rowOf(event, value);
    this.packed = null;
    return true;
  }

  merge(other: LastRow): void {
    if (other.#row === null || (this.#row !== null && isEarlier(other.#row, this.#row))) return;
    this.#row = other.#row;
    this.packed = null;
  }

  dropBefore(tile: number): void {
    if (this.#row === null || tileOf(this.#row.occurredAt, this.#hopMs) >= tile) return;
    this.#row = null;
    this.packed = null;
  }

  read(feature: FeatureReading, t: number): FeatureValue {
    const { windowMs } = feature.definition;
    if (this.#row === null) return feature.empty;
    const tile = tileOf(this.#row.occurredAt, this.#hopMs);
    if (tile < firstTileSeen(t, windowMs, this.#hopMs)) return feature.empty;
    return valueOfRow(this.#row, feature, departureOf(tile, windowMs, this.#hopMs));
  }

  write(writer: PackedWriter): void {
    if (this.#row === null) return;
    const tile = tileOf(this.#row.occurredAt, this.#hopMs);
    writer.signed(tile);
    writeRow(writer, this.#row, tile * (this.#hopMs ?? 0));
  }
}
