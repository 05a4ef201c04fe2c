import { readAppliedAt } from './events/applied-log.reader.js';
import type { AnchorStateStore, ProfileAnchor } from './features/anchor-state.store.js';
import type { Uuid } from './platform/ids.js';
import type { Database, Transaction } from './platform/postgres.js';
import type { OnlineStore, Versioned, VersionedEntry } from './profiles/online-store.model.js';
import type { ProfileReader } from './profiles/profile.reader.js';
import { decodeTraits } from './profiles/trait-codec.js';
import type { Definitions } from './segments/definitions.model.js';
import type { MembershipStore } from './segments/membership.store.js';
import {
  appliedUntil,
  newAnchorWork,
  newProfileWork,
  remerge,
  type ProfileWork,
} from './segments/profile-work.model.js';
import {
  glanceAt,
  identifierKey,
  packProfile,
  profileKey,
  unpackSnapshot,
  type ProfileGlance,
  type ProfileSnapshot,
} from './segments/profile-snapshot.model.js';

export interface ProfileSnapshotReaderParts {
  readonly db: Database;
  /** Asked for at the start of each read. */
  readonly store: () => OnlineStore;
  readonly definitions: () => Promise<Definitions>;
  readonly profiles: ProfileReader;
  readonly anchors: AnchorStateStore;
  readonly memberships: MembershipStore;
  readonly observer: SnapshotObserver;
}

export interface SnapshotObserver {
  /** Profiles that were not in the online store and were built from the database. */
  readThrough(profiles: number): void;
  /** The online store failed; the answer came from the database. */
  storeFailed(error: unknown): void;
}

/** Aliases that are followed in the online store before the database is asked instead. */
const MAX_ALIAS_HOPS = 10;
/** Older than every version that a write-through puts, so that any of those wins. */
const READ_THROUGH_VERSION = 1;
/** Profiles built in one transaction. */
const MAX_READ_THROUGH = 200;

/**
 * Reads profiles from the online store, many in one round trip, and from the database where the store lacks them.
 * The counterpart of `PublicationStore`. That a profile does not exist is not remembered.
 */
export class ProfileSnapshotReader {
  readonly #parts: ProfileSnapshotReaderParts;

  constructor(parts: ProfileSnapshotReaderParts) {
    this.#parts = parts;
  }

  /** The profile that each id stands for, through aliases; null where there never was one. In the order asked. */
  async byIds(ids: readonly Uuid[]): Promise<(ProfileSnapshot | null)[]> {
    const store = this.#parts.store();
    const found = new Map<Uuid, ProfileSnapshot>();
    let asked = new Map<Uuid, Uuid[]>();
    for (const id of ids) asked.set(id, [id]);
    const missing = new Map<Uuid, Uuid[]>();
    for (let hop = 0; hop <= MAX_ALIAS_HOPS && asked.size > 0; hop++) {
      const next = new Map<Uuid, Uuid[]>();
      const current = [...asked.keys()];
      const blobs = await this.#get(store, current.map(profileKey));
      for (const [i, id] of current.entries()) {
        const origins = asked.get(id) ?? [];
        const blob = blobs[i];
        if (blob === null || blob === undefined) {
          missing.set(id, origins);
          continue;
        }
        const unpacked = unpackSnapshot(blob.bytes);
        if ('alias' in unpacked) next.set(unpacked.alias, [...(next.get(unpacked.alias) ?? []), ...origins]);
        else for (const origin of origins) found.set(origin, unpacked.profile);
      }
      asked = next;
    }
    for (const [id, origins] of asked) missing.set(id, origins);
    if (missing.size > 0) {
      const loaded = await this.#readThrough(store, [...missing.keys()]);
      for (const [id, origins] of missing) {
        const snapshot = loaded.get(id);
        if (snapshot !== undefined) for (const origin of origins) found.set(origin, snapshot);
      }
    }
    return ids.map((id) => found.get(id) ?? null);
  }

