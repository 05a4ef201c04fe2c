import type { JsonValue } from '../events/event.model.js';
import { compareValue, type CompareOp, type Constant } from './compare-value.model.js';
import { MAX_ADDEND, MICROS, quotientOf } from './exact-number.js';
import type { FeatureEvent, FeatureValue } from './feature.model.js';
import { insertAt, trimmed } from './insert-at.js';
import { corruptState, type PackedReader, type PackedWriter } from './packed-bytes.js';
import { present, type FeatureReading } from './stream-state.js';
import { departureOf, firstTileSeen } from './stream.model.js';
import { TileStream } from './tile-stream.js';

/**
 * A sum of micro-units is `high · 10¹² + low` with `0 ≤ low < 10¹²`: two safe integers, so that adding is exact and
 * order cannot show. An addend has at most 10⁶ in its high part, so that a sum of nine thousand million of them is exact.
 */
const BASE = 1e12;
/** Below it `high · 10¹² + low` is a safe integer itself. */
const MAX_SINGLE_HIGH = 9_000;

const CENT_MICROS = 1e4;
/** How a total is packed: micro-units divided by the greatest of these that divides it; most are cents or units. */
const SCALES: readonly number[] = [1, CENT_MICROS, MICROS];
const PAIR = 3;

/** Exact sum and count of the values of each tile, and how many were no number within ±{@link MAX_ADDEND}. */
export class MomentTiles extends TileStream {
  #counts: number[] = [];
  #ignored: number[] = [];
  #highs: number[] = [];
  #lows: number[] = [];

  static unpack(reader: PackedReader, hopMs: number | null): MomentTiles {
    const state = new MomentTiles(hopMs);
    state.readTiles(reader);
    state.#forgetNewestIfNothingCounts();
    return state;
  }

  add(tile: number, event: FeatureEvent, value: JsonValue | undefined): boolean {
    if (value === undefined || value === null) return false;
    this.packed = null;
    if (typeof value !== 'number' || !(Math.abs(value) <= MAX_ADDEND)) {
      this.#put(tile, 0, 1, 0, 0);
      return true;
    }
    const high = Math.trunc(value / MICROS);
    // Exact: the product is an integer near the value, so that the difference of the two has no rounding.
    this.#put(tile, 1, 0, high, Math.round((value - high * MICROS) * MICROS));
    if (event.occurredAt > this.newestTs) this.newestTs = event.occurredAt;
    return true;
  }

  merge(other: MomentTiles): void {
    for (let i = 0; i < other.tiles.length; i++) {
      const high = other.#highs[i] ?? 0;
      this.#put(other.tiles[i] ?? 0, other.#counts[i] ?? 0, other.#ignored[i] ?? 0, high, other.#lows[i] ?? 0);
    }
    this.newestTs = Math.max(this.newestTs, other.newestTs);
    this.packed = null;
  }

