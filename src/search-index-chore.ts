import type { LoadedDefinitions } from './definitions.js';
import type { PartitionLeases } from './events/partition-lease.store.js';
import { DefinitionsChanged } from './pipeline-transaction.js';
import type { Pipeline } from './pipeline.js';
import type { Clock } from './platform/clock.js';
import type { Uuid } from './platform/ids.js';
import type { Database, Transaction } from './platform/postgres.js';
import { ProfileSearchStore } from './profiles/profile-search.store.js';

export interface SearchIndexChoreParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly leases: PartitionLeases;
  readonly pipeline: Pipeline;
  /** Profiles that one step writes, at most. */
  readonly maxProfiles?: number | undefined;
}

const MAX_PROFILES = 1_000;
const MAX_PURGED_ROWS = 10_000;

/**
 * Brings the index by which profiles are found to what is searchable.
 *
 * 1. From the version of the definitions with a new field on, batches write it of every profile that they change. This
 *    writes it of all others, some at a time. It comes after the sweep of that version, which waits for the transactions
 *    that did not know of the field yet; so nobody is missed.
 * 2. A step locks its profiles, reads what their anchors hold, and adds what the index lacks: that is what a batch would
 *    have written, so the two may meet on a profile in either order. Features are written as of the step, with a timer
 *    for the instant at which time changes them.
 * 3. Rows of fields that are searchable no more are deleted by whoever holds the first partition. Until the last is gone,
 *    batches write whom they change as a whole (`ProfileSearchStore.replace`), so that an erasure leaves nothing behind.
 */
export class SearchIndexChore {
  readonly #parts: SearchIndexChoreParts;
  readonly #store = new ProfileSearchStore();
  /** For which definitions and partitions nothing is left to do. */
  #settled = '';

  constructor(parts: SearchIndexChoreParts) {
    this.#parts = parts;
  }

  /**
   * One step; false if there is nothing to do here.
   * @throws DefinitionsChanged, LeaseLost
   */
  async runOne(definitions: LoadedDefinitions): Promise<boolean> {
    const { db, leases } = this.#parts;
    const { search, version } = definitions;
    if (search === null) return false;
    const key = `${String(version)} ${leases.held.map((l) => `${String(l.part)}@${String(l.epoch)}`).join()}`;
    if (key === this.#settled) return false;
    if (leases.held.some(({ part }) => part === 0)) {
      const isPurging = await db.transaction(async (tx) => {
        await this.#lease(tx, definitions);
        return this.#store.purge(tx, MAX_PURGED_ROWS);
      });
      if (isPurging) return true;
    }
    if (await this.#build(definitions)) return true;
    this.#settled = key;
    return false;
  }

  async #build(definitions: LoadedDefinitions): Promise<boolean> {
    const { db, clock, leases, pipeline, maxProfiles = MAX_PROFILES } = this.#parts;
    const { search, searchVersion: version } = definitions;
    if (search === null || version === 0) return false;
    const parts = leases.held.map((lease) => lease.part);
    const stretch = await this.#store.next(db, parts, version);
    if (stretch === null) return false;
    const options = { version, limit: maxProfiles, nowMs: clock.now() };
    const build = (tx: Transaction): Promise<Uuid[]> => this.#store.build(tx, search, stretch, options);
    await pipeline.index(definitions, { build });
    return true;
  }

  async #lease(tx: Transaction, definitions: LoadedDefinitions): Promise<void> {
    if ((await this.#parts.leases.advance(tx, null)) !== definitions.version) throw new DefinitionsChanged();
  }
}
