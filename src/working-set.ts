import { LRUCache } from 'lru-cache';
import type { AnchorStateStore, PackedAnchor } from './features/anchor-state.store.js';
import { MIN_WINDOW_MS } from './features/stream.model.js';
import type { EventIdentity } from './identity/identity-outcome.model.js';
import type { KnownProfile } from './identity/component.model.js';
import type { ProfileReader } from './profiles/profile.reader.js';
import type { ProfileSearchStore } from './profiles/profile-search.store.js';
import {
  isSameSearched,
  KEPT_KEY,
  keyOfHop,
  searchedTraits,
  traitEntries,
  updatedHop,
  type SearchEntry,
  type SearchFields,
} from './profiles/search-field.model.js';
import type { Uuid } from './platform/ids.js';
import type { Transaction } from './platform/postgres.js';
import { decodeTraits, encodeTraits } from './profiles/trait-codec.js';
import type { Definitions } from './segments/definitions.model.js';
import type { FoldChange } from './segments/fold-batch.js';
import type { MembershipStore, ProfileMembership } from './segments/membership.store.js';
import {
  newAnchorWork,
  newProfileWork,
  remerge,
  type AnchorWork,
  type ProfileWork,
} from './segments/profile-work.model.js';
import { featureEntries, isSameValues, searchedValues } from './segments/searched-features.js';
import type { ProfileTimer, TimerStore } from './segments/timer.store.js';

export interface WorkingSetStores {
  readonly profiles: Pick<ProfileReader, 'lock'>;
  readonly anchors: AnchorStateStore;
  readonly memberships: MembershipStore;
  readonly timers: TimerStore;
  readonly search: ProfileSearchStore;
}

const DEFAULT_MAX_CACHED_PROFILES = 20_000;
/** The shortest window is one hop long. */
const SHORTEST_HOP_MS = MIN_WINDOW_MS;

/**
 * The profiles that a micro-batch works on: loaded together, changed in memory, saved together.
 *
 * Between batches they stay cached, which is right only while nobody else may write them: `forget` drops them whenever
 * a batch did not commit, and before each batch of a worker that does not hold every partition.
 */
export class WorkingSet {
  readonly #stores: WorkingSetStores;
  readonly #cache: LRUCache<Uuid, ProfileWork>;
  #batch = new Map<Uuid, ProfileWork>();

  constructor(stores: WorkingSetStores, maxCachedProfiles = DEFAULT_MAX_CACHED_PROFILES) {
    this.#stores = stores;
    this.#cache = new LRUCache<Uuid, ProfileWork>({ max: maxCachedProfiles });
  }

  forget(): void {
    this.#cache.clear();
    this.#batch.clear();
  }

  /** A profile of the batch in hand. */
  readonly profile = (id: Uuid): ProfileWork => {
    const profile = this.#batch.get(id);
    if (profile === undefined) throw new Error('a profile is needed that was not loaded with its batch');
    return profile;
  };

  get touched(): Iterable<ProfileWork> {
    return this.#batch.values();
  }

  /** Loads every profile that these outcomes name; those in `created` are new and have nothing to load. */
  async loadForEvents(
    tx: Transaction,
    definitions: Definitions,
    outcomes: readonly EventIdentity[],
    founded: ReadonlyMap<Uuid, KnownProfile>,
  ): Promise<void> {
    const ids = new Set<Uuid>();
    for (const { profileId, moves, merged } of outcomes) {
      ids.add(profileId);
      for (const { from, to } of moves) {
        ids.add(to);
        if (from !== null) ids.add(from);
      }
      for (const [from, into] of merged) ids.add(from).add(into);
    }
    await this.loadWith(tx, definitions, ids, founded);
    this.#moveIdentifiers(outcomes);
  }

