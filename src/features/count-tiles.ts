import {
  countActiveUnits,
  hourMask,
  shareOfHours,
  sharesByHourOfWeek,
  visitLaterShares,
  type CountedTiles,
} from './calendar-counts.js';
import { compareValue, type CompareOp, type Constant } from './compare-value.model.js';
import type { FeatureEvent, FeatureValue } from './feature.model.js';
import type { ZoneOffsets } from '../platform/zone-offsets.js';
import { insertAt, trimmed } from './insert-at.js';
import type { PackedReader, PackedWriter } from './packed-bytes.js';
import { present, type FeatureReading } from './stream-state.js';
import { departureOf, firstTileSeen } from './stream.model.js';
import { TileStream } from './tile-stream.js';

/** Smaller counts are packed in one number with the gap before their tile: most tiles then take one byte. */
const LARGE_COUNT = 8;

/** How many events fell into each tile. */
export class CountTiles extends TileStream {
  #counts: number[] = [];

  static unpack(reader: PackedReader, hopMs: number | null): CountTiles {
    const state = new CountTiles(hopMs);
    state.readTiles(reader);
    return state;
  }

  add(tile: number, event: FeatureEvent): boolean {
    this.#put(tile, 1);
    if (event.occurredAt > this.newestTs) this.newestTs = event.occurredAt;
    this.packed = null;
    return true;
  }

  merge(other: CountTiles): void {
    for (let i = 0; i < other.tiles.length; i++) this.#put(other.tiles[i] ?? 0, other.#counts[i] ?? 0);
    this.newestTs = Math.max(this.newestTs, other.newestTs);
    this.packed = null;
  }

  override takeOut(other: CountTiles): boolean {
    const left = new Map(this.tiles.map((tile, i) => [tile, this.#counts[i] ?? 0]));
    for (const [i, tile] of other.tiles.entries()) left.set(tile, (left.get(tile) ?? 0) - (other.#counts[i] ?? 0));
    if ([...left.values()].some((count) => count < 0)) return false;
    const kept = [...left].filter(([, count]) => count > 0);
    this.cut(this.tiles.length);
    for (const [tile, count] of kept) this.#put(tile, count);
    this.boundNewest();
    this.packed = null;
    return true;
  }

  read(feature: FeatureReading, t: number): FeatureValue {
    const { windowMs } = feature.definition;
    if (feature.zone !== null) return this.#readCalendar(feature, feature.zone, t);
    const from = firstTileSeen(t, windowMs, this.hopMs);
    let total = 0;
    let i = this.tiles.length;
    while (i > 0 && (this.tiles[i - 1] ?? 0) >= from) total += this.#counts[--i] ?? 0;
    if (total === 0) return feature.empty;
    return present(total, this.newestTs, departureOf(this.tiles[i] ?? 0, windowMs, this.hopMs));
  }

  #readCalendar({ definition, empty }: FeatureReading, zone: ZoneOffsets, t: number): FeatureValue {
    const { windowMs, unitMs, options } = definition;
    const counted = this.#counted(windowMs, zone, t);
    if (counted === null) return empty;
    const until = (index: number): number => departureOf(this.tiles[index] ?? 0, windowMs, this.hopMs);
    if (definition.aggregate === 'frequency') {
      const { units, changesWith } = countActiveUnits(counted, unitMs ?? 1);
      return present(units, this.newestTs, until(changesWith));
    }
    const isOne = options?.days !== undefined || options?.hours !== undefined;
    const value = isOne ? shareOfHours(counted, hourMask(options)) : sharesByHourOfWeek(counted);
    return present(value, this.newestTs, until(counted.from));
  }

  /** Null: the window sees none. */
  #counted(windowMs: number | null, zone: ZoneOffsets, t: number): CountedTiles | null {
    const from = this.firstFrom(firstTileSeen(t, windowMs, this.hopMs));
    if (from === this.tiles.length || this.hopMs === null) return null;
    return { tiles: this.tiles, counts: this.#counts, from, hopMs: this.hopMs, zone };
  }

  /** As the general one; shares are told without adding up the window anew at each departure. */
  #calendarFlipAt(feature: FeatureReading, zone: ZoneOffsets, t: number, op: CompareOp, constant: Constant): number {
    const { aggregate, windowMs, options } = feature.definition;
    if (aggregate !== 'hour_of_week') return super.flipAt(feature, t, op, constant);
    const now = this.read(feature, t);
    const before = compareValue(now, op, constant);
    const counted = this.#counted(windowMs, zone, t);
    if (counted === null) return Infinity;
    let flipsAt = Infinity;
    visitLaterShares(counted, hourMask(options ?? {}), (leaving, share) => {
      const isList = typeof now.value === 'object';
      const value = share === null ? feature.empty : isList ? now : present(share, this.newestTs, Infinity);
      if (compareValue(value, op, constant) === before) return false;
      flipsAt = departureOf(this.tiles[leaving] ?? 0, windowMs, this.hopMs);
      return true;
    });
    return flipsAt;
  }

  /** As the general one, without adding up the window anew at each departure. */
  override flipAt(feature: FeatureReading, t: number, op: CompareOp, constant: Constant): number {
    if (feature.zone !== null) return this.#calendarFlipAt(feature, feature.zone, t, op, constant);
    const { windowMs } = feature.definition;
    const now = this.read(feature, t);
    const before = compareValue(now, op, constant);
    let left = now.value as number;
    for (let i = this.firstFrom(firstTileSeen(t, windowMs, this.hopMs)); i < this.tiles.length; i++) {
      const at = departureOf(this.tiles[i] ?? 0, windowMs, this.hopMs);
      left -= this.#counts[i] ?? 0;
      const value = left === 0 ? feature.empty : present(left, this.newestTs, at);
      if (compareValue(value, op, constant) !== before) return at;
    }
    return Infinity;
  }

  #put(tile: number, count: number): void {
    const position = this.locate(tile);
    if (position >= 0) {
      this.#counts[position] = (this.#counts[position] ?? 0) + count;
    } else {
      this.tiles = insertAt(this.tiles, ~position, tile);
      this.#counts = insertAt(this.#counts, ~position, count);
    }
  }

  protected override trim(): void {
    this.#counts = trimmed(this.#counts);
  }

  protected cut(count: number): void {
    this.tiles.splice(0, count);
    this.#counts.splice(0, count);
  }

  protected writeTile(writer: PackedWriter, position: number, gap: number): void {
    const count = this.#counts[position] ?? 1;
    if (count < LARGE_COUNT) {
      writer.varint(gap * LARGE_COUNT + count - 1);
    } else {
      writer.varint(gap * LARGE_COUNT + LARGE_COUNT - 1);
      writer.varint(count - LARGE_COUNT);
    }
  }

  protected readTile(reader: PackedReader, next: number): number {
    const head = reader.varint();
    const count = (head % LARGE_COUNT) + 1;
    this.#counts.push(count < LARGE_COUNT ? count : count + reader.varint());
    return next + Math.floor(head / LARGE_COUNT);
  }
}
