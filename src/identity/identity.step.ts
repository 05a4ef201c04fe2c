import { LRUCache } from 'lru-cache';
import { compareCanonical, type Identifier, type LoggedEvent } from '../events/event.model.js';
import { WeftError } from '../platform/errors.js';
import { partitionOf, type Uuid } from '../platform/ids.js';
import type { Transaction } from '../platform/postgres.js';
import { assignProfiles, type ProfileAssignment } from './assign-profiles.js';
import {
  absorb,
  addMember,
  evidenceKey,
  newComponent,
  NO_PROFILE,
  type Component,
  type KnownIdentifier,
  type KnownProfile,
} from './component.model.js';
import { compareEvidence, evidenceOf, leastEvidence, type Evidence } from './evidence.model.js';
import { withinLimits, type IdentityRules } from './identity-rules.model.js';
import type { Assignment, IdentityStore } from './identity.store.js';
import type { EventIdentity } from './identity-outcome.model.js';
import { MAX_REPLAY_ROWS, resolveComponent } from './resolve-component.js';

export interface IdentityStepOptions {
  readonly store: IdentityStore;
  readonly rules: IdentityRules;
  readonly partitions: number;
  /** A new profile id for an event accepted at `nowMs`. */
  readonly newProfileId: (nowMs: number) => Uuid;
  /** Identifiers whose component is kept in memory between batches. */
  readonly maxCachedIdentifiers?: number;
}

/** What a batch changed, to be saved and published once the rest of the batch is known. */
export interface IdentityBatch {
  readonly outcomes: EventIdentity[];
  readonly identifiers: Set<KnownIdentifier>;
  readonly profiles: Map<Uuid, KnownProfile>;
  readonly evidence: Map<string, Evidence>;
  readonly assignments: Map<string, Assignment>;
  /** Components too large to be replayed in place: their new identifiers stand alone. */
  contested: number;
}

const DEFAULT_MAX_CACHED_IDENTIFIERS = 100_000;
/** Evidence rows remembered per component, to skip writes that would change nothing. */
const MAX_WRITTEN_ROWS = 256;

/**
 * Resolves the identities of a micro-batch, event by event in acceptance order.
 *
 * Most events name identifiers that already stand for one profile and cost two look-ups in memory. Where components
 * join, the union is one profile if it is within limits; otherwise all of its evidence is replayed in canonical order.
 *
 * The cache may live across batches only while this worker holds every partition; `forget` drops it after a batch that
 * did not commit.
 */
export class IdentityStep {
  readonly #options: IdentityStepOptions;
  readonly #byIdentifier = new Map<Uuid, Component>();
  readonly #components: LRUCache<Uuid, Component>;
  /** Components of the batch in hand must survive however small the cache is. */
  readonly #pinned = new Set<Component>();