  /** The id of the profile that each identifier belongs to; null where the identifier is unknown. In the order asked. */
  async idsOf(identifierIds: readonly Uuid[]): Promise<(Uuid | null)[]> {
    const store = this.#parts.store();
    const blobs = await this.#get(store, identifierIds.map(identifierKey));
    const missing = identifierIds.filter((_, i) => (blobs[i] ?? null) === null);
    const loaded =
      missing.length === 0
        ? new Map<Uuid, Uuid>()
        : await this.#parts.profiles.byIdentifiers(this.#parts.db, [...new Set(missing)]);
    if (loaded.size > 0) {
      await this.#put(
        store,
        [...loaded].map(([id, profileId]) => ({
          key: identifierKey(id),
          version: READ_THROUGH_VERSION,
          bytes: Buffer.from(profileId),
        })),
      );
    }
    return identifierIds.map((id, i) => blobs[i]?.bytes.toString('latin1') ?? loaded.get(id) ?? null);
  }

  /** The profile of each identifier; null where it is unknown. In the order asked. */
  async byIdentifiers(identifierIds: readonly Uuid[]): Promise<(ProfileSnapshot | null)[]> {
    return this.#ofOwners(await this.idsOf(identifierIds), (ids) => this.byIds(ids));
  }

  /**
   * The profile of an identifier where the memory of this process holds it; undefined where somebody has to be asked,
   * which is also how one that is unknown shows.
   */
  atHand(identifierId: Uuid): ProfileGlance | undefined {
    const store = this.#parts.store();
    return store.getNow === undefined ? undefined : glanceBy((key) => store.getNow?.(key), identifierId);
  }

  /** The same, or as it was a moment ago where the memory of this process does not count any more. */
  lastAtHand(identifierId: Uuid): ProfileGlance | undefined {
    const store = this.#parts.store();
    return glanceBy((key) => store.getNow?.(key) ?? store.getPast?.(key), identifierId);
  }

  /** The same as it is committed, whatever the online store holds, which may be behind by a moment. */
  async committedByIdentifiers(identifierIds: readonly Uuid[]): Promise<(ProfileSnapshot | null)[]> {
    const { db, profiles, store } = this.#parts;
    const owners = await profiles.byIdentifiers(db, [...new Set(identifierIds)]);
    return this.#ofOwners(
      identifierIds.map((id) => owners.get(id) ?? null),
      async (ids) => {
        const loaded = await this.#readThrough(store(), [...new Set(ids)]);
        return ids.map((id) => loaded.get(id) ?? null);
      },
    );
  }

  async #ofOwners(
    owners: readonly (Uuid | null)[],
    read: (ids: readonly Uuid[]) => Promise<(ProfileSnapshot | null)[]>,
  ): Promise<(ProfileSnapshot | null)[]> {
    const known = owners.filter((id) => id !== null);
    if (known.length === 0) return owners.map(() => null);
    const snapshots = await read(known);
    let next = 0;
    return owners.map((id) => (id === null ? null : (snapshots[next++] ?? null)));
  }

  async #readThrough(store: OnlineStore, ids: readonly Uuid[]): Promise<Map<Uuid, ProfileSnapshot>> {
    const loaded = new Map<Uuid, ProfileSnapshot>();
    for (let from = 0; from < ids.length; from += MAX_READ_THROUGH) {
      const part = await this.#load(store, ids.slice(from, from + MAX_READ_THROUGH));
      for (const [id, snapshot] of part) loaded.set(id, snapshot);
    }
    return loaded;
  }

  /** Builds what the pipeline would have published, from one state of the database. */
  async #load(store: OnlineStore, ids: readonly Uuid[]): Promise<Map<Uuid, ProfileSnapshot>> {
    const { db, definitions, observer } = this.#parts;
    const current = await definitions();
    const { survivors, profiles } = await db.transaction((tx) => this.#rows(tx, current, ids), {
      isolation: 'REPEATABLE READ',
      readOnly: true,
    });
    const entries: VersionedEntry[] = [];
    const snapshots = new Map<Uuid, ProfileSnapshot>();
    for (const { work, asOf } of profiles) {
      const bytes = packProfile(work, current.features, asOf);
      entries.push({ key: profileKey(work.id), version: READ_THROUGH_VERSION, bytes });
      const unpacked = unpackSnapshot(bytes);
      if ('profile' in unpacked) snapshots.set(work.id, unpacked.profile);
    }
    if (entries.length > 0) {
      observer.readThrough(entries.length);
      await this.#put(store, entries);
    }
    const answer = new Map<Uuid, ProfileSnapshot>();
    for (const [id, survivor] of survivors) {
      const snapshot = snapshots.get(survivor);
      if (snapshot !== undefined) answer.set(id, snapshot);
    }
    return answer;
  }

  async #rows(
    tx: Transaction,
    { features }: Definitions,
    ids: readonly Uuid[],
  ): Promise<{ survivors: Map<Uuid, Uuid>; profiles: { work: ProfileWork; asOf: number }[] }> {
    const survivors = await this.#parts.profiles.survivors(tx, ids);
    if (survivors.size === 0) return { survivors, profiles: [] };
    return { survivors, profiles: await readWorks(tx, this.#parts, features, [...new Set(survivors.values())]) };
  }

  async #get(store: OnlineStore, keys: readonly string[]): Promise<readonly (Versioned | null)[]> {
    try {
      return await store.getMany(keys);
    } catch (error) {
      this.#parts.observer.storeFailed(error);
      return keys.map(() => null);
    }
  }

  /** Filling the store is a favour to the next reader; this one has its answer. */
  async #put(store: OnlineStore, entries: readonly VersionedEntry[]): Promise<void> {
    try {
      await store.putMany(entries);
    } catch (error) {
      this.#parts.observer.storeFailed(error);
    }
  }
}

