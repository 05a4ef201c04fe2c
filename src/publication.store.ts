import type { KnownIdentifier } from './identity/component.model.js';
import type { Uuid } from './platform/ids.js';
import type { Queryable, Transaction } from './platform/postgres.js';
import type { OnlineStore, VersionedEntry } from './profiles/online-store.model.js';
import type { Definitions } from './segments/definitions.model.js';
import type { ProfileWork } from './segments/profile-work.model.js';
import { identifierKey, packAlias, packProfile, profileKey } from './segments/profile-snapshot.model.js';

/** What a transaction changed of the online store, to be written once it has committed. */
export interface Publication {
  readonly version: number;
  readonly entries: readonly VersionedEntry[];
  /** Recorded in the database, so that a crash before the write is noticed. */
  readonly recorded: boolean;
}

export interface PublicationObserver {
  /** The online store could not be written; the record stands and the write is repeated later. */
  failed(error: unknown): void;
}

/**
 * Writes profiles through to the online store after each commit.
 *
 * The versions of one profile grow with its commits, because a version is drawn while the profile is locked; the store
 * keeps the greatest, so writes may overtake each other. Where the store outlives this process (Redis), the profiles of
 * each transaction are recorded in it until they have been written: what a crash leaves is found by `leftovers`.
 */
export class PublicationStore {
  readonly #store: OnlineStore;
  readonly #isShared: boolean;
  readonly #observer: PublicationObserver;
  /** Written through, but still on record; taken off it by the next transaction, which costs no round trip more. */
  #done: number[] = [];

  constructor(store: OnlineStore, isShared: boolean, observer: PublicationObserver) {
    this.#store = store;
    this.#isShared = isShared;
    this.#observer = observer;
  }

  async prepare(
    tx: Transaction,
    definitions: Definitions,
    profiles: Iterable<ProfileWork>,
    identifiers: Iterable<KnownIdentifier>,
    asOf: number,
  ): Promise<Publication> {
    const touched = [...profiles];
    const version = this.#isShared ? await this.#record(tx, touched, asOf) : await nextVersion(tx);
    const entries: VersionedEntry[] = [];
    for (const profile of touched) {
      const { id, mergedInto } = profile;
      const bytes = mergedInto === null ? packProfile(profile, definitions.features, asOf) : packAlias(mergedInto);
      entries.push({ key: profileKey(id), version, bytes });
    }
    for (const { id, profileId } of identifiers) {
      entries.push({ key: identifierKey(id), version, bytes: Buffer.from(profileId) });
    }
    return { version, entries, recorded: this.#isShared };
  }

  /** Never throws: the transaction has committed, and what could not be written is still on record. */
  async publish(publication: Publication | null): Promise<void> {
    if (publication === null || publication.entries.length === 0) return;
    try {
      await this.#store.putMany(publication.entries);
      if (publication.recorded) this.#done.push(publication.version);
    } catch (error) {
      this.#observer.failed(error);
    }
  }

  /**
   * Profiles of transactions that committed before `createdBefore` (ms) and were never written through, with the
   * versions to strike off the record once they are.
   */
  async leftovers(db: Queryable, createdBefore: number, limit: number): Promise<{ versions: number[]; ids: Uuid[] }> {
    if (!this.#isShared) return { versions: [], ids: [] };
    const rows = await db.query<{ version: number; profile_ids: Uuid[] }>(
      `SELECT version, profile_ids FROM publications
       WHERE created_at < $1 AND version <> ALL ($2::int8[]) ORDER BY version LIMIT $3`,
      [createdBefore, this.#done, limit],
    );
    return { versions: rows.map((row) => row.version), ids: [...new Set(rows.flatMap((row) => row.profile_ids))] };
  }

  async strike(db: Queryable, versions: readonly number[]): Promise<void> {
    if (versions.length > 0) await db.query('DELETE FROM publications WHERE version = ANY ($1::int8[])', [versions]);
  }

  async #record(tx: Transaction, touched: readonly ProfileWork[], asOf: number): Promise<number> {
    const done = this.#done;
    const { rows } = await tx.run<{ version: number }>({
      name: 'publications-record',
      text: `WITH done AS (DELETE FROM publications WHERE version = ANY ($3::int8[]))
             INSERT INTO publications (version, created_at, profile_ids)
             VALUES (nextval('publish_version'), $1, $2::uuid[]) RETURNING version`,
      values: [asOf, touched.map((profile) => profile.id), done],
    });
    // Should this transaction fail, its deletions are undone and the rows are found again as leftovers: harmless.
    this.#done = [];
    return rows[0]?.version ?? 0;
  }
}

async function nextVersion(tx: Transaction): Promise<number> {
  const { rows } = await tx.run<{ version: number }>({
    name: 'publications-version',
    text: `SELECT nextval('publish_version') AS version`,
    values: [],
  });
  return rows[0]?.version ?? 0;
}