  /** Loads these profiles; those in `founded` that do not exist yet are new. */
  async loadWith(
    tx: Transaction,
    definitions: Definitions,
    ids: Iterable<Uuid>,
    founded: ReadonlyMap<Uuid, KnownProfile>,
  ): Promise<void> {
    await this.load(tx, definitions, ids);
    for (const id of ids) {
      if (this.#batch.has(id)) continue;
      const profile = founded.get(id);
      if (profile === undefined) throw new Error('identity names a profile that does not exist');
      this.#batch.set(id, newProfileWork(profile, definitions.features));
    }
  }

  /** Loads those of these profiles that exist. */
  async load(tx: Transaction, definitions: Definitions, ids: Iterable<Uuid>): Promise<void> {
    this.#batch = new Map();
    const missing: Uuid[] = [];
    for (const id of ids) {
      const cached = this.#cache.get(id);
      if (cached === undefined) missing.push(id);
      else this.#batch.set(id, cached);
    }
    if (missing.length === 0) return;
    const profiles = await this.#stores.profiles.lock(tx, missing);
    const loadedIds = profiles.map((profile) => profile.id);
    if (loadedIds.length === 0) return;
    const [rows, memberships, timers] = await Promise.all([
      this.#stores.anchors.loadByProfiles(tx, loadedIds),
      this.#stores.memberships.loadByProfiles(tx, loadedIds),
      this.#stores.timers.loadByProfiles(tx, loadedIds),
    ]);
    for (const profile of profiles) {
      const work = newProfileWork(profile, definitions.features);
      work.mergedInto = profile.mergedInto;
      work.timer = timers.get(profile.id) ?? null;
      work.dueAt = work.timer?.dueAt ?? Number.POSITIVE_INFINITY;
      for (const segmentId of work.timer?.stale ?? []) work.stale.add(segmentId);
      this.#batch.set(profile.id, work);
    }
    for (const { profileId, identifierId, ns, value, anchor } of rows) {
      const work = this.profile(profileId);
      work.identifiers.set(identifierId, { id: identifierId, ns, value });
      if (anchor === null) continue;
      const { id, part } = anchor;
      const state = definitions.features.decode(anchor.state);
      const loaded = newAnchorWork({ id, part, traits: decodeTraits(anchor.traits), state });
      loaded.packedTraits = anchor.traits;
      work.anchors.set(id, loaded);
    }
    for (const { profileId, ...membership } of memberships) {
      this.profile(profileId).memberships.set(membership.segmentId, membership);
    }
    for (const id of loadedIds) {
      const work = this.profile(id);
      work.evaluated = work.mergedInto === null && work.anchors.size > 0;
      remerge(work, definitions.features);
      if (definitions.search !== null && work.evaluated) {
        work.indexed = { traits: searchedTraits(definitions.search, work.traits), hop: -1, features: null };
      }
    }
  }

  /** Writes what the fold changed. `untilT`: timers due at or before it have fired; 0: nothing was applied. */
  async save(tx: Transaction, definitions: Definitions, changes: readonly FoldChange[], untilT: number): Promise<void> {
    const { entered, left } = this.#membershipWrites(changes);
    const { search } = definitions;
    const found = search === null || untilT === 0 ? null : this.#searchWrites(definitions, search, untilT);
    // Behind the index, which may be what time changes next.
    const { set, cleared, marked } = this.#timerWrites(untilT);
    await Promise.all([
      found === null ? null : this.#stores.search.replace(tx, found.profileIds, found.entries),
      this.#stores.anchors.save(tx, this.#packDirtyAnchors(definitions, untilT)),
      this.#stores.memberships.save(tx, entered, left),
      this.#stores.timers.save(tx, set, cleared, marked),
    ]);
  }

  /** Writes what profiles are found by alone, as of `untilT`, to which every event of theirs is applied. */
  async saveSearch(tx: Transaction, definitions: Definitions, untilT: number): Promise<void> {
    const { search } = definitions;
    if (search === null) return;
    const { profileIds, entries } = this.#searchWrites(definitions, search, untilT);
    const { set, cleared, marked } = this.#timerWrites(untilT);
    await Promise.all([
      this.#stores.search.replace(tx, profileIds, entries),
      this.#stores.timers.save(tx, set, cleared, marked),
    ]);
  }

  /** After the commit: what is alive may stay cached. */
  release(): void {
    for (const [id, profile] of this.#batch) {
      if (profile.mergedInto !== null) this.#cache.delete(id);
      else this.#cache.set(id, profile);
    }
  }

  #moveIdentifiers(outcomes: readonly EventIdentity[]): void {
    for (const { event, moves } of outcomes) {
      for (const { identifierId, from, to } of moves) {
        const source = from === null ? null : this.profile(from).identifiers;
        const identifier = source?.get(identifierId) ?? event.identifiers.find(({ id }) => id === identifierId);
        if (identifier === undefined) throw new Error('an identifier moved that nobody knows');
        source?.delete(identifierId);
        this.profile(to).identifiers.set(identifierId, identifier);
      }
    }
  }

