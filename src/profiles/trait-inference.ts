import { isReservedTrait, type JsonObject } from '../events/event.model.js';
import { typeOfValue, type TraitType } from './trait-type.model.js';

/** What was sent for a trait, of a sample. */
export interface InferredTrait {
  readonly name: string;
  /** Values by type, those that are null left out. */
  readonly counts: Readonly<Partial<Record<TraitType, number>>>;
  readonly nulls: number;
  /** The type of nearly all values; null: there is none. */
  readonly type: TraitType | null;
}

/** Most traits that are told apart; of further names only the number of values is known. */
export const MAX_INFERRED_TRAITS = 1_000;
/** Of its values, so many have a type for it to be that of the trait. */
const LEAST_SHARE = 0.95;

/** Counts the types of the values that were sent for traits. */
export class TraitInference {
  readonly #counts = new Map<string, { counts: Partial<Record<TraitType, number>>; nulls: number }>();
  #others = 0;

  add(traits: JsonObject): void {
    for (const [name, value] of Object.entries(traits)) {
      if (isReservedTrait(name)) continue;
      let trait = this.#counts.get(name);
      if (trait === undefined) {
        if (this.#counts.size >= MAX_INFERRED_TRAITS) {
          this.#others++;
          continue;
        }
        this.#counts.set(name, (trait = { counts: {}, nulls: 0 }));
      }
      const type = typeOfValue(value);
      if (type === null) trait.nulls++;
      else trait.counts[type] = (trait.counts[type] ?? 0) + 1;
    }
  }

  /** Values of traits beyond those that are told apart. */
  get others(): number {
    return this.#others;
  }

  /** By name in the order of its characters. */
  traits(): InferredTrait[] {
    return [...this.#counts]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, { counts, nulls }]) => ({ name, counts, nulls, type: mostOf(counts) }));
  }
}

/** Every date-time is a string: where both were sent, the trait is one of strings. */
function mostOf(counts: Partial<Record<TraitType, number>>): TraitType | null {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  for (const [type, count] of Object.entries(counts) as [TraitType, number][]) {
    if (count >= LEAST_SHARE * total) return type;
  }
  const texts = (counts.string ?? 0) + (counts['date-time'] ?? 0);
  return texts > 0 && texts >= LEAST_SHARE * total ? 'string' : null;
}