/** Profiles as the pipeline would have them in hand, to be looked at alone, each with what it is as of, ms. */
export async function readWorks(
  tx: Transaction,
  { profiles, anchors, memberships }: Pick<ProfileSnapshotReaderParts, 'profiles' | 'anchors' | 'memberships'>,
  features: Definitions['features'],
  ids: readonly Uuid[],
): Promise<{ work: ProfileWork; asOf: number }[]> {
  const works = new Map((await profiles.byIds(tx, ids)).map((row) => [row.id, newProfileWork(row, features)]));
  const loadedIds = [...works.keys()];
  for (const row of await anchors.loadByProfiles(tx, loadedIds)) {
    const work = works.get(row.profileId);
    if (work !== undefined) addAnchor(work, row, features);
  }
  const standing = await memberships.loadWithStale(tx, loadedIds);
  for (const { profileId, ...membership } of standing.memberships) {
    works.get(profileId)?.memberships.set(membership.segmentId, membership);
  }
  for (const { profileId, segmentId } of standing.stale) works.get(profileId)?.stale.add(segmentId);
  const applied = await readAppliedAt(tx);
  return [...works.values()].map((work) => {
    remerge(work, features);
    return { work, asOf: appliedUntil(work, applied) };
  });
}

function glanceBy(find: (key: string) => Versioned | null | undefined, identifierId: Uuid): ProfileGlance | undefined {
  let owner = find(identifierKey(identifierId))?.bytes.toString('latin1');
  for (let hop = 0; owner !== undefined && hop <= MAX_ALIAS_HOPS; hop++) {
    const blob = find(profileKey(owner));
    if (blob === null || blob === undefined) return undefined;
    const found = glanceAt(blob.bytes);
    if (!('alias' in found)) return found;
    owner = found.alias;
  }
  return undefined;
}

function addAnchor(work: ProfileWork, row: ProfileAnchor, features: Definitions['features']): void {
  const { identifierId, ns, value, anchor } = row;
  work.identifiers.set(identifierId, { id: identifierId, ns, value });
  if (anchor === null) return;
  const { id, part } = anchor;
  const state = features.decode(anchor.state);
  work.anchors.set(id, newAnchorWork({ id, part, traits: decodeTraits(anchor.traits), state }));
}
