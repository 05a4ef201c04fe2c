/**
 * Every n-th of what is added, in bounded memory: where there is no room left, every other one goes, and n doubles. What
 * comes in an order that has nothing to do with it is drawn evenly, and always the same.
 */
export class ThinnedSample<T> {
  readonly #max: number;
  #kept: T[] = [];
  #every = 1;
  #added = 0;

  /** @param max kept at most, at least 2 */
  constructor(max: number) {
    this.#max = max;
  }

  get added(): number {
    return this.#added;
  }

  get values(): readonly T[] {
    return this.#kept;
  }

  add(value: T): void {
    if (this.#added++ % this.#every !== 0) return;
    if (this.#kept.length >= this.#max) {
      this.#kept = this.#kept.filter((_, i) => i % 2 === 0);
      this.#every *= 2;
      if ((this.#added - 1) % this.#every !== 0) return;
    }
    this.#kept.push(value);
  }
}
