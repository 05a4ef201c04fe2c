import type { JsonValue } from '../events/event.model.js';
import type { FeatureEvent, FeatureValue } from './feature.model.js';
import { insertAt, trimmed } from './insert-at.js';
import type { PackedReader, PackedWriter } from './packed-bytes.js';
import { present, type FeatureReading } from './stream-state.js';
import { departureOf, firstTileSeen } from './stream.model.js';
import { TileStream } from './tile-stream.js';

/**
 * The greatest (or least) value of each tile, without the tiles that a newer tile equals or surpasses: they cannot show
 * again (invariant 3 of {@link StreamState}). From old to new the values strictly fall (or rise), and the first tile
 * within a window holds its extreme.
 */
export class ExtremeTiles extends TileStream {
  #values: number[] = [];
  /** 1 for the greatest, −1 for the least. */
  readonly #sign: 1 | -1;

  constructor(hopMs: number | null, kind: 'min' | 'max') {
    super(hopMs);
    this.#sign = kind === 'max' ? 1 : -1;
  }

  static unpack(reader: PackedReader, hopMs: number | null, kind: 'min' | 'max'): ExtremeTiles {
    const state = new ExtremeTiles(hopMs, kind);
    state.readTiles(reader);
    return state;
  }

  add(tile: number, event: FeatureEvent, value: JsonValue | undefined): boolean {
    if (typeof value !== 'number' || !Number.isFinite(value)) return false;
    // Adding 0 turns −0 into 0, which packing does not tell apart.
    let changed = this.#put(tile, value + 0);
    if (event.occurredAt > this.newestTs) {
      this.newestTs = event.occurredAt;
      changed = true;
    }
    if (changed) this.packed = null;
    return changed;
  }

  merge(other: ExtremeTiles): void {
    for (let i = 0; i < other.tiles.length; i++) this.#put(other.tiles[i] ?? 0, other.#values[i] ?? 0);
    this.newestTs = Math.max(this.newestTs, other.newestTs);
    this.packed = null;
  }

  read(feature: FeatureReading, t: number): FeatureValue {
    const { windowMs } = feature.definition;
    const position = this.firstFrom(firstTileSeen(t, windowMs, this.hopMs));
    const value = this.#values[position];
    if (value === undefined) return feature.empty;
    return present(value, this.newestTs, departureOf(this.tiles[position] ?? 0, windowMs, this.hopMs));
  }

  #put(tile: number, value: number): boolean {
    const located = this.locate(tile);
    const position = located < 0 ? ~located : located;
    const newer = this.#values[position];
    if (newer !== undefined && !this.#surpasses(value, newer)) return false;
    let first = position;
    while (first > 0 && !this.#surpasses(this.#values[first - 1] ?? 0, value)) first--;
    const end = located < 0 ? position : position + 1;
    if (end > first) {
      this.tiles.splice(first, end - first, tile);
      this.#values.splice(first, end - first, value);
    } else {
      this.tiles = insertAt(this.tiles, first, tile);
      this.#values = insertAt(this.#values, first, value);
    }
    return true;
  }

  #surpasses(a: number, b: number): boolean {
    return (a - b) * this.#sign > 0;
  }

  protected override trim(): void {
    this.#values = trimmed(this.#values);
  }

  protected cut(count: number): void {
    this.tiles.splice(0, count);
    this.#values.splice(0, count);
  }

  protected writeTile(writer: PackedWriter, position: number, gap: number): void {
    writer.varint(gap);
    writer.number(this.#values[position] ?? 0);
  }

  protected readTile(reader: PackedReader, next: number): number {
    const tile = next + reader.varint();
    this.#values.push(reader.number());
    return tile;
  }
}
