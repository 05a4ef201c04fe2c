import type { Pattern } from './estimate-m.js';
import type { PairScorer } from './pair-scorer.js';

/** Parts of a bit that adjustments are told apart by. */
const ADJUSTMENT_STEPS = 4;
const MAX_ADJUSTMENT = 31;
const ADJUSTMENTS = 2 * MAX_ADJUSTMENT * ADJUSTMENT_STEPS + 1;

/** Counts the pairs that are on the same levels. There are far fewer patterns than pairs. */
export class PatternCounter {
  readonly #scorer: PairScorer;
  readonly #levels: Int8Array;
  readonly #sizes: readonly number[];
  readonly #patterns = new Map<number | string, Pattern>();
  readonly #isNumbered: boolean;
  pairs = 0;

  /** @param sizes how many levels each comparison has */
  constructor(scorer: PairScorer, sizes: readonly number[]) {
    this.#scorer = scorer;
    this.#sizes = sizes;
    this.#levels = new Int8Array(sizes.length);
    this.#isNumbered = sizes.reduce((product, size) => product * (size + 1), ADJUSTMENTS) <= Number.MAX_SAFE_INTEGER;
  }

  get patterns(): Pattern[] {
    return [...this.#patterns.values()];
  }

  add(left: number, right: number): void {
    const adjustment = this.#scorer.levels(left, right, this.#levels);
    const steps = Math.round(Math.max(-MAX_ADJUSTMENT, Math.min(MAX_ADJUSTMENT, adjustment)) * ADJUSTMENT_STEPS);
    const key = this.#keyOf(steps);
    const found = this.#patterns.get(key);
    if (found !== undefined) found.count++;
    else this.#patterns.set(key, { levels: [...this.#levels], adjustment: steps / ADJUSTMENT_STEPS, count: 1 });
    this.pairs++;
  }

  #keyOf(steps: number): number | string {
    if (!this.#isNumbered) return `${this.#levels.join()},${steps}`;
    let key = steps + MAX_ADJUSTMENT * ADJUSTMENT_STEPS;
    for (let c = 0; c < this.#sizes.length; c++) {
      key = key * ((this.#sizes[c] as number) + 1) + (this.#levels[c] as number) + 1;
    }
    return key;
  }
}
