import { corruptState, type PackedReader, type PackedWriter } from './packed-bytes.js';
import { HASH_BITS } from './value-hash.js';

/** 2^12 registers: a standard error of 1.6 %. */
const PRECISION = 12;
const REGISTERS = 2 ** PRECISION;
/** Bits of a hash that are left for the rank. */
const RANK_BITS = HASH_BITS - PRECISION;
const MAX_RANK = RANK_BITS + 1;
/** Limit of the bias correction for many registers, 1 / (2 ln 2). */
const ALPHA = 0.5 / Math.LN2;

/**
 * HyperLogLog over a window that moves on (Chabchoub and Hébrail, "Sliding HyperLogLog", ICDMW 2010): each register
 * keeps, from old to new, the ranks that no newer tile equals or surpasses, with their tiles. The first one within a
 * window is the rank that a HyperLogLog of the values in that window would hold. So it is a function of the set of
 * (value, tile), merges, and forgets old tiles exactly.
 */
export class SlidingHyperLogLog {
  /** Register → tile, rank, tile, rank, …; tiles rise, ranks strictly fall. */
  readonly #registers = new Map<number, number[]>();

  /** @returns whether anything changed */
  add(hash: number, tile: number): boolean {
    return this.#put(Math.floor(hash / 2 ** RANK_BITS), rankOf(hash), tile);
  }

  merge(other: SlidingHyperLogLog): void {
    for (const [register, ranks] of other.#registers) {
      for (let i = 0; i < ranks.length; i += 2) this.#put(register, ranks[i + 1] ?? 0, ranks[i] ?? 0);
    }
  }

  dropBefore(tile: number): void {
    for (const [register, ranks] of this.#registers) {
      const kept = firstFrom(ranks, tile);
      if (kept === ranks.length) this.#registers.delete(register);
      else if (kept > 0) ranks.splice(0, kept);
    }
  }

  /** Estimated number of values in `from` and later tiles, and the oldest of those tiles that shows in it. */
  estimate(from: number): { readonly count: number; readonly oldestTile: number } {
    const histogram = new Uint16Array(MAX_RANK + 1);
    histogram[0] = REGISTERS;
    let oldestTile = Infinity;
    for (const ranks of this.#registers.values()) {
      const position = firstFrom(ranks, from);
      const rank = ranks[position + 1];
      if (rank === undefined) continue;
      histogram[0]--;
      histogram[rank] = (histogram[rank] ?? 0) + 1;
      oldestTile = Math.min(oldestTile, ranks[position] ?? Infinity);
    }
    return { count: Math.round(estimateCardinality(histogram)), oldestTile };
  }

  get oldestTile(): number {
    let oldest = Infinity;
    for (const ranks of this.#registers.values()) oldest = Math.min(oldest, ranks[0] ?? Infinity);
    return oldest;
  }

  /** @param tiled false: there is but one tile, and it is not written */
  write(writer: PackedWriter, oldestTile: number, tiled: boolean): void {
    let previous = -1;
    for (const register of [...this.#registers.keys()].sort((a, b) => a - b)) {
      const ranks = this.#registers.get(register) ?? [];
      for (let i = 0; i < ranks.length; i += 2) {
        const gap = i === 0 ? register - previous - 1 : 0;
        const more = i + 2 < ranks.length ? 1 : 0;
        writer.varint((gap * 64 + (ranks[i + 1] ?? 0)) * 2 + more);
        if (tiled) writer.varint((ranks[i] ?? 0) - oldestTile);
      }
      previous = register;
    }
  }

  static unpack(reader: PackedReader, oldestTile: number, tiled: boolean): SlidingHyperLogLog {
    const sketch = new SlidingHyperLogLog();
    let register = -1;
    while (!reader.done) {
      const ranks: number[] = [];
      let more = true;
      while (more) {
        const head = reader.varint();
        if (ranks.length === 0) register += Math.floor(head / 128) + 1;
        const rank = (head >>> 1) & 63;
        if (register >= REGISTERS || rank === 0 || rank > MAX_RANK)
          throw corruptState('a sketch is damaged', reader.at);
        ranks.push(tiled ? oldestTile + reader.varint() : 0, rank);
        more = (head & 1) === 1;
      }
      sketch.#registers.set(register, ranks);
    }
    return sketch;
  }

  #put(register: number, rank: number, tile: number): boolean {
    const ranks = this.#registers.get(register);
    if (ranks === undefined) {
      this.#registers.set(register, [tile, rank]);
      return true;
    }
    const position = firstFrom(ranks, tile);
    if (position < ranks.length && (ranks[position + 1] ?? 0) >= rank) return false;
    let first = position;
    while (first > 0 && (ranks[first - 1] ?? 0) <= rank) first -= 2;
    const end = ranks[position] === tile ? position + 2 : position;
    ranks.splice(first, end - first, tile, rank);
    return true;
  }
}

/** Leading zeros of the low 36 bits of a hash, plus one: 1 … 37. */
function rankOf(hash: number): number {
  const high = Math.floor(hash / 2 ** 32) % 2 ** (RANK_BITS - 32);
  return high > 0 ? Math.clz32(high) - (64 - RANK_BITS) + 1 : Math.clz32(hash % 2 ** 32) + (RANK_BITS - 32) + 1;
}

/** Index into flat (tile, rank) pairs of the first whose tile is not older. */
function firstFrom(ranks: readonly number[], tile: number): number {
  let position = 0;
  while (position < ranks.length && (ranks[position] ?? 0) < tile) position += 2;
  return position;
}

/**
 * Improved raw estimator of O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017),
 * algorithm 6: unbiased over the whole range without tables.
 *
 * @param histogram how many registers hold each rank, 0 … 37
 */
function estimateCardinality(histogram: Uint16Array): number {
  const m = REGISTERS;
  let z = m * tau(1 - (histogram[MAX_RANK] ?? 0) / m);
  for (let rank = RANK_BITS; rank >= 1; rank--) z = 0.5 * (z + (histogram[rank] ?? 0));
  z += m * sigma((histogram[0] ?? 0) / m);
  return (ALPHA * m * m) / z;
}

function sigma(share: number): number {
  if (share === 1) return Infinity;
  let x = share;
  let y = 1;
  let z = x;
  for (let previous = NaN; z !== previous; y += y) {
    previous = z;
    x *= x;
    z += x * y;
  }
  return z;
}

function tau(share: number): number {
  if (share === 0 || share === 1) return 0;
  let x = share;
  let y = 1;
  let z = 1 - x;
  for (let previous = NaN; z !== previous;) {
    previous = z;
    x = Math.sqrt(x);
    y *= 0.5;
    z -= (1 - x) ** 2 * y;
  }
  return z / 3;
}
