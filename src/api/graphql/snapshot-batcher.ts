import type { Uuid } from '../../platform/ids.js';
import type { ProfileSnapshot } from '../../segments/profile-snapshot.model.js';
import type { SnapshotSource } from '../api-services.js';

/** Keys of one call of the source: a page of a list and the one more that tells whether there is a next. */
const MAX_KEYS = 1_000;

interface Waiting<V> {
  readonly key: Uuid;
  /** The request that asks. */
  readonly owner: object;
  readonly resolve: (value: V) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Gathers what is asked for in one turn of the event loop, of however many requests, into one call: with a store on the
 * other side of a socket, each call costs as much as the rest of a query. Nothing waits for a timer, nothing is kept.
 */
class TickBatcher<V> {
  #waiting: Waiting<V>[] = [];

  /** @param load the value of each key, in the order asked */
  constructor(private readonly load: (keys: readonly Uuid[]) => Promise<readonly V[]>) {}

  get(key: Uuid, owner: object): Promise<V> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) this.#schedule(this.#waiting);
      this.#waiting.push({ key, owner, resolve, reject });
      if (this.#waiting.length >= MAX_KEYS) this.#flush();
    });
  }

  #schedule(batch: readonly Waiting<V>[]): void {
    setImmediate(() => {
      // Another one if this was full before its turn came.
      if (batch === this.#waiting) this.#flush();
    });
  }

  #flush(): void {
    const batch = this.#waiting;
    this.#waiting = [];
    void this.#answer(batch);
  }

  async #answer(batch: readonly Waiting<V>[]): Promise<void> {
    try {
      const values = await this.load(batch.map(({ key }) => key));
      batch.forEach(({ resolve }, i) => {
        resolve(values[i] as V);
      });
    } catch (error) {
      const owners = new Set(batch.map(({ owner }) => owner));
      // What one request asks for must not fail those that happen to ask with it.
      if (owners.size > 1) for (const one of owners) void this.#answer(batch.filter(({ owner }) => owner === one));
      else for (const { reject } of batch) reject(error);
    }
  }
}

/** Profiles one by one, read many at once. */
export class SnapshotBatcher {
  static readonly #made = new WeakMap<SnapshotSource, SnapshotBatcher>();

  readonly #profiles: TickBatcher<ProfileSnapshot | null>;
  readonly #profileIds: TickBatcher<Uuid | null>;
  readonly #owners: TickBatcher<ProfileSnapshot | null>;
  readonly #committedOwners: TickBatcher<ProfileSnapshot | null>;

  private constructor(source: SnapshotSource) {
    this.#profiles = new TickBatcher((ids) => source.byIds(ids));
    this.#profileIds = new TickBatcher((ids) => source.idsOf(ids));
    this.#owners = new TickBatcher((ids) => source.byIdentifiers(ids));
    this.#committedOwners = new TickBatcher((ids) => source.committedByIdentifiers(ids));
  }

  /** The one that all requests share. */
  static of(source: SnapshotSource): SnapshotBatcher {
    let batcher = SnapshotBatcher.#made.get(source);
    if (batcher === undefined) SnapshotBatcher.#made.set(source, (batcher = new SnapshotBatcher(source)));
    return batcher;
  }

  /**
   * The profile that an id stands for; null where there never was one.
   * @param owner the request that asks
   */
  byId(id: Uuid, owner: object): Promise<ProfileSnapshot | null> {
    return this.#profiles.get(id, owner);
  }

  /** The profile that an identifier belongs to; null where it is unknown. */
  ofIdentifier(identifierId: Uuid, owner: object): Promise<ProfileSnapshot | null> {
    return this.#owners.get(identifierId, owner);
  }

  /** The same as it is committed. */
  committedOfIdentifier(identifierId: Uuid, owner: object): Promise<ProfileSnapshot | null> {
    return this.#committedOwners.get(identifierId, owner);
  }

  /** The id of the profile that an identifier belongs to; null where it is unknown. */
  idOf(identifierId: Uuid, owner: object): Promise<Uuid | null> {
    return this.#profileIds.get(identifierId, owner);
  }
}
