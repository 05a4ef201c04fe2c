import { compareCanonical, type Identifier, type LoggedEvent } from '../events/event.model.js';
import { WeftError } from '../platform/errors.js';
import { partitionOf, type Uuid } from '../platform/ids.js';
import type { Queryable, Transaction } from '../platform/postgres.js';
import { assignProfiles, type ProfileAssignment } from './assign-profiles.js';
import { ComponentCache } from './component-cache.js';
import { ComponentsAhead } from './components-ahead.js';
import type { ContestedComponentStore } from './contested-component.store.js';
import {
  absorb,
  addMember,
  isOneProfile,
  linkComponent,
  newComponent,
  NO_PROFILE,
  replayOf,
  type Component,
  type KnownIdentifier,
} from './component.model.js';
import { evidenceOf, type Evidence } from './evidence.model.js';
import { noteAssignment } from './note-assignment.js';
import { noteEvidence } from './note-evidence.js';
import { IdentityBatchLoader } from './load-identity-batch.js';
import {
  newBatch,
  noteAdded,
  noteAddedProfile,
  noteChanged,
  noteChangedProfile,
  type IdentityBatch,
} from './identity-batch.model.js';
import { countedOf, genericBoundOf, isSuspicious, ownerOfLate } from './generic-value.model.js';
import type { GenericValueStore } from './generic-value.store.js';
import type { IdentityLinkStore } from './identity-link.store.js';
import { NO_LINKS } from './identity-links.model.js';
import { movesOf } from './identity-move.model.js';
import { withinLimits, type IdentityRules } from './identity-rules.model.js';
import type { IdentityStore } from './identity.store.js';
import type { EventIdentity } from './identity-outcome.model.js';
import { MAX_REPLAY_ROWS } from './resolve-component.js';
import { saveAhead, saveRest } from './save-batch.js';

export interface IdentityStepOptions {
  readonly store: IdentityStore;
  readonly links: IdentityLinkStore;
  readonly contested: ContestedComponentStore;
  readonly generics: GenericValueStore;
  /** Until others are put in their place. */
  readonly rules: IdentityRules;
  readonly partitions: number;
  /** A new id, of a profile or a move, for an event accepted at `nowMs`. */
  readonly newId: (nowMs: number) => Uuid;
  /** Identifiers and rows of their evidence kept in memory between batches. */
  readonly maxCachedIdentifiers?: number;
  /** Rows of evidence beyond which a component is contested. */
  readonly maxReplayRows?: number;
  /** New identifiers that are written with their profiles while the rest of their batch is resolved. */
  readonly rowsAhead?: number;
}

const DEFAULT_MAX_CACHED_IDENTIFIERS = 100_000;
const DEFAULT_ROWS_AHEAD = 800;
/** And so many of the first, then twice as many each time: the database is not to wait for them. */
const FIRST_ROWS_AHEAD = 100;

/**
 * Resolves the identities of a micro-batch, event by event in acceptance order.
 *
 * Most events name identifiers that already stand for one profile and cost two look-ups in memory. Where components
 * join, the union is one profile if it is within limits; otherwise the replay of its evidence is continued, and the
 * groups that changed by that are assigned anew. What a batch reads is read before its first event.
 *
 * Links by hand are looked for only where the installation has any (`hasLinks`). One whose ends are both known is part
 * of their component already; one that a new identifier brings into play joins the components of its ends.
 *
 * New identifiers and profiles are written as they come, some at a time: the database is at work while the rest of the
 * batch is resolved.
 *
 * The cache may live across batches only while this worker holds every partition; `forget` drops it after a batch that
 * did not commit.
 */
export class IdentityStep {
  readonly #options: IdentityStepOptions;
  readonly #cache: ComponentCache;
  readonly #ahead = new ComponentsAhead();
  #rules: IdentityRules;

  constructor(options: IdentityStepOptions) {
    this.#options = options;
    this.#rules = options.rules;
    this.#cache = new ComponentCache(options.maxCachedIdentifiers ?? DEFAULT_MAX_CACHED_IDENTIFIERS);
  }

