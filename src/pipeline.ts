import { readAppliedAt } from './events/applied-log.reader.js';
import type { EventLog } from './events/event-log.model.js';
import type { LoggedEvent } from './events/event.model.js';
import type { RetractionStore } from './events/retraction.store.js';
import type { AnchorStateStore } from './features/anchor-state.store.js';
import type { GroupKnowledge } from './group-knowledge.js';
import type { IdentityBatch } from './identity/identity-batch.model.js';
import type { IdentityRevisionStep } from './identity/identity-revision.step.js';
import type { IdentityStep } from './identity/identity.step.js';
import { profilesOf, type IdentityRevision } from './identity/revised-identity.model.js';
import type { MatchingMarks } from './matching-marks.js';
import { nextPlace, raiseClock } from './next-place.js';
import { DefinitionsChanged, nothingYet, PipelineTransaction } from './pipeline-transaction.js';
import type { BatchResult, TransactionParts, WorkDone } from './pipeline-transaction.js';
import type {
  IndexedProfiles,
  Reanchoring,
  TakenBack,
  RevisionWork,
  RefoldedTraits,
  ToldGroups,
} from './pipeline-work.js';
import { WeftError } from './platform/errors.js';
import type { Uuid } from './platform/ids.js';
import type { Transaction } from './platform/postgres.js';
import type { AnchorGiven } from './profiles/group.store.js';
import type { TraitConflictStore } from './profiles/trait-conflict.store.js';
import type { PublishedIdentity } from './publication.store.js';
import type { Definitions } from './segments/definitions.model.js';
import { foldEvents, foldTimers } from './segments/fold-batch.js';
import { foldRevision, type RebuiltAnchor } from './segments/fold-revision.js';
import { foldTraitChange } from './segments/fold-trait-change.js';
import { appliedUntil, type ProfileWork } from './segments/profile-work.model.js';
import type { RecomputeStore } from './segments/recompute.store.js';
import type { TimerStore } from './segments/timer.store.js';

export interface PipelineParts extends TransactionParts {
  readonly log: EventLog;
  readonly identity: IdentityStep;
  readonly timers: TimerStore;
  readonly traitConflicts: TraitConflictStore;
  readonly groups: GroupKnowledge;
  readonly revision: RevisionParts;
  readonly matching: MatchingMarks;
  readonly recomputes: RecomputeStore;
}

/** What changes without an event. */
export interface RevisionParts {
  readonly retractions: RetractionStore;
  readonly identity: IdentityRevisionStep;
  readonly anchors: AnchorStateStore;
}

/** Records of publications younger than this may still be on their way to the online store. */
const REPUBLISH_AFTER_MS = 5_000;
/** People evaluated anew in one batch, at most: an event that comes meanwhile waits for the whole of it. */
const MAX_BATCH_BULK = 250;

/**
 * All stages, in order, each time in one transaction (`pipeline-transaction.ts`).
 *
 * An event waits for the batch under way and then for its own, and at a modest rate a batch takes as long as its round
 * trips. So all that a batch writes is begun in one turn of the event loop and travels together, the feed last; but for
 * identities, which are known before the events are folded: the database writes them meanwhile.
 */
export class Pipeline {
  readonly #parts: PipelineParts;
  readonly #transaction: PipelineTransaction;

  constructor(parts: PipelineParts) {
    this.#parts = parts;
    this.#transaction = new PipelineTransaction(parts);
  }

