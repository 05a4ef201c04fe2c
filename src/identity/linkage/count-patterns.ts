import type { Pattern } from './estimate-m.js';
import type { PairScorer } from './pair-scorer.js';

/** Parts of a bit that adjustments are told apart by. */
const ADJUSTMENT_STEPS = 4;
const MAX_ADJUSTMENT = 31;
const ADJUSTMENTS = 2 * MAX_ADJUSTMENT * ADJUSTMENT_STEPS + 1;
const FIRST_CAPACITY = 1_024;

/**
 * Pairs with the levels that they are on, which depend on neither m nor u: so they are compared once, however often they
 * are counted. Twelve bytes a pair; there are far fewer combinations of levels than pairs.
 */
export class ComparedPairs {
  readonly #levels: Int8Array;
  readonly #sizes: readonly number[];
  readonly #numberOf = new Map<number | string, number>();
  /** Levels by the number of their combination. */
  readonly #combinations: (readonly number[])[] = [];
  readonly #isNumbered: boolean;
  #left = new Int32Array(FIRST_CAPACITY);
  #right = new Int32Array(FIRST_CAPACITY);
  #combination = new Int32Array(FIRST_CAPACITY);
  #size = 0;

  /** @param sizes how many levels each comparison has */
  constructor(sizes: readonly number[]) {
    this.#sizes = sizes;
    this.#levels = new Int8Array(sizes.length);
    this.#isNumbered = sizes.reduce((product, size) => product * (size + 1), 1) <= Number.MAX_SAFE_INTEGER;
  }

  get size(): number {
    return this.#size;
  }

  /** @param scorer by whose comparisons they are put on levels, the same for all */
  add(scorer: PairScorer, left: number, right: number): void {
    if (this.#size === this.#left.length) this.#grow();
    scorer.levels(left, right, this.#levels);
    this.#left[this.#size] = left;
    this.#right[this.#size] = right;
    this.#combination[this.#size++] = this.#combinationOf();
  }

  /** Pairs that are on the same levels and whose weights are adjusted alike, counted together. */
  patterns(scorer: PairScorer): Pattern[] {
    const adjusters = this.#combinations.map((levels) => scorer.adjusterOf(levels));
    const patterns = new Map<number, Pattern>();
    for (let i = 0; i < this.#size; i++) {
      const combination = this.#combination[i] as number;
      const adjuster = adjusters[combination];
      const adjustment = adjuster == null ? 0 : adjuster(this.#left[i] as number, this.#right[i] as number);
      const steps = Math.round(Math.max(-MAX_ADJUSTMENT, Math.min(MAX_ADJUSTMENT, adjustment)) * ADJUSTMENT_STEPS);
      const key = combination * ADJUSTMENTS + steps + MAX_ADJUSTMENT * ADJUSTMENT_STEPS;
      const found = patterns.get(key);
      if (found !== undefined) found.count++;
      else {
        const levels = this.#combinations[combination] ?? [];
        patterns.set(key, { levels, adjustment: steps / ADJUSTMENT_STEPS, count: 1 });
      }
    }
    return [...patterns.values()];
  }

  #combinationOf(): number {
    const key = this.#keyOf();
    const found = this.#numberOf.get(key);
    if (found !== undefined) return found;
    const number = this.#combinations.length;
    this.#combinations.push([...this.#levels]);
    this.#numberOf.set(key, number);
    return number;
  }

  #keyOf(): number | string {
    if (!this.#isNumbered) return this.#levels.join();
    let key = 0;
    for (let c = 0; c < this.#sizes.length; c++) {
      key = key * ((this.#sizes[c] as number) + 1) + (this.#levels[c] as number) + 1;
    }
    return key;
  }

  #grow(): void {
    const grown = (from: Int32Array): Int32Array<ArrayBuffer> => {
      const to = new Int32Array(2 * from.length);
      to.set(from);
      return to;
    };
    this.#left = grown(this.#left);
    this.#right = grown(this.#right);
    this.#combination = grown(this.#combination);
  }
}
