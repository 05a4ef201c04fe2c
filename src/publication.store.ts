import type { KnownIdentifier, KnownProfile } from './identity/component.model.js';
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
  /** The version of the definitions in force when it was prepared. */
  readonly definitionsVersion: number;
  /** Keys of what is no more. */
  readonly removed: readonly string[];
  /** Versions whose records this transaction takes off. */
  readonly struck: readonly number[];
}

/** What is to be published beside the profiles themselves. */
export interface PublishedIdentity {
  /** Each with the profile that it stands for now. */
  readonly identifiers: Iterable<Pick<KnownIdentifier, 'id' | 'profileId'>>;
  /** Profiles whose alias may have changed, also those that the batch had no other reason to load. */
  readonly profiles: Iterable<Pick<KnownProfile, 'id' | 'mergedInto'>>;
  /** Identifiers and profiles that are no more; default: none. */
  readonly gone?: { readonly identifierIds: readonly Uuid[]; readonly profileIds: ReadonlySet<Uuid> };
}

export interface PublicationOptions {
  /** What a profile's values and memberships are as of, ms. */
  readonly asOf: (profile: ProfileWork) => number;
  /** When the record is made, ms: `leftovers` are sought by it. */
  readonly nowMs: number;
  /** Versions of older records whose profiles are all in this one. */
  readonly replaces?: readonly number[];
}

export interface PublicationObserver {
  /** The online store could not be written; the record stands and the write is repeated later. */
  failed(error: unknown): void;
}

/** Records found in one look at most. */
const MAX_LEFTOVERS = 100;
/** Profiles written through again in one transaction, but for those of a single record. */
const MAX_LEFTOVER_PROFILES = 2_000;
/** Written through but still on record, at most; whatever is beyond is written through once more. */
const MAX_DONE = 10_000;

/**
 * Writes profiles through to the online store after each commit.
 *
 * The versions of one profile grow with its commits, because a version is drawn while the profile is locked; the store
 * keeps the greatest, so writes may overtake each other. Where the store outlives this process (Redis), the profiles of
 * each transaction are recorded in it until they have been written: what a crash or a failure of the store leaves is
 * found by `leftovers`. Where it does not, whatever may differ from the database is taken out, to be read anew.
 */
export class PublicationStore {
  readonly #store: () => OnlineStore;
  readonly #isShared: boolean;
  readonly #observer: PublicationObserver;
  /** Written through, but still on record; taken off it by the next transaction, which costs no round trip more. */
  #done: number[] = [];

  constructor(store: () => OnlineStore, isShared: boolean, observer: PublicationObserver) {
    this.#store = store;
    this.#isShared = isShared;
    this.#observer = observer;
  }