  constructor(options: IdentityStepOptions) {
    this.#options = options;
    this.#components = new LRUCache<Uuid, Component>({
      maxSize: options.maxCachedIdentifiers ?? DEFAULT_MAX_CACHED_IDENTIFIERS,
      sizeCalculation: (component) => Math.max(1, component.members.size),
      dispose: (component, _, reason) => {
        if (reason === 'evict' && !this.#pinned.has(component)) this.#unindex(component);
      },
    });
  }

  forget(): void {
    this.#components.clear();
    this.#byIdentifier.clear();
    this.#pinned.clear();
  }

  /**
   * Locks the identifiers of a batch with all others of their components, in id order; for a worker that others work
   * beside. Which those are is read before the lock, so it is checked again after.
   * @throws WeftError UNAVAILABLE if they changed in between: the batch is to be repeated, with the larger lock set
   */
  async lock(tx: Transaction, events: readonly LoggedEvent[]): Promise<void> {
    const { store } = this.#options;
    const wanted = new Map<Uuid, { identifier: Identifier; firstPos: number }>();
    for (const { identifiers, pos } of events) {
      for (const identifier of identifiers) {
        if (!wanted.has(identifier.id)) wanted.set(identifier.id, { identifier, firstPos: pos });
      }
    }
    if (wanted.size === 0) return;
    const ids = [...wanted.keys()];
    const locked = new Set([...ids, ...(await store.membersAround(tx, ids))]);
    await store.makeKnown(tx, [...wanted.values()]);
    await store.lock(tx, [...locked]);
    const now = await store.membersAround(tx, ids);
    if (now.every((id) => locked.has(id))) return;
    throw new WeftError('UNAVAILABLE', 'identities of the batch were joined by another worker meanwhile', {
      retryAfterMs: 0,
    });
  }

  async resolve(tx: Transaction, events: readonly LoggedEvent[]): Promise<IdentityBatch> {
    const batch: IdentityBatch = {
      outcomes: [],
      identifiers: new Set(),
      profiles: new Map(),
      evidence: new Map(),
      assignments: new Map(),
      contested: 0,
    };
    await this.#load(tx, events);
    for (const event of events) batch.outcomes.push(await this.#resolveEvent(tx, batch, event));
    return batch;
  }

  async save(tx: Transaction, batch: IdentityBatch): Promise<void> {
    await this.#options.store.save(tx, {
      identifiers: [...batch.identifiers],
      profiles: [...batch.profiles.values()],
      evidence: [...batch.evidence.values()],
      assignments: [...batch.assignments.values()],
    });
  }

  /** After the commit: what was pinned may be evicted again. */
  release(): void {
    for (const component of this.#pinned) {
      // Anew, so that its size is measured anew.
      this.#components.delete(component.id);
      this.#components.set(component.id, component);
    }
    const pinned = [...this.#pinned];
    this.#pinned.clear();
    for (const component of pinned) if (!this.#components.has(component.id)) this.#unindex(component);
  }

  async #load(tx: Transaction, events: readonly LoggedEvent[]): Promise<void> {
    const missing = new Set<Uuid>();
    for (const { identifiers } of events) {
      for (const { id } of identifiers) {
        const component = this.#byIdentifier.get(id);
        if (component === undefined) missing.add(id);
        else this.#pinned.add(component);
      }
    }
    for (const component of await this.#options.store.loadComponents(tx, [...missing])) this.#index(component);
  }

  async #resolveEvent(tx: Transaction, batch: IdentityBatch, event: LoggedEvent): Promise<EventIdentity> {
    const known = this.#knownAlone(event);
    if (known !== null) return { event, profileId: known, moves: NO_MOVES, merged: NONE };
    const evidence = evidenceOf(event);
    const { component, grown } = this.#componentOf(batch, event);
    const isNews = noteEvidence(batch, component, evidence);
    const lawful = withinLimits(component.counts, this.#options.rules);
    if (!grown && (lawful || !isNews))
      return { event, profileId: this.#profileOf(component, event), moves: NO_MOVES, merged: NONE };

    const groups = lawful ? [[...component.members.keys()]] : await this.#replay(tx, batch, component);
    const assignment = assignProfiles({
      identifiers: placed(component),
      groups,
      profiles: component.profiles.values(),
      rules: this.#options.rules,
      pos: event.pos,
      newProfileId: () => this.#options.newProfileId(event.acceptedAt),
    });
    this.#assign(batch, component, event, assignment);
    return {
      event,
      profileId: this.#profileOf(component, event),
      moves: assignment.moved,
      merged: new Map(assignment.merged.filter((m) => m.previously === null).map((m) => [m.from, m.into])),
    };
  }

  /** The profile of an event with one identifier that says nothing new; null if it has to be looked at. */
  #knownAlone(event: LoggedEvent): Uuid | null {
    const [anchor, second] = event.identifiers;
    if (anchor === undefined || second !== undefined) return null;
    const component = this.#byIdentifier.get(anchor.id);
    const seen = component?.seenAlone.get(anchor.id);
    if (component === undefined || seen === undefined || compareCanonical(seen, event) > 0) return null;
    return this.#profileOf(component, event);
  }

  /** The one component of the event's identifiers; `grown` if that took joining some or adding new ones. */
  #componentOf(batch: IdentityBatch, event: LoggedEvent): { component: Component; grown: boolean } {
    let component: Component | undefined;
    let grown = false;
    for (const { id } of event.identifiers) {
      const other = this.#byIdentifier.get(id);
      if (other === undefined || other === component) continue;
      if (component === undefined) {
        component = other;
        continue;
      }
      grown = true;
      component = this.#join(batch, component, other);
    }
    const [anchor] = event.identifiers;
    if (anchor === undefined) throw new RangeError(`event at ${String(event.pos)} has no identifier`);
    component ??= this.#index(newComponent(anchor.id));
    for (const identifier of event.identifiers) {
      const known = component.members.get(identifier.id);
      if (known !== undefined && known.profileId !== NO_PROFILE) continue;
      grown = true;
      const member = known ?? newIdentifier(identifier, component, event);
      addMember(component, member);
      this.#byIdentifier.set(identifier.id, component);
      batch.identifiers.add(member);
    }
    return { component, grown };
  }

  #join(batch: IdentityBatch, a: Component, b: Component): Component {
    const [into, from] = a.members.size >= b.members.size ? [a, b] : [b, a];
    absorb(into, from);
    for (const id of from.members.keys()) {
      this.#byIdentifier.set(id, into);
      const member = into.members.get(id);
      if (member !== undefined) batch.identifiers.add(member);
    }
    this.#components.delete(from.id);
    this.#pinned.delete(from);
    return into;
  }

  async #replay(tx: Transaction, batch: IdentityBatch, component: Component): Promise<readonly (readonly Uuid[])[]> {
    component.evidence ??= await this.#loadEvidence(tx, batch, component);
    if (component.evidence.size > MAX_REPLAY_ROWS) {
      batch.contested++;
      return groupsAsTheyStand(component);
    }
    return resolveComponent([...component.evidence.values()], this.#options.rules).groups;
  }

  async #loadEvidence(tx: Transaction, batch: IdentityBatch, component: Component): Promise<Map<string, Evidence>> {
    const all = new Map<string, Evidence>();
    for (const row of await this.#options.store.loadEvidence(tx, component, MAX_REPLAY_ROWS + 1))
      all.set(evidenceKey(row), row);
    for (const [key, row] of batch.evidence) {
      if (!component.members.has(row.anchorId)) continue;
      const stored = all.get(key);
      all.set(key, stored === undefined ? row : leastEvidence(stored, row));
    }
    return all;
  }

  #assign(batch: IdentityBatch, component: Component, event: LoggedEvent, assignment: ProfileAssignment): void {
    for (const { identifierId, to } of assignment.moved) {
      const identifier = component.members.get(identifierId);
      if (identifier === undefined) throw new Error('a moved identifier is not a member of its component');
      identifier.profileId = to;
      batch.identifiers.add(identifier);
      batch.assignments.set(`${identifierId} ${String(event.pos)}`, {
        identifierId,
        profileId: to,
        fromPos: event.pos,
        fromAt: event.acceptedAt,
      });
    }
    for (const { id, foundingId, foundedPos } of assignment.created) {
      const part = partitionOf(foundingId, this.#options.partitions);
      const profile = { id, foundingId, foundedPos, createdAt: event.acceptedAt, part, mergedInto: null };
      component.profiles.set(id, profile);
      batch.profiles.set(id, profile);
    }
    for (const { from, into } of assignment.merged) this.#setAlias(batch, component, from, into);
    for (const { id } of assignment.revived) this.#setAlias(batch, component, id, null);
  }

  #setAlias(batch: IdentityBatch, component: Component, id: Uuid, into: Uuid | null): void {
    const profile = component.profiles.get(id);
    if (profile === undefined) throw new Error('a merged profile was not founded in its component');
    profile.mergedInto = into;
    batch.profiles.set(id, profile);
  }

  #profileOf(component: Component, event: LoggedEvent): Uuid {
    const anchor = component.members.get(event.identifiers[0]?.id ?? '');
    if (anchor === undefined) throw new Error('an anchor is not a member of its component');
    return anchor.profileId;
  }

  #index(component: Component): Component {
    this.#pinned.add(component);
    for (const id of component.members.keys()) this.#byIdentifier.set(id, component);
    return component;
  }

  #unindex(component: Component): void {
    for (const id of component.members.keys()) {
      if (this.#byIdentifier.get(id) === component) this.#byIdentifier.delete(id);
    }
  }
}

