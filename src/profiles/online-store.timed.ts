import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { within } from '../platform/within.js';
import type { OnlineStore, Versioned, VersionedEntry } from './online-store.model.js';

export interface StorePatience {
  /** A read that takes longer goes to the database instead, ms. */
  readonly maxReadMs: number;
  /** A write that takes longer is done again later, from the record of publications, ms. */
  readonly maxWriteMs: number;
  /** After a failure nothing is asked of the store for this long, ms. */
  readonly pauseMs: number;
}

const PATIENCE: StorePatience = { maxReadMs: 250, maxWriteMs: 1_000, pauseMs: 1_000 };

/**
 * Bounds how long a store that is slow or gone may hold up those who can do without it: each read, and the worker, which
 * writes through after each batch. What is given up may still happen, as after any failure.
 */
export class TimedOnlineStore implements OnlineStore {
  readonly #inner: OnlineStore;
  readonly #clock: Clock;
  readonly #patience: StorePatience;
  #pausedUntilMs = Number.NEGATIVE_INFINITY;

  constructor(inner: OnlineStore, clock: Clock, patience: StorePatience = PATIENCE) {
    this.#inner = inner;
    this.#clock = clock;
    this.#patience = patience;
  }

  putMany(entries: readonly VersionedEntry[]): Promise<void> {
    return this.#within(this.#patience.maxWriteMs, () => this.#inner.putMany(entries));
  }

  getMany(keys: readonly string[]): Promise<(Versioned | null)[]> {
    return this.#within(this.#patience.maxReadMs, () => this.#inner.getMany(keys));
  }

  deleteMany(keys: readonly string[], version: number): Promise<void> {
    return this.#within(this.#patience.maxWriteMs, () => this.#inner.deleteMany(keys, version));
  }

  async #within<T>(maxMs: number, work: () => Promise<T>): Promise<T> {
    const waitMs = this.#pausedUntilMs - this.#clock.now();
    // A clock that was set back must not make a pause of a moment one of hours.
    if (waitMs > 0 && waitMs <= this.#patience.pauseMs) throw unavailable('did not answer a moment ago');
    try {
      return await within(maxMs, work(), () => unavailable(`did not answer within ${String(maxMs)} ms`));
    } catch (error) {
      this.#pausedUntilMs = this.#clock.now() + this.#patience.pauseMs;
      throw error;
    }
  }
}

function unavailable(what: string): WeftError {
  return new WeftError('UNAVAILABLE', `the online store ${what}`, {
    where: 'WEFT_REDIS_URL',
    hint: 'Reads go to the database meanwhile. Check the load of Redis and the way to it.',
    retryAfterMs: 1_000,
  });
}
