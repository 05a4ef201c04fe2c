import type { CompareOp, Constant } from './compare-value.model.js';
import { DECAY_HALF_LIVES, factorOfTile, fadesUntil, flipOfFading } from './decay.model.js';
import type { FeatureValue } from './feature.model.js';
import { weights } from './keyed-cells.js';
import { KeyedTiles, type KeyedTile } from './keyed-tiles.js';
import { greatest } from './keyed-values.js';
import type { PackedReader } from './packed-bytes.js';
import { present, type FeatureReading } from './stream-state.js';

/**
 * Decayed counts by tag. All weights fade alike, so shares of the total stand still between events, until a tile
 * departs.
 */
export class AffinityTiles extends KeyedTiles<number> {
  readonly #halfLifeMs: number;

  constructor(halfLifeMs: number) {
    super(halfLifeMs, weights(halfLifeMs));
    this.#halfLifeMs = halfLifeMs;
  }

  static unpack(reader: PackedReader, halfLifeMs: number): AffinityTiles {
    return new AffinityTiles(halfLifeMs).unpackFrom(reader);
  }

  override read(feature: FeatureReading, t: number): FeatureValue {
    const start = this.firstInWindow(feature, t);
    if (start === this.tiles.length) return feature.empty;
    const { options, limit } = feature.definition;
    const departsAt = this.departureAt(start, feature);
    const approximate = this.cells.slice(start).some(isApproximate);
    const newest = this.tiles.at(-1) ?? 0;
    const byTag = this.#weightsAtTile(newest, start);
    if (byTag.size === 0) return { ...feature.empty, approximate, validUntil: departsAt };
    const isShare = options?.of !== 'weight';
    const scale = isShare ? 1 / sumOf([...byTag.values()]) : factorOfTile(newest, t, this.#halfLifeMs);
    const until = isShare ? departsAt : Math.min(departsAt, fadesUntil(t, this.#halfLifeMs));
    if (options?.key !== undefined) {
      return present((byTag.get(options.key) ?? 0) * scale, this.newestTs, until, approximate);
    }
    const top = greatest([...byTag], limit).map(([tag, weight]) => [tag, weight * scale] as const);
    return present(Object.fromEntries(top), this.newestTs, until, approximate);
  }

  override flipAt(feature: FeatureReading, t: number, op: CompareOp, constant: Constant): number {
    return flipOfFading(
      (at) => this.read(feature, at),
      (at) => this.departureAfter(feature, at),
      { t, op, constant, halfLifeMs: this.#halfLifeMs },
    );
  }

  protected override windowOf(): number {
    return DECAY_HALF_LIVES * this.#halfLifeMs;
  }

  protected valueOver(): never {
    throw new TypeError('affinities are read tile by tile');
  }

  /** What each tag weighs at the landmark of the newest tile. Powers of 2 are exact, so only the last bits round. */
  #weightsAtTile(newest: number, start: number): Map<string, number> {
    const byTag = new Map<string, number>();
    for (let i = start; i < this.cells.length; i++) {
      const factor = 2 ** ((this.tiles[i] ?? 0) - newest);
      for (const [tag, weight] of this.cells[i]?.cells ?? []) {
        byTag.set(tag, (byTag.get(tag) ?? 0) + this.kind.numberOf(weight, 'affinity') * factor);
      }
    }
    return byTag;
  }
}

function isApproximate({ hashBound, hasIgnored, isLost }: KeyedTile<number>): boolean {
  return hashBound !== Infinity || hasIgnored || isLost;
}

/** By size, so that rounding does not depend on the order of tags. */
function sumOf(numbers: number[]): number {
  return numbers.sort((a, b) => a - b).reduce((sum, number) => sum + number, 0);
}
