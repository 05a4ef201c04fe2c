/**
 * A map of bounded size that forgets what was not asked for lately. It has two generations: once the younger has half of the
 * bound it becomes the elder, and what the elder had goes at once. What is found in the elder joins the younger. So the last
 * half of `maxEntries` keys that were asked for are there, and never more than `maxEntries`. A look and an entry take a map
 * or two, and no order of use is kept, which takes longer than what is looked up here takes to be made.
 */
export class GenerationCache<V extends object> {
  readonly #perGeneration: number;
  #young = new Map<string, V>();
  #old = new Map<string, V>();

  /** @param maxEntries at least 2 */
  constructor(maxEntries: number) {
    this.#perGeneration = Math.max(1, Math.floor(maxEntries / 2));
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(key: string): V | undefined {
    const young = this.#young.get(key);
    if (young !== undefined || this.#old.size === 0) return young;
    const old = this.#old.get(key);
    if (old === undefined) return undefined;
    this.#old.delete(key);
    this.set(key, old);
    return old;
  }

  /** @param key that `get` did not find */
  set(key: string, value: V): void {
    if (this.#young.size === this.#perGeneration) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }
}
