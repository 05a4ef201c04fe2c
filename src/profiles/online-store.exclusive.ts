import type { MemoryOnlineStore } from './online-store.memory.js';
import type { OnlineStore } from './online-store.model.js';

/**
 * The online store of a process that keeps it in its own memory, which is right only while no other process changes
 * profiles. While that does not hold, `current` keeps nothing and every read goes to the database.
 *
 * Whoever reads, and puts what it read from the database instead, must use one `current` for both: a store that is
 * opened anew is another one, so that nothing read before can get into it.
 */
export class ExclusiveOnlineStore {
  readonly #create: () => MemoryOnlineStore;
  #open: MemoryOnlineStore | null = null;
  #pastEvictions = 0;

  constructor(create: () => MemoryOnlineStore) {
    this.#create = create;
  }

  get current(): OnlineStore {
    return this.#open ?? KEEPS_NOTHING;
  }

  /** Bytes in use, estimated. */
  get bytes(): number {
    return this.#open?.bytes ?? 0;
  }

  /** Blobs that were lost to the bound so far. */
  get evictions(): number {
    return this.#pastEvictions + (this.#open?.evictions ?? 0);
  }

  /** An empty store, or none: nothing put before is ever answered again. */
  setAlone(isAlone: boolean): void {
    this.#pastEvictions = this.evictions;
    this.#open = isAlone ? this.#create() : null;
  }
}

const KEEPS_NOTHING: OnlineStore = {
  putMany: () => Promise.resolve(),
  getMany: (keys) => Promise.resolve(keys.map(() => null)),
  deleteMany: () => Promise.resolve(),
};