  /** Resolves by these rules from now on; to be called between batches. */
  use(rules: IdentityRules): void {
    if (rules.version === this.#rules.version && rules.generics?.version === this.#rules.generics?.version) return;
    this.#rules = rules;
    this.forget();
  }

  forget(): void {
    this.#cache.forget();
    this.#ahead.forget();
  }

  /**
   * Reads who the next events are about, so that resolving them need not wait for it. To be called by a worker that holds
   * every partition, once the events before are resolved, and at the latest until these are; `db` is not their transaction.
   */
  async prepare(db: Queryable, logged: readonly LoggedEvent[]): Promise<void> {
    const missing = new Set<Uuid>();
    for (const { identifiers } of this.#counted(logged)) {
      for (const { id } of identifiers) if (this.#cache.of(id) === undefined) missing.add(id);
    }
    await this.#ahead.read(db, this.#options.store, missing);
  }

  /**
   * Locks the identifiers of a batch with all others of their components, in id order; for a worker that others work
   * beside. Which those are is read before the lock, so it is checked again after.
   * @throws WeftError UNAVAILABLE if they changed in between, or one of them was taken back: the batch is to be repeated, with the larger lock set
   */
  async lock(tx: Transaction, logged: readonly LoggedEvent[], hasLinks: boolean): Promise<void> {
    const { links, store } = this.#options;
    const events = this.#counted(logged);
    const wanted = new Map<Uuid, { identifier: Identifier; firstPos: number; firstAt: number }>();
    for (const { identifiers, pos, acceptedAt } of events) {
      for (const identifier of identifiers) {
        if (!wanted.has(identifier.id)) wanted.set(identifier.id, { identifier, firstPos: pos, firstAt: acceptedAt });
      }
    }
    if (wanted.size === 0) return;
    const ids = [...wanted.keys()];
    const linked = hasLinks ? (await links.around(tx, ids)).mustLinks.flat() : [];
    const around = await store.standingMembersAround(tx, [...ids, ...linked]);
    await store.makeKnown(tx, [...wanted.values()]);
    const locked = await store.lock(tx, [...new Set([...ids, ...around])]);
    const now = await store.standingMembersAround(tx, [...ids, ...linked]);
    if ([...ids, ...now].every((id) => locked.has(id))) return;
    throw new WeftError('UNAVAILABLE', 'identities of the batch were joined by another worker meanwhile', {
      retryAfterMs: 0,
    });
  }

  /** @param hasLinks whether there may be links by hand */
  async resolve(tx: Transaction, logged: readonly LoggedEvent[], hasLinks: boolean): Promise<IdentityBatch> {
    const events = this.#counted(logged);
    const own = { cache: this.#cache, ahead: this.#ahead.take(), rules: this.#rules };
    const loader = new IdentityBatchLoader({ ...this.#options, ...own, maxReplayRows: this.#maxReplayRows });
    const batch = newBatch(await loader.load(tx, { events, logged, hasLinks }));
    let rowsAhead = Math.min(FIRST_ROWS_AHEAD, this.#rowsAhead);
    for (const [i, event] of events.entries()) {
      batch.outcomes.push(this.#resolveEvent(batch, event, logged[i] ?? event));
      if (batch.added.identifiers.size < rowsAhead) continue;
      await saveAhead(tx, this.#options.store, batch);
      rowsAhead = Math.min(2 * rowsAhead, this.#rowsAhead);
    }
    return batch;
  }

  async save(tx: Transaction, batch: IdentityBatch): Promise<void> {
    const { contested, generics, store } = this.#options;
    const asOf = batch.outcomes.at(-1)?.event.acceptedAt ?? 0;
    if (batch.rejoined.length > 0) await contested.rejoin(tx, batch.rejoined, asOf);
    if (batch.contestedIds.size > 0) await contested.mark(tx, [...batch.contestedIds], asOf);
    if (batch.suspects.size > 0) await generics.suspect(tx, [...batch.suspects]);
    if (batch.misplaced.size > 0) await generics.markStale(tx, [...batch.misplaced]);
    if (batch.late.length > 0) await generics.noteLate(tx, batch.late);
    await saveRest(tx, store, batch);
  }

  /** After the commit: what the batch worked on may be evicted again. */
  release(): void {
    this.#cache.release();
  }

  /** The events with those identifiers alone that count; themselves where all do. */
  #counted(events: readonly LoggedEvent[]): readonly LoggedEvent[] {
    const rules = this.#rules;
    if (rules.generics === undefined || rules.generics.ids.size === 0) return events;
    return events.map((event) => {
      const { counted, uncounted } = countedOf(event.identifiers, rules);
      return uncounted === undefined ? event : { ...event, identifiers: counted };
    });
  }

  get #rowsAhead(): number {
    return this.#options.rowsAhead ?? DEFAULT_ROWS_AHEAD;
  }

  get #maxReplayRows(): number {
    return this.#options.maxReplayRows ?? MAX_REPLAY_ROWS;
  }

  /** @param logged the event with all of its identifiers */
  #resolveEvent(batch: IdentityBatch, event: LoggedEvent, logged: LoggedEvent): EventIdentity {
    const known = event === logged ? this.#knownAlone(event) : null;
    if (known !== null) return { event, profileId: known, moves: NO_MOVES, merged: NONE };
    const evidence = evidenceOf(logged, this.#rules);
    const { component, grown } = this.#componentOf(batch, event);
    if (this.#hasFormer) this.#noteLate(batch, logged);
    const isNews = noteEvidence(batch, component, evidence);
    if (isNews) this.#noteGenerics(batch, component, evidence);
    // What is known already may mean something else by other rules.
    const isUnresolved = !component.isResolved && !component.isContested;
    const groups = grown || isNews || isUnresolved ? this.#changedGroups(batch, component, event, grown) : NO_GROUPS;
    if (groups.length === 0) {
      return { event, profileId: this.#profileOf(component, event), moves: NO_MOVES, merged: NONE };
    }
    const assignment = assignProfiles({
      groups: groups.map((group) => group.map((id) => memberOf(component, id))),
      foundedBy: (id) => memberOf(component, id).founded ?? undefined,
      rules: this.#rules,
      pos: event.pos,
      newProfileId: () => this.#options.newId(event.acceptedAt),
    });
    this.#assign(batch, component, event, assignment);
    return {
      event,
      profileId: this.#profileOf(component, event),
      moves: assignment.moved,
      merged: new Map(assignment.merged.filter((m) => m.previously === null).map((m) => [m.from, m.into])),
    };
  }

  get #hasFormer(): boolean {
    return (this.#rules.generics?.former?.size ?? 0) > 0;
  }

  #noteLate(batch: IdentityBatch, { identifiers }: LoggedEvent): void {
    const [anchor] = identifiers;
    const owner = ownerOfLate(identifiers, this.#rules);
    if (anchor !== undefined && owner !== null) batch.late.push([owner.id, anchor.id]);
  }

  /** That there may be generic values that are not known, or events that hang on one though they carry others. */
  #noteGenerics(batch: IdentityBatch, component: Component, { identifiers, uncounted }: Evidence): void {
    const rules = this.#rules;
    const isOfSeveral = identifiers.length > 1 || uncounted !== undefined;
    // Those that are generic already are neighbours, too, and of other components.
    const isOfMany = component.members.size + (rules.generics?.ids.size ?? 0) > genericBoundOf(rules);
    if (isOfSeveral && (component.isContested || (isOfMany && isSuspicious(component.counts, rules)))) {
      batch.suspects.add(component.id);
    }
    const [anchor] = identifiers;
    if (uncounted === undefined || anchor === undefined || rules.generics?.ids.has(anchor.id) !== true) return;
    if (uncounted.some(({ id }) => rules.generics?.ids.has(id) !== true)) batch.misplaced.add(anchor.id);
  }

  /** The groups of the component that may have changed with this event. */
  #changedGroups(
    batch: IdentityBatch,
    component: Component,
    event: LoggedEvent,
    grown: boolean,
  ): readonly (readonly Uuid[])[] {
    if (!component.isContested) {
      const rules = this.#rules;
      const hasCannotLinks = component.links.cannotLinks.length > 0;
      if (withinLimits(component.counts, rules, hasCannotLinks)) return this.#wholeIfChanged(component, grown);
      const replay = replayOf(component, rules);
      if (replay === null) throw new Error('a replay needs evidence that was not read');
      component.isResolved = true;
      if (replay.rows <= this.#maxReplayRows) return replay.advance();
    }
    component.replay = null;
    component.isContested = true;
    batch.contested++;
    batch.contestedIds.add(component.id);
    // Everybody stays where they are, and each newcomer is by itself.
    const newcomers = event.identifiers.filter(({ id }) => memberOf(component, id).profileId === NO_PROFILE);
    return newcomers.map(({ id }) => [id]);
  }

  /** One group, if it may not have been one: it grew, or other rules kept it apart when it was last resolved. */
  #wholeIfChanged(component: Component, grown: boolean): readonly (readonly Uuid[])[] {
    const isStanding = component.isResolved || isOneProfile(component);
    component.isResolved = true;
    return grown || !isStanding ? [[...component.members.keys()]] : NO_GROUPS;
  }

  /** The profile of an event with one identifier that says nothing new; null if it has to be looked at. */
  #knownAlone(event: LoggedEvent): Uuid | null {
    const [anchor, second] = event.identifiers;
    if (anchor === undefined || second !== undefined) return null;
    const component = this.#cache.of(anchor.id);
    const seen = component?.seenAlone?.get(anchor.id);
    if (component === undefined || seen === undefined || compareCanonical(seen, event) > 0) return null;
    return this.#profileOf(component, event);
  }

  /** The one component of the event's identifiers; `grown` if that took joining some or adding new ones. */
  #componentOf(batch: IdentityBatch, event: LoggedEvent): { component: Component; grown: boolean } {
    let component: Component | undefined;
    let grown = false;
    for (const { id } of event.identifiers) {
      const other = this.#cache.of(id);
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
    if (component === undefined) this.#cache.add((component = newComponent(anchor.id, true)));
    for (const identifier of event.identifiers) {
      const known = component.members.get(identifier.id);
      if (known !== undefined && known.profileId !== NO_PROFILE) continue;
      grown = true;
      const member = known ?? newIdentifier(identifier, component, event);
      addMember(component, member);
      this.#cache.addMember(component, member);
      // Beside other workers everybody of a batch is there by now (`lock`).
      if (known === undefined) noteAdded(batch, member);
      else noteChanged(batch, member);
      if (batch.links !== null) component = this.#joinLinked(batch, component, identifier.id);
    }
    return { component, grown };
  }

  /** What the links of a new member bring with them: those of their other ends that were seen before. */
  #joinLinked(batch: IdentityBatch, component: Component, id: Uuid): Component {
    let joined = component;
    linkComponent(joined, batch.links?.of(id) ?? NO_LINKS);
    for (const end of batch.links?.mustWith(id) ?? []) {
      const other = this.#cache.of(end);
      if (other === undefined || other === joined || memberOf(other, end).profileId === NO_PROFILE) continue;
      joined = this.#join(batch, joined, other);
    }
    return joined;
  }

  #join(batch: IdentityBatch, a: Component, b: Component): Component {
    // Of a contested component only some members are here.
    const isInto = a.isContested === b.isContested ? a.members.size >= b.members.size : a.isContested;
    const [into, from] = isInto ? [a, b] : [b, a];
    if (from.isContested) batch.rejoined.push({ from: from.id, into: into.id });
    absorb(into, from, this.#rules);
    this.#cache.joined(into, from);
    batch.contestedIds.delete(from.id);
    for (const id of from.members.keys()) noteChanged(batch, memberOf(into, id));
    return into;
  }

  #assign(batch: IdentityBatch, component: Component, event: LoggedEvent, assignment: ProfileAssignment): void {
    for (const { identifierId, from, to } of assignment.moved) {
      const identifier = memberOf(component, identifierId);
      identifier.profileId = to;
      noteChanged(batch, identifier);
      noteAssignment(batch, identifier, { from, pos: event.pos, at: event.acceptedAt });
    }
    const ended = new Set(assignment.merged.map(({ from }) => from));
    const place = { at: event.acceptedAt, pos: event.pos, cause: 'event', revisionId: null } as const;
    batch.moves.push(...movesOf(assignment.moved, ended, place, this.#options.newId));
    for (const { id, foundingId, foundedPos } of assignment.created) {
      const part = partitionOf(foundingId, this.#options.partitions);
      const profile = { id, foundingId, foundedPos, createdAt: event.acceptedAt, part, mergedInto: null };
      memberOf(component, foundingId).founded = profile;
      noteAddedProfile(batch, profile);
    }
    for (const { foundingId, into } of assignment.merged) setAlias(batch, memberOf(component, foundingId), into);
    for (const { foundingId } of assignment.revived) setAlias(batch, memberOf(component, foundingId), null);
  }

  #profileOf(component: Component, event: LoggedEvent): Uuid {
    return memberOf(component, event.identifiers[0]?.id ?? '').profileId;
  }
}

const NONE: ReadonlyMap<Uuid, Uuid> = new Map();
const NO_MOVES: EventIdentity['moves'] = [];
const NO_GROUPS: readonly (readonly Uuid[])[] = [];

function memberOf(component: Component, id: Uuid): KnownIdentifier {
  const member = component.members.get(id);
  if (member === undefined) throw new Error('an identifier is not a member of its component');
  return member;
}

function newIdentifier(identifier: Identifier, component: Component, event: LoggedEvent): KnownIdentifier {
  return {
    id: identifier.id,
    ns: identifier.ns,
    value: identifier.value,
    componentId: component.id,
    profileId: NO_PROFILE,
    firstPos: event.pos,
    firstAt: event.acceptedAt,
    founded: null,
  };
}

function setAlias(batch: IdentityBatch, founder: KnownIdentifier, into: Uuid | null): void {
  const profile = founder.founded;
  if (profile === null) throw new Error('a merged profile was not founded in its component');
  profile.mergedInto = into;
  noteChangedProfile(batch, profile);
}
