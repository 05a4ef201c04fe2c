/** Buckets of one size, before two become one of the next. */
const MAX_BUCKETS = 5;
/** Values before a cut is looked for, and in each part of one. */
const MIN_WINDOW = 10;
const MIN_PART = 5;

interface Bucket {
  readonly count: number;
  readonly sum: number;
  /** Sum of squared differences from the mean. */
  readonly squares: number;
  /** When the first of them was taken, ms. */
  readonly since: number;
}

const NOTHING: Bucket = { count: 0, sum: 0, squares: 0, since: 0 };

/**
 * ADWIN: a window over a stream of numbers that grows while their mean stands still, and loses its older part once that
 * has another mean than the newer one. A. Bifet and R. Gavaldà, "Learning from Time-Changing Data with Adaptive Windowing",
 * 2007: buckets whose sizes are powers of two, at most five of a size (section 3.2), and the bound of equation 3.1, for
 * numbers of any scale through their variance:
 *
 *     ε = √(2/m · σ² · ln(2/δ')) + 2/(3m) · ln(2/δ')    1/m = 1/n₀ + 1/n₁    δ' = δ / ln n
 *
 * The second term is for numbers from 0 to 1: pass shares, or numbers scaled so. Memory is logarithmic in the window.
 */
export class AdaptiveWindow {
  readonly #delta: number;
  /** Oldest first; sizes fall towards the newest. */
  #buckets: Bucket[] = [];

  /** @param delta how probable it may be that a cut is made where nothing changed, 0 to 1 */
  constructor(delta: number) {
    this.#delta = delta;
  }

  get count(): number {
    return this.#total().count;
  }

  get mean(): number {
    const { count, sum } = this.#total();
    return count === 0 ? 0 : sum / count;
  }

  /** When the oldest number in the window was taken, ms; after a cut about when the mean changed. */
  get since(): number {
    return this.#buckets[0]?.since ?? 0;
  }

  /**
   * Takes the next numbers and looks once, which costs more than all else. True if the mean has changed, so that older
   * numbers were dropped.
   *
   * @param at when they are of, ms; default 0
   */
  add(values: readonly number[], at = 0): boolean {
    for (const value of values) {
      this.#buckets.push({ count: 1, sum: value, squares: 0, since: at });
      this.#compress();
    }
    let hasChanged = false;
    while (this.#cut()) hasChanged = true;
    return hasChanged;
  }

  #compress(): void {
    for (let size = 1; ; size *= 2) {
      const first = this.#buckets.findIndex(({ count }) => count === size);
      const many = this.#buckets.filter(({ count }) => count === size).length;
      if (many <= MAX_BUCKETS) return;
      const [a, b] = this.#buckets.slice(first, first + 2);
      if (a !== undefined && b !== undefined) this.#buckets.splice(first, 2, joined(a, b));
    }
  }

  /** Drops the oldest bucket if some split of the window has two means that differ. */
  #cut(): boolean {
    const all = this.#total();
    if (all.count < MIN_WINDOW) return false;
    const log = Math.log((2 * Math.log(all.count)) / this.#delta);
    const variance = all.squares / all.count;
    let older: Bucket = NOTHING;
    for (const bucket of this.#buckets) {
      older = joined(older, bucket);
      const [n, m] = [older.count, all.count - older.count];
      if (m < MIN_PART) break;
      if (n < MIN_PART) continue;
      const harmonic = 1 / n + 1 / m;
      const bound = Math.sqrt(2 * harmonic * variance * log) + (2 / 3) * harmonic * log;
      if (Math.abs(older.sum / n - (all.sum - older.sum) / m) <= bound) continue;
      this.#buckets = this.#buckets.slice(1);
      return true;
    }
    return false;
  }

  #total(): Bucket {
    return this.#buckets.reduce(joined, NOTHING);
  }
}

/** T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating Formulae and a Pairwise Algorithm", 1979. */
function joined(a: Bucket, b: Bucket): Bucket {
  if (a.count === 0) return b;
  if (b.count === 0) return a;
  const count = a.count + b.count;
  const apart = b.sum / b.count - a.sum / a.count;
  return {
    count,
    since: a.since,
    sum: a.sum + b.sum,
    squares: a.squares + b.squares + (apart * apart * a.count * b.count) / count,
  };
}
