import { entropyOf } from './entropy.js';
import type { FeatureValue } from './feature.model.js';
import type { CellKind } from './keyed-cells.js';
import { KeyedTiles, type KeyedTile } from './keyed-tiles.js';
import type { PackedReader } from './packed-bytes.js';
import { present, type FeatureReading } from './stream-state.js';

/** Keys that a map shows at most where its definition does not say. */
const DEFAULT_LIMIT = 100;

/** A number by key: maps, one of their keys, the most frequent keys, their entropy. */
export class KeyedValues<Cell> extends KeyedTiles<Cell> {
  static unpack<Cell>(reader: PackedReader, hopMs: number | null, kind: CellKind<Cell>): KeyedValues<Cell> {
    return new KeyedValues(hopMs, kind).unpackFrom(reader);
  }

  protected valueOver(total: KeyedTile<Cell>, feature: FeatureReading, until: number): FeatureValue {
    const { definition, empty } = feature;
    const { aggregate, limit } = definition;
    const approximate = total.hasIgnored;
    if (total.cells.size === 0) return { ...empty, approximate, validUntil: approximate ? until : Infinity };
    const numbers = [...total.cells].map(([key, cell]) => [key, this.kind.numberOf(cell, aggregate)] as const);
    return present(shown(numbers), this.newestTs, until, approximate);

    function shown(entries: readonly (readonly [string, number])[]): NonNullable<FeatureValue['value']> {
      if (definition.options?.key !== undefined) return entries[0]?.[1] ?? 0;
      if (aggregate === 'entropy') return entropyOf(entries.map(([, count]) => count));
      const top = greatest(entries, limit);
      return aggregate === 'top_k' ? top.map(([key]) => key) : Object.fromEntries(top);
    }
  }
}

/** The entries with the greatest numbers, the greatest first; of equal ones, by key. */
export function greatest(
  entries: readonly (readonly [string, number])[],
  limit: number | null,
): (readonly [string, number])[] {
  const sorted = entries.toSorted(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
  return sorted.slice(0, limit ?? DEFAULT_LIMIT);
}
