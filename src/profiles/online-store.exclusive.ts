import type { MemoryOnlineStore } from './online-store.memory.js';
import type { OnlineStore } from './online-store.model.js';

/** How long what was held is shown as past, ms. */
const PAST_MS = 60_000;

/**
 * The online store of a process that keeps it in its own memory, which is right only while no other process changes
 * profiles. While that does not hold, `current` keeps nothing and every read goes to the database; for a minute it shows
 * as past what it held before, since that is most often when the database is away.
 *
 * Whoever reads, and puts what it read from the database instead, must use one `current` for both: a store that is
 * opened anew is another one, so that nothing read before can get into it.
 */
export class ExclusiveOnlineStore {
  readonly #create: () => MemoryOnlineStore;
  #open: MemoryOnlineStore | null = null;
  #closed: OnlineStore = KEEPS_NOTHING;
  #forgetting: NodeJS.Timeout | null = null;
  #pastEvictions = 0;

  constructor(create: () => MemoryOnlineStore) {
    this.#create = create;
  }

  get current(): OnlineStore {
    return this.#open ?? this.#closed;
  }

  /** Bytes in use, estimated. */
  get bytes(): number {
    return this.#open?.bytes ?? 0;
  }

  /** Blobs that were lost to the bound so far. */
  get evictions(): number {
    return this.#pastEvictions + (this.#open?.evictions ?? 0);
  }

  /** An empty store, or none: nothing put before is ever answered again but as past. */
  setAlone(isAlone: boolean): void {
    this.#pastEvictions = this.evictions;
    const before = this.#open;
    if (isAlone) {
      this.#open = this.#create();
      this.#forget();
      return;
    }
    this.#open = null;
    if (before === null) return;
    this.#closed = { ...KEEPS_NOTHING, getPast: (key) => before.getNow(key) };
    this.#forgetting = setTimeout(() => {
      this.#forget();
    }, PAST_MS).unref();
  }

  #forget(): void {
    if (this.#forgetting !== null) clearTimeout(this.#forgetting);
    this.#forgetting = null;
    this.#closed = KEEPS_NOTHING;
  }
}

const KEEPS_NOTHING: OnlineStore = {
  putMany: () => Promise.resolve(),
  getMany: (keys) => Promise.resolve(keys.map(() => null)),
  deleteMany: () => Promise.resolve(),
};