  /**
   * Applies events, which are all of the held partitions' events up to `toPos`, in order of position.
   * @param onResolved called once it is known who they are about: from then on the next may be prepared
   */
  async applyEvents(
    definitions: Definitions,
    events: readonly LoggedEvent[],
    toPos: number,
    onResolved?: () => void,
  ): Promise<BatchResult> {
    const { leases, identity, workingSet, groups } = this.#parts;
    const asOf = events.at(-1)?.acceptedAt ?? 0;
    const result = await this.#transaction.run(definitions, toPos, async (tx, work) => {
      if (leases.holdsAll) work.appliedPos = toPos;
      if (events.length === 0) return;
      const { hasIdentityLinks } = definitions;
      if (!leases.holdsAll) await identity.lock(tx, events, hasIdentityLinks);
      const who = await identity.resolve(tx, events, hasIdentityLinks);
      onResolved?.();
      await workingSet.loadForEvents(tx, definitions, who.outcomes, who.profiles);
      const saving = identity.save(tx, who);
      // Where folding fails, that is what is told; else it is awaited with all other writes.
      saving.catch(() => undefined);
      const { changes, droppedTraits, traitConflicts, groupEvents } = await foldEvents(
        definitions,
        workingSet.profile,
        who.outcomes,
      );
      if (groupEvents.length > 0) await groups.record(tx, groupEvents, workingSet.touched);
      const identities = { identifiers: who.identifiers, profiles: who.profiles.values() };
      await Promise.all([
        saving,
        traitConflicts.length === 0 ? null : this.#parts.traitConflicts.count(tx, traitConflicts, asOf),
        this.#parts.matching.ofEvents(tx, definitions, who),
        this.#transaction.save(tx, definitions, work, changes, identities, { untilT: asOf }),
      ]);
      Object.assign(work, { events: events.length, merges: mergesOf(who), contested: who.contested });
      Object.assign(work, { droppedTraits, traitConflicts });
      const loaded = who.outcomes.filter(({ event }) => event.historical);
      if (loaded.length > 0) work.loadedIds = survivorsOf(loaded, who);
    });
    leases.advanced(toPos);
    return result;
  }

  /** Reads what applying these events next needs, beside the batch in hand. It changes nothing but how long that takes. */
  async prepare(events: readonly LoggedEvent[]): Promise<void> {
    const { db, identity, leases } = this.#parts;
    if (leases.holdsAll && events.length > 0) await identity.prepare(db, events);
  }

  /** Fires what is due at or before `untilT`. To be called only when every event accepted before `untilT` is applied. */
  async fireTimers(definitions: Definitions, untilT: number, limit: number): Promise<BatchResult> {
    const { db, leases, timers, workingSet } = this.#parts;
    const parts = leases.held.map((lease) => lease.part);
    const due = await timers.due(db, parts, untilT, limit, MAX_BATCH_BULK);
    if (due.length === 0) return nothingYet();
    // With more to come, none may run ahead of those that are not in this batch. What is evaluated anew waits for nothing
    // and nothing for it: once any of it is here, all that is live is.
    const last = due.at(-1);
    const areLiveDone = due.length < limit || last?.isBulk === true;
    const horizon = areLiveDone ? untilT : (last?.dueAt ?? untilT);
    return this.#transaction.run(definitions, null, async (tx, work) => {
      const ids = due.map((timer) => timer.profileId);
      await workingSet.load(tx, definitions, ids);
      // One whose events another worker took back meanwhile is gone, and its timer with it.
      const loaded = [...workingSet.touched].map(({ id }) => id);
      const changes = await foldTimers(definitions, workingSet.profile, loaded, horizon);
      await this.#parts.recomputes.note(tx, changes);
      await this.#transaction.save(tx, definitions, work, changes, NO_IDENTITY, { untilT: horizon });
      Object.assign(work, { timers: due.length, areLiveDone });
    });
  }

  /** Writes profiles through that a crash or a failing online store left behind; the number of them. */
  async republish(definitions: Definitions): Promise<number> {
    const { db, clock, publications, workingSet } = this.#parts;
    const { versions, ids, identifierIds } = await publications.leftovers(db, clock.now() - REPUBLISH_AFTER_MS);
    if (versions.length === 0) return 0;
    await this.#transaction.run(definitions, null, async (tx, work) => {
      await workingSet.load(tx, definitions, ids);
      const gone = await this.#parts.revision.identity.goneOf(tx, ids, identifierIds);
      const identifiers = [...workingSet.touched].flatMap(({ id: profileId, identifiers: own }) =>
        [...own.keys()].map((id) => ({ id, profileId })),
      );
      // Nothing is applied here: what is published is as of what was applied before.
      const appliedAt = await readAppliedAt(tx);
      const asOf = (profile: ProfileWork): number => appliedUntil(profile, appliedAt);
      const options = { untilT: 0, asOf, replaces: versions };
      await this.#transaction.save(tx, definitions, work, [], { identifiers, profiles: [], gone }, options);
    });
    return ids.length;
  }

  /**
   * Takes events of some anchors back with everything that came of them. To be called with nothing in memory, and
   * followed by `forget`.
   * @throws EventsMoved where what is left is to be read again
   */
  async retract(
    definitions: Definitions,
    { anchors, given, evidence, rewritten, misplaced, retraction, moves }: TakenBack,
  ): Promise<BatchResult> {
    const { clock, leases, revision } = this.#parts;
    const left = { anchorIds: anchors.map(({ id }) => id), evidence };
    const rules = definitions.identityRules;
    return this.#step(definitions, async (tx, work) => {
      await leases.demandUnmoved(tx, moves);
      await revision.retractions.remove(tx, retraction, { ...left, more: misplaced, nowMs: clock.now() });
      await revision.retractions.rewrite(tx, retraction, rewritten);
      const ids = await revision.identity.lockNamed(tx, left.anchorIds);
      const { pos, acceptedAt: at } = await nextPlace(tx);
      const input = { rules, ids, left, pos, at, revisionId: null };
      const who = await revision.identity.retract(tx, input);
      const emptied = anchors.flatMap(({ id, rebuilt }) => (rebuilt === null ? [id] : []));
      const cause = retraction.erasureId === null ? 'revert' : 'erasure';
      await this.#parts.matching.ofRevision(tx, definitions, who, left.anchorIds);
      // Timers and groups go by profiles, which are not locked yet.
      const step = { definitions, work, who, acceptedAt: null, anchors, given, cause } as const;
      await this.#revised(tx, step, () => [
        revision.identity.save(tx, who, input),
        revision.anchors.remove(tx, emptied),
      ]);
    });
  }

  /**
   * Resolves components anew. To be called with nothing in memory, and followed by `forget`; by the holder of the first
   * partition, so that never two workers are at it.
   * @throws WeftError UNAVAILABLE where other workers changed meanwhile whom a model links: to be repeated
   */
  async revise(definitions: Definitions, { revisionId, decide, note, linked }: RevisionWork): Promise<BatchResult> {
    const { leases, revision } = this.#parts;
    return this.#step(definitions, async (tx, work) => {
      const locked = linked === undefined || leases.holdsAll ? null : await revision.identity.lockLinked(tx, linked);
      if (locked === null) await leases.lockAll(tx);
      const place = await nextPlace(tx);
      const { pos, acceptedAt } = place;
      const { decision, groups, ...task } = await decide(tx, place);
      const input = { ...task, rules: definitions.identityRules, pos, at: acceptedAt, revisionId };
      if (locked !== null) demandLocked(locked, task.ids);
      else if (groups === undefined) await revision.identity.lock(tx, task.ids);
      const who = await (groups === undefined
        ? revision.identity.resolve(tx, input)
        : revision.identity.regroup(tx, groups, input));
      // What models link is no part of what they compare, but for those with too much evidence to be compared.
      if (linked !== undefined) await this.#parts.matching.ofRevision(tx, definitions, { ...who, moves: [] }, []);
      else await this.#parts.matching.ofRevision(tx, definitions, who, task.ids);
      // Where others are at work, profiles are still to be locked, and what they did until then comes first.
      const at = locked === null ? acceptedAt : null;
      await this.#revised(
        tx,
        { definitions, work, who, acceptedAt: at, anchors: [], given: [], cause: 'identity' },
        () => [revision.identity.save(tx, who, input, decision), note(tx, who)],
      );
    });
  }

  /** Moves events to other anchors, and resolves whom they name anew. To be called as {@link revise}. */
  async reanchor(
    definitions: Definitions,
    { revisionId, areRulesNew = false, find, note }: Reanchoring,
  ): Promise<BatchResult> {
    const { leases, revision } = this.#parts;
    return this.#step(definitions, async (tx, work) => {
      await leases.lockAll(tx);
      const place = await nextPlace(tx);
      const { pos, acceptedAt } = place;
      const { ids, valueIds, moved, anchors, given, evidence, standing } = await find(tx, place);
      await leases.noteMoves(tx, anchors);
      await revision.retractions.reanchor(tx, moved);
      const left = { anchorIds: anchors.map(({ id }) => id), evidence, standing, movedIds: valueIds };
      const input = { rules: definitions.identityRules, ids, left, pos, at: acceptedAt, revisionId, areRulesNew };
      const who = await revision.identity.reanchor(tx, input);
      await this.#parts.matching.ofRevision(tx, definitions, who, left.anchorIds);
      const emptied = anchors.flatMap(({ id, rebuilt }) => (rebuilt === null ? [id] : []));
      await this.#revised(tx, { definitions, work, who, acceptedAt, anchors, given, cause: 'identity' }, () => [
        revision.identity.save(tx, who, input),
        revision.anchors.remove(tx, emptied),
        note(tx, who),
      ]);
    });
  }

  /** Folds what was resolved anew, and writes it with all else. */
  async #revised(tx: Transaction, revised: Revised, saveElse: () => readonly Promise<unknown>[]): Promise<void> {
    const { workingSet, timers, groups } = this.#parts;
    const { definitions, work, who, given, cause } = revised;
    const { moves, merged, gone } = who;
    const involved = profilesOf(who);
    await workingSet.loadWith(tx, definitions, involved, who.profiles);
    const acceptedAt = revised.acceptedAt ?? (await nextPlace(tx)).acceptedAt;
    const anchors = await groups.renewRebuilt(tx, revised.anchors, given);
    const step = { acceptedAt, involved: [...involved], anchors, cause, moves, merged };
    const changes = await foldRevision(definitions, workingSet.profile, step);
    const identity = {
      identifiers: who.identifiers,
      profiles: who.profiles.values(),
      gone: { identifierIds: moves.flatMap((m) => (m.to === null ? [m.identifierId] : [])), profileIds: gone },
    };
    work.merges = merged.size;
    await Promise.all([
      ...saveElse(),
      timers.save(tx, [], [...gone], []),
      this.#transaction.save(tx, definitions, work, changes, identity, { untilT: acceptedAt }),
    ]);
  }

  /**
   * Gives anchors other traits, because rules changed. To be called with nothing in memory, and followed by `forget`.
   * @throws EventsMoved where they are to be folded again
   */
  async refoldTraits(
    definitions: Definitions,
    { traits: folded, given, note, owners, moves }: RefoldedTraits,
  ): Promise<void> {
    const { leases, workingSet, groups } = this.#parts;
    await this.#step(definitions, async (tx, work) => {
      await leases.demandUnmoved(tx, moves);
      await note(tx);
      if (folded.size === 0) return;
      const involved = await this.#loadOwners(tx, definitions, [...folded.keys()], owners);
      const { acceptedAt } = await nextPlace(tx);
      const traits = await groups.renew(tx, folded, given);
      const step = { acceptedAt, involved, traits, cause: 'edit' } as const;
      const changes = await foldTraitChange(definitions, workingSet.profile, step);
      await Promise.all([
        this.#parts.matching.ofTraits(tx, definitions, [...folded.keys()]),
        this.#transaction.save(tx, definitions, work, changes, NO_IDENTITY, { untilT: acceptedAt }),
      ]);
    });
  }

  /** Writes profiles into the index by which they are found. */
  async index(definitions: Definitions, { build }: IndexedProfiles): Promise<void> {
    const { workingSet } = this.#parts;
    await this.#step(definitions, async (tx) => {
      const ids = await build(tx);
      if (definitions.searchedFeatures.length === 0) return;
      await workingSet.load(tx, definitions, ids);
      const { acceptedAt } = await nextPlace(tx);
      await workingSet.saveSearch(tx, definitions, acceptedAt);
    });
  }

  /** Tells members of groups what the traits of these are by now. */
  async tellGroups(definitions: Definitions, { members, isSilent, note, owners }: ToldGroups): Promise<void> {
    const { workingSet, groups } = this.#parts;
    await this.#step(definitions, async (tx, work) => {
      const anchorIds = [...new Set(members.map(({ anchorId }) => anchorId))];
      await this.#loadOwners(tx, definitions, anchorIds, owners);
      const traits = await groups.news(tx, members, workingSet.touched);
      await note(tx);
      const concerned = [...workingSet.touched].filter(({ anchors: own }) =>
        [...own.keys()].some((id) => traits.has(id)),
      );
      if (concerned.length === 0) return;
      const { acceptedAt } = await nextPlace(tx);
      const step = { acceptedAt, involved: concerned.map(({ id }) => id), traits, cause: 'group', isSilent } as const;
      const changes = await foldTraitChange(definitions, workingSet.profile, step);
      await this.#transaction.save(tx, definitions, work, changes, NO_IDENTITY, { untilT: acceptedAt });
    });
  }

  /** What no event brings: `stages` have its place once their locks are held (`next-place.ts`). */
  async #step(
    definitions: Definitions,
    stages: (tx: Transaction, work: WorkDone) => Promise<void>,
  ): Promise<BatchResult> {
    await raiseClock(this.#parts);
    return this.#transaction.run(definitions, null, stages);
  }

  /** Loads the profiles that anchors belong to; their ids. */
  async #loadOwners(
    tx: Transaction,
    definitions: Definitions,
    anchorIds: readonly Uuid[],
    owners: RefoldedTraits['owners'],
  ): Promise<Uuid[]> {
    const { workingSet } = this.#parts;
    await workingSet.load(tx, definitions, await owners(tx, anchorIds));
    const loaded = [...workingSet.touched];
    const found = new Set(loaded.flatMap(({ anchors }) => [...anchors.keys()]));
    // Another worker has joined profiles between the two looks.
    if (!anchorIds.every((id) => found.has(id))) throw new DefinitionsChanged();
    return loaded.map(({ id }) => id);
  }

  /** Drops everything in memory that may differ from what is committed. */
  forget(): void {
    this.#transaction.forget();
  }
}

