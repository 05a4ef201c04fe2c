import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import type { Component } from './component.model.js';
import type { IdentityStore } from './identity.store.js';

/** Who identifiers are that are about to be resolved. */
export interface ReadAhead {
  /** Those that were looked for. */
  readonly ids: ReadonlySet<Uuid>;
  /** Those of them that are known, with all members. */
  readonly components: readonly Component[];
}

/**
 * Components of the batch that comes next, read while the one in hand is written.
 *
 * Sound for a worker that holds every partition, where reading begins once the batch in hand is resolved and ends before the next is:
 * until its commit whoever it touched is in the cache, with all members of their components, and is not read here; nobody else
 * changes identities without having the cache forgotten. But of contested components only some members are in the cache, so they are not kept.
 */
export class ComponentsAhead {
  #read: ReadAhead | null = null;
  #takes = 0;

  /** @param ids that the cache does not have now */
  async read(
    db: Queryable,
    store: Pick<IdentityStore, 'loadStandingComponents'>,
    ids: ReadonlySet<Uuid>,
  ): Promise<void> {
    const takes = this.#takes;
    const found = await store.loadStandingComponents(db, [...ids]);
    // Too late: the batch is being resolved, or what was read is void.
    if (takes !== this.#takes) return;
    const contested = found.filter(({ isContested }) => isContested);
    const known = contested.length === 0 ? ids : without(ids, contested);
    this.#read = { ids: known, components: found.filter(({ isContested }) => !isContested) };
  }

  /** What was read, once; null: nothing. */
  take(): ReadAhead | null {
    const read = this.#read;
    this.forget();
    return read;
  }

  /** Also what is being read. */
  forget(): void {
    this.#takes++;
    this.#read = null;
  }
}

function without(ids: ReadonlySet<Uuid>, components: readonly Component[]): ReadonlySet<Uuid> {
  const left = new Set(ids);
  for (const { members } of components) for (const id of members.keys()) left.delete(id);
  return left;
}