  #packDirtyAnchors({ features }: Definitions, untilT: number): PackedAnchor[] {
    const packed: PackedAnchor[] = [];
    for (const profile of this.#batch.values()) {
      // A timer that is due but not yet fired will still look back from its own instant.
      const beforeT = Math.min(untilT, profile.dueAt);
      const hop = Math.floor(beforeT / SHORTEST_HOP_MS);
      for (const anchor of profile.anchors.values()) {
        if (!anchor.dirty) continue;
        // Tiles fall out of sight at the ends of hops only, and each longer hop is a multiple of the shortest.
        if (anchor.prunedHop !== hop) {
          features.prune(anchor.state, beforeT);
          if (anchor.state !== profile.merged) features.prune(profile.merged, beforeT);
          anchor.prunedHop = hop;
        }
        anchor.packedState = features.encode(anchor.state);
        anchor.packedTraits ??= encodeTraits(anchor.traits);
        const { id, part, packedTraits: traits, packedState: state } = anchor;
        packed.push({ id, part, traits, state });
        anchor.dirty = false;
      }
    }
    return packed;
  }

  /** Of the profiles that are to be found otherwise than before: they alone are written, as a whole. */
  #searchWrites(
    { features, searchedFeatures: searched }: Definitions,
    fields: SearchFields,
    untilT: number,
  ): { profileIds: Uuid[]; entries: SearchEntry[] } {
    const profileIds: Uuid[] = [];
    const entries: SearchEntry[] = [];
    for (const profile of this.#batch.values()) {
      const { id, indexed, mergedInto, anchors, traits: all } = profile;
      // An alias, or one of which nothing is left.
      if (mergedInto !== null || anchors.size === 0) {
        profileIds.push(id);
        profile.indexed = null;
        profile.searchedUntil = Number.POSITIVE_INFINITY;
        continue;
      }
      const traits = searchedTraits(fields, all);
      const isOther = indexed === null || !isSameSearched(indexed.traits, traits);
      const hop = isOther || isAnyDirty(anchors.values()) ? updatedHop(untilT) : indexed.hop;
      const { values, until } = searchedValues(searched, features, profile, untilT + 1);
      profile.searchedUntil = until;
      const known = indexed?.features ?? (searched.length === 0 ? values : null);
      if (!isOther && hop === indexed.hop && known !== null && isSameValues(known, values)) continue;
      profileIds.push(id);
      entries.push(...traitEntries(fields, id, traits), ...featureEntries(searched, id, values));
      const key = hop < 0 ? KEPT_KEY : keyOfHop(hop);
      if (fields.updatedId !== null) entries.push({ profileId: id, fieldId: fields.updatedId, key });
      profile.indexed = { traits, hop, features: values };
    }
    return { profileIds, entries };
  }

  #membershipWrites(changes: readonly FoldChange[]): {
    entered: ProfileMembership[];
    left: { profileId: Uuid; segmentId: number }[];
  } {
    const touched = new Map<string, FoldChange>();
    for (const change of changes) touched.set(`${change.profileId} ${String(change.segmentId)}`, change);
    const entered: ProfileMembership[] = [];
    const left: { profileId: Uuid; segmentId: number }[] = [];
    for (const { profileId, segmentId } of touched.values()) {
      const membership = this.profile(profileId).memberships.get(segmentId);
      if (membership === undefined) left.push({ profileId, segmentId });
      else entered.push({ profileId, ...membership });
    }
    return { entered, left };
  }

  /**
   * A timer row is rewritten where the next due time is earlier, or where it has fired. One that is merely too early
   * stays: waking up for nothing once is cheaper than a write for each event, and leaves no trace (F8 of `fold-batch`).
   * Of one that stays what could not be judged is told by itself: it may have been asked for by an edit.
   */
  #timerWrites(untilT: number): TimerWrites {
    const set: ProfileTimer[] = [];
    const cleared: Uuid[] = [];
    const marked: TimerWrites['marked'] = [];
    for (const profile of this.#batch.values()) {
      const { id, part, timer } = profile;
      const dueAt = Math.min(profile.dueAt, profile.searchedUntil);
      const stale = staleOf(profile);
      const stays = timer !== null && timer.dueAt > untilT && timer.dueAt <= dueAt && profile.mergedInto === null;
      if (timer !== null && (stays || timer.dueAt === dueAt)) {
        if (timer.stale.join() === stale.join()) continue;
        marked.push({ profileId: id, stale });
        profile.timer = { ...timer, stale };
      } else if (dueAt !== Number.POSITIVE_INFINITY) {
        set.push({ profileId: id, dueAt, part, stale });
        profile.timer = { dueAt, sweep: null, stale };
      } else if (timer !== null) {
        cleared.push(id);
        profile.timer = null;
      }
    }
    return { set, cleared, marked };
  }
}

interface TimerWrites {
  readonly set: ProfileTimer[];
  readonly cleared: Uuid[];
  readonly marked: Pick<ProfileTimer, 'profileId' | 'stale'>[];
}

const NOTHING_STALE: readonly number[] = [];

function staleOf({ stale }: ProfileWork): readonly number[] {
  return stale.size === 0 ? NOTHING_STALE : [...stale].sort((a, b) => a - b);
}

function isAnyDirty(anchors: Iterable<AnchorWork>): boolean {
  for (const anchor of anchors) if (anchor.dirty) return true;
  return false;
}