  override takeOut(other: MomentTiles): boolean {
    const isIn = other.tiles.every((tile, i) => {
      const at = this.locate(tile);
      const [counts, ignored] = [this.#counts[at] ?? 0, this.#ignored[at] ?? 0];
      return at >= 0 && counts >= (other.#counts[i] ?? 0) && ignored >= (other.#ignored[i] ?? 0);
    });
    if (!isIn) return false;
    for (const [i, tile] of other.tiles.entries()) {
      const [counts, ignored] = [other.#counts[i] ?? 0, other.#ignored[i] ?? 0];
      this.#put(tile, -counts, -ignored, -(other.#highs[i] ?? 0), -(other.#lows[i] ?? 0));
      const at = this.locate(tile);
      if ((this.#counts[at] ?? 0) + (this.#ignored[at] ?? 0) === 0) this.#remove(at, 1);
    }
    this.boundNewest();
    this.#forgetNewestIfNothingCounts();
    this.packed = null;
    return true;
  }

  override dropBefore(tile: number): void {
    super.dropBefore(tile);
    this.#forgetNewestIfNothingCounts();
  }

  read(feature: FeatureReading, t: number): FeatureValue {
    const { windowMs } = feature.definition;
    const from = firstTileSeen(t, windowMs, this.hopMs);
    let i = this.tiles.length;
    let count = 0;
    let ignored = 0;
    let high = 0;
    let low = 0;
    while (i > 0 && (this.tiles[i - 1] ?? 0) >= from) {
      i--;
      count += this.#counts[i] ?? 0;
      ignored += this.#ignored[i] ?? 0;
      high += this.#highs[i] ?? 0;
      low += this.#lows[i] ?? 0;
    }
    if (i === this.tiles.length) return feature.empty;
    return this.#value(feature, count, ignored, high, low, departureOf(this.tiles[i] ?? 0, windowMs, this.hopMs));
  }

  /** As the general one, without adding up the window anew at each departure. */
  override flipAt(feature: FeatureReading, t: number, op: CompareOp, constant: Constant): number {
    const { windowMs } = feature.definition;
    const start = this.firstFrom(firstTileSeen(t, windowMs, this.hopMs));
    let count = 0;
    let high = 0;
    let low = 0;
    for (let i = start; i < this.tiles.length; i++) {
      count += this.#counts[i] ?? 0;
      high += this.#highs[i] ?? 0;
      low += this.#lows[i] ?? 0;
    }
    const before = compareValue(this.read(feature, t), op, constant);
    for (let i = start; i < this.tiles.length; i++) {
      const at = departureOf(this.tiles[i] ?? 0, windowMs, this.hopMs);
      if (at === Infinity) return Infinity;
      count -= this.#counts[i] ?? 0;
      high -= this.#highs[i] ?? 0;
      low -= this.#lows[i] ?? 0;
      const value = i + 1 === this.tiles.length ? feature.empty : this.#value(feature, count, 0, high, low, at);
      if (compareValue(value, op, constant) !== before) return at;
    }
    return Infinity;
  }

  #value(
    feature: FeatureReading,
    count: number,
    ignored: number,
    high: number,
    low: number,
    validUntil: number,
  ): FeatureValue {
    const eventTs = count === 0 ? null : this.newestTs;
    const approximate = ignored > 0;
    if (feature.definition.aggregate === 'sum') {
      return present(quotient(high, low, MICROS), eventTs, validUntil, approximate);
    }
    if (count === 0) return { status: 'NOT_FOUND', value: null, eventTs, validUntil, approximate };
    return present(quotient(high, low, MICROS * count), eventTs, validUntil, approximate);
  }

  #put(tile: number, count: number, ignored: number, high: number, low: number): void {
    let position = this.locate(tile);
    if (position < 0) {
      position = ~position;
      this.tiles = insertAt(this.tiles, position, tile);
      this.#counts = insertAt(this.#counts, position, 0);
      this.#ignored = insertAt(this.#ignored, position, 0);
      this.#highs = insertAt(this.#highs, position, 0);
      this.#lows = insertAt(this.#lows, position, 0);
    }
    const sum = (this.#lows[position] ?? 0) + low;
    const carry = Math.floor(sum / BASE);
    this.#counts[position] = (this.#counts[position] ?? 0) + count;
    this.#ignored[position] = (this.#ignored[position] ?? 0) + ignored;
    this.#highs[position] = (this.#highs[position] ?? 0) + high + carry;
    this.#lows[position] = sum - carry * BASE;
  }

  #forgetNewestIfNothingCounts(): void {
    if (this.#counts.every((count) => count === 0)) this.newestTs = -Infinity;
  }

  protected override trim(): void {
    this.#counts = trimmed(this.#counts);
    this.#ignored = trimmed(this.#ignored);
    this.#highs = trimmed(this.#highs);
    this.#lows = trimmed(this.#lows);
  }

  protected cut(count: number): void {
    this.#remove(0, count);
  }

  #remove(position: number, count: number): void {
    for (const content of [this.tiles, this.#counts, this.#ignored, this.#highs, this.#lows]) {
      content.splice(position, count);
    }
  }

  protected writeTile(writer: PackedWriter, position: number, gap: number): void {
    writer.varint(gap);
    const ignored = this.#ignored[position] ?? 0;
    const high = this.#highs[position] ?? 0;
    const low = this.#lows[position] ?? 0;
    const single = Math.abs(high) < MAX_SINGLE_HIGH;
    const sum = single ? high * BASE + low : high;
    const magnitude = Math.abs(sum);
    const scale = !single ? PAIR : magnitude % MICROS === 0 ? 2 : magnitude % CENT_MICROS === 0 ? 1 : 0;
    writer.varint((this.#counts[position] ?? 0) * 16 + (sum < 0 ? 8 : 0) + (ignored > 0 ? 4 : 0) + scale);
    if (ignored > 0) writer.varint(ignored);
    writer.varint(magnitude / (SCALES[scale] ?? 1));
    if (!single) writer.varint(low);
  }

  protected readTile(reader: PackedReader, next: number): number {
    const tile = next + reader.varint();
    const head = reader.varint();
    const scale = head & 3;
    this.#counts.push(Math.floor(head / 16));
    this.#ignored.push((head & 4) === 0 ? 0 : reader.varint());
    const magnitude = reader.varint() * (SCALES[scale] ?? 1);
    if (magnitude > Number.MAX_SAFE_INTEGER) throw corruptState('a sum is too large', reader.at);
    const sum = (head & 8) === 0 ? magnitude : -magnitude;
    if (scale === PAIR) {
      this.#highs.push(sum);
      this.#lows.push(reader.varint());
    } else {
      const high = Math.floor(sum / BASE);
      this.#highs.push(high);
      this.#lows.push(sum - high * BASE);
    }
    return tile;
  }
}

/** Micro-units, divided: the nearest number, a function of the exact total alone. */
function quotient(high: number, low: number, divisor: number): number {
  const carry = Math.floor(low / BASE);
  const [top, rest] = [high + carry, low - carry * BASE];
  if (Math.abs(top) < MAX_SINGLE_HIGH) return (top * BASE + rest) / divisor;
  return quotientOf(BigInt(top) * BigInt(BASE) + BigInt(rest), divisor);
}
