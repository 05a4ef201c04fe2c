import { LRUCache } from 'lru-cache';
import type { Clock } from './clock.js';

export interface ReadThroughOptions<V> {
  /** How old an answer may be, ms. */
  readonly maxAgeMs: number;
  readonly maxEntries: number;
  readonly clock: Clock;
  /** Finds what is asked for; null is not kept. `previous` is what was known of it before, however old. */
  readonly load: (key: string, previous: V | undefined) => Promise<V | null>;
}

interface Entry<V> {
  readonly value: V;
  readonly loadedAtMs: number;
}

/**
 * What another process may change at any time, as it was a bounded time ago. Concurrent questions for one key share one
 * look-up. After `clear` nobody gets what was looked up before it, not even by a look-up that it overtook.
 */
export class ReadThroughCache<V extends object> {
  readonly #entries: LRUCache<string, Entry<V>>;
  #loading = new Map<string, Promise<V | null>>();

  constructor(private readonly options: ReadThroughOptions<V>) {
    this.#entries = new LRUCache({ max: options.maxEntries });
  }

  /** What is in memory and fresh; undefined where it has to be looked up. */
  known(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    return this.options.clock.now() - entry.loadedAtMs < this.options.maxAgeMs ? entry.value : undefined;
  }

  /** @throws what `load` throws; it is asked again the next time */
  get(key: string): Promise<V | null> {
    const known = this.known(key);
    if (known !== undefined) return Promise.resolve(known);
    return this.#loading.get(key) ?? this.#load(key);
  }

  clear(): void {
    this.#entries.clear();
    this.#loading = new Map();
  }

  #load(key: string): Promise<V | null> {
    const generation = this.#loading;
    const loadedAtMs = this.options.clock.now();
    const loading = this.options
      .load(key, this.#entries.peek(key)?.value)
      .then((value) => {
        if (generation !== this.#loading) return value;
        if (value === null) this.#entries.delete(key);
        else this.#entries.set(key, { value, loadedAtMs });
        return value;
      })
      .finally(() => generation.delete(key));
    generation.set(key, loading);
    return loading;
  }
}