const NONE: ReadonlyMap<Uuid, Uuid> = new Map();
const NO_MOVES: EventIdentity['moves'] = [];

function newIdentifier(identifier: Identifier, component: Component, event: LoggedEvent): KnownIdentifier {
  return {
    id: identifier.id,
    ns: identifier.ns,
    value: identifier.value,
    componentId: component.id,
    profileId: NO_PROFILE,
    firstPos: event.pos,
  };
}

function* placed(component: Component) {
  for (const member of component.members.values()) {
    const { id, ns, value, firstPos, profileId } = member;
    yield { id, ns, value, firstPos, profileId: profileId === NO_PROFILE ? null : profileId };
  }
}

/** Everybody where they are, each new identifier by itself. */
function groupsAsTheyStand(component: Component): Uuid[][] {
  const groups = new Map<string, Uuid[]>();
  for (const { id, profileId } of component.members.values()) {
    const key = profileId === NO_PROFILE ? id : profileId;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [id]);
    else group.push(id);
  }
  return [...groups.values()];
}

/** Records evidence; false if it says nothing that was not known before. */
function noteEvidence(batch: IdentityBatch, component: Component, evidence: Evidence): boolean {
  const key = evidenceKey(evidence);
  const known = component.evidence?.get(key) ?? component.written.get(key);
  if (known !== undefined && compareEvidence(known, evidence) <= 0) return false;
  const least = known === undefined ? evidence : leastEvidence(known, evidence);
  component.evidence?.set(key, least);
  component.written.delete(key);
  component.written.set(key, least);
  if (least.identifiers.length === 1) component.seenAlone.set(least.anchorId, least.key);
  if (component.written.size > MAX_WRITTEN_ROWS) {
    for (const oldest of component.written.keys()) {
      component.written.delete(oldest);
      break;
    }
  }
  const pending = batch.evidence.get(key);
  batch.evidence.set(key, pending === undefined ? least : leastEvidence(pending, least));
  return true;
}