  /** To be called after the profiles are locked and before the feed is. */
  async prepare(
    tx: Transaction,
    definitions: Definitions,
    touched: Iterable<ProfileWork>,
    identity: PublishedIdentity,
    { asOf, nowMs, replaces = [] }: PublicationOptions,
  ): Promise<Publication> {
    const profiles = [...touched];
    const aliases = new Map<Uuid, Uuid>();
    for (const { id, mergedInto } of identity.profiles) if (mergedInto !== null) aliases.set(id, mergedInto);
    for (const { id, mergedInto } of profiles) {
      if (mergedInto === null) aliases.delete(id);
      else aliases.set(id, aliases.get(id) ?? mergedInto);
    }
    const gone = identity.gone ?? NOBODY_GONE;
    for (const id of gone.profileIds) aliases.delete(id);
    const living = profiles.filter((profile) => profile.mergedInto === null && !gone.profileIds.has(profile.id));
    const struck = [...this.#done, ...replaces];
    const { version, definitionsVersion } = this.#isShared
      ? await this.#record(tx, {
          profileIds: [...living.map((profile) => profile.id), ...aliases.keys(), ...gone.profileIds],
          identifierIds: gone.identifierIds,
          nowMs,
          struck,
        })
      : await nextVersion(tx);
    const entries: VersionedEntry[] = [];
    for (const profile of living) {
      entries.push({
        key: profileKey(profile.id),
        version,
        bytes: packProfile(profile, definitions.features, asOf(profile)),
      });
    }
    for (const [id, survivor] of aliases) entries.push({ key: profileKey(id), version, bytes: packAlias(survivor) });
    for (const { id, profileId } of identity.identifiers) {
      entries.push({ key: identifierKey(id), version, bytes: Buffer.from(profileId) });
    }
    const removed = [...[...gone.profileIds].map(profileKey), ...gone.identifierIds.map(identifierKey)];
    return { version, entries, removed, definitionsVersion, struck };
  }

  /** Never throws: the transaction has committed, and what could not be written is still on record. */
  async publish(publication: Publication): Promise<void> {
    const { version, entries, removed, struck } = publication;
    if (struck.length > 0) this.#done = this.#done.filter((done) => !struck.includes(done));
    try {
      if (entries.length > 0) await this.#store().putMany(entries);
      if (removed.length > 0) await this.#store().deleteMany(removed, version);
      if (this.#isShared && this.#done.length < MAX_DONE) this.#done.push(version);
    } catch (error) {
      this.#observer.failed(error);
      await this.withdraw(publication);
    }
  }

  /**
   * To be called where it is not known whether the transaction committed, or where the store did not take what it
   * changed. Never throws.
   */
  async withdraw({ entries, removed, version }: Publication): Promise<void> {
    if (this.#isShared) return;
    try {
      await this.#store().deleteMany([...entries.map((entry) => entry.key), ...removed], version);
    } catch (error) {
      this.#observer.failed(error);
    }
  }

  /**
   * Profiles, and identifiers that went, of transactions that committed before `createdBefore` (ms) and were never
   * written through, with the versions of their records.
   */
  async leftovers(db: Queryable, createdBefore: number): Promise<Leftovers> {
    if (!this.#isShared) return { versions: [], ids: [], identifierIds: [] };
    // An idle process has no next transaction that would do it, and to others its records look abandoned.
    const done = [...this.#done];
    if (done.length > 0) await db.query('DELETE FROM publications WHERE version = ANY ($1::int8[])', [done]);
    this.#done = this.#done.filter((version) => !done.includes(version));
    // As many records as one transaction can take on, at least one.
    const rows = await db.query<{ version: number; profile_ids: Uuid[]; identifier_ids: Uuid[] }>(
      `SELECT version, profile_ids, identifier_ids FROM (
         SELECT version, profile_ids, identifier_ids,
                sum(cardinality(profile_ids)) OVER (ORDER BY version) - cardinality(profile_ids) AS before
         FROM publications WHERE created_at < $1 ORDER BY version LIMIT $2
       ) oldest WHERE before < $3 ORDER BY version`,
      [createdBefore, MAX_LEFTOVERS, MAX_LEFTOVER_PROFILES],
    );
    return {
      versions: rows.map((row) => row.version),
      ids: [...new Set(rows.flatMap((row) => row.profile_ids))],
      identifierIds: [...new Set(rows.flatMap((row) => row.identifier_ids))],
    };
  }

  async #record(tx: Transaction, { profileIds, identifierIds, nowMs, struck }: Recorded): Promise<Drawn> {
    const { rows } = await tx.run<Drawn>({
      name: 'publications-record',
      text: `WITH done AS (DELETE FROM publications WHERE version = ANY ($3::int8[]))
             INSERT INTO publications (version, created_at, profile_ids, identifier_ids)
             VALUES (nextval('publish_version'), $1, $2::uuid[], $4::uuid[])
             RETURNING version, (SELECT definitions_version FROM installation) AS "definitionsVersion"`,
      values: [nowMs, profileIds, struck, identifierIds],
    });
    return only(rows);
  }
}

const NOBODY_GONE: NonNullable<PublishedIdentity['gone']> = { identifierIds: [], profileIds: new Set() };

interface Leftovers {
  readonly versions: number[];
  readonly ids: Uuid[];
  /** Identifiers that may be gone. */
  readonly identifierIds: Uuid[];
}

interface Recorded {
  readonly profileIds: readonly Uuid[];
  readonly identifierIds: readonly Uuid[];
  readonly nowMs: number;
  readonly struck: readonly number[];
}

interface Drawn {
  readonly version: number;
  readonly definitionsVersion: number;
}

async function nextVersion(tx: Transaction): Promise<Drawn> {
  const { rows } = await tx.run<Drawn>({
    name: 'publications-version',
    text: `SELECT nextval('publish_version') AS version, definitions_version AS "definitionsVersion" FROM installation`,
    values: [],
  });
  return only(rows);
}

function only(rows: readonly Drawn[]): Drawn {
  const [row] = rows;
  if (row === undefined) throw new Error('the installation has no row');
  return row;
}