/** What was resolved anew, and how it is to be folded. */
interface Revised {
  readonly definitions: Definitions;
  readonly work: WorkDone;
  readonly who: IdentityRevision;
  /** The place in acceptance order, ms; null: that once the profiles are locked. */
  readonly acceptedAt: number | null;
  readonly anchors: readonly RebuiltAnchor[];
  readonly given: readonly AnchorGiven[];
  readonly cause: 'revert' | 'erasure' | 'identity';
}

/** @throws WeftError UNAVAILABLE */
function demandLocked(locked: ReadonlySet<Uuid>, ids: readonly Uuid[]): void {
  if (ids.every((id) => locked.has(id))) return;
  throw new WeftError('UNAVAILABLE', 'identities changed by another worker meanwhile', { retryAfterMs: 0 });
}

const NO_IDENTITY: PublishedIdentity = { identifiers: [], profiles: [] };

/** Whom events are about once the batch is over: who is merged with somebody by a later event is that one. */
function survivorsOf(events: readonly { readonly profileId: Uuid }[], who: IdentityBatch): Set<Uuid> {
  const into = new Map(who.outcomes.flatMap(({ merged }) => [...merged]));
  const survivors = events.map(({ profileId }) => {
    let id = profileId;
    // Each step is a profile that ended: nobody is met twice, but a group that came back would be.
    for (let steps = into.size, next = into.get(id); steps > 0 && next !== undefined; steps--, next = into.get(id))
      id = next;
    return id;
  });
  return new Set([...events.map(({ profileId }) => profileId), ...survivors]);
}

function mergesOf(who: IdentityBatch): number {
  let merges = 0;
  for (const { merged } of who.outcomes) merges += merged.size;
  return merges;
}
