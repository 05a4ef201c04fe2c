import { EventsMoved, LeaseLost } from './events/partition-lease.model.js';
import type { PartitionLeases } from './events/partition-lease.store.js';
import type { Identifier } from './events/event.model.js';
import { encodePayload } from './events/event-codec.js';
import type { ErasedPerson, Retraction, RetractedAnchor, RewrittenEvent } from './events/retraction.model.js';
import { DamagedRows, type PassedOverObserver } from './events/damaged-rows.model.js';
import { DamagedHistory } from './events/damaged-history.model.js';
import type { RetractionStore } from './events/retraction.store.js';
import type { AnchorState } from './features/anchor-state.model.js';
import type { EntityRecordStore } from './features/entity-record.store.js';
import type { LoadedDefinitions } from './definitions.js';
import { addEvidence, evidenceOf, type Evidence } from './identity/evidence.model.js';
import { ownerOfLate, ownerOfShared } from './identity/generic-value.model.js';
import { mayPass } from './passing-failure.js';
import { DefinitionsChanged } from './pipeline-transaction.js';
import type { Pipeline } from './pipeline.js';
import type { TakenBack } from './pipeline-work.js';
import type { Clock } from './platform/clock.js';
import { WeftError } from './platform/errors.js';
import { LEAST_ID, type Uuid } from './platform/ids.js';
import type { Database, Transaction } from './platform/postgres.js';
import { foldGiven } from './profiles/groups.model.js';
import { foldTraits } from './profiles/traits.model.js';
import { readStandingWords } from './profiles/standing-words.reader.js';
import type { Traits } from './profiles/trait.model.js';
import { nextPlace } from './next-place.js';
import { keepWords, OutlivedAnchors } from './outlived-anchors.js';
import { spareOthers } from './spare-others.js';

export interface RetractionChoreParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly leases: PartitionLeases;
  readonly retractions: RetractionStore;
  readonly pipeline: Pipeline;
  /** Whom an erasure is of. */
  readonly personOf: (erasureId: Uuid) => Promise<ErasedPerson>;
  /** What else loads bring in. */
  readonly entityRecords: Pick<EntityRecordStore, 'removeOfLoad'>;
  readonly observer: PassedOverObserver & { retrying(error: unknown, attempt: number): void };
  /** Events that the anchors of one step have in all, at most, unless it is a single anchor. */
  readonly maxStepEvents?: number;
}

const MAX_STEP_ANCHORS = 500;
const MAX_STEP_EVENTS = 5_000;
const MAX_STEP_RECORDS = 5_000;
const MAX_ATTEMPTS = 8;
const MAX_PASSED_OVER = 1_000;
/** Retractions that are known to wait for items to be folded anew, and are not looked at again before they are. */
const MAX_WAITING = 1_000;
/** Those of one turn that turn out to wait for items, so that what folds these has its turn. */
const MAX_TURN_WAITING = 8;
/** Least time between two looks for retractions where there was none. */
const LOOK_MS = 1_000;
/** For reading what is left of a single anchor, however long its history is. */
const READ_TIMEOUT_MS = 10 * 60_000;

/** What a try came to: something was done, it has ended, or it waits for other workers or for items. */
type StepEnd = 'stepped' | Awaited<ReturnType<RetractionStore['finish']>>;

/**
 * Takes events back, step by step.
 *
 * 1. A step is some anchors of this worker's partitions with all events of the retraction that hang on them. What is
 *    left of the anchors is read before the transaction, in one snapshot: nobody else applies events of these partitions
 *    while the leases stand, and the transaction checks that they do. Another worker may move events from or to these
 *    anchors meanwhile: the transaction finds that out too, and the step is read again.
 * 2. One transaction takes the events out of the log and everything that came of them with it. So after each step all
 *    that is known is what the log as it then is would give, and a process that dies leaves whole steps behind.
 * 3. A step's place in acceptance order is that of `next-place.ts`.
 * 4. An anchor of which an event that stays cannot be read is passed over; once nothing else is left, that is a failure.
 *    So is one of which an event that is taken back cannot be read, where a retention has removed events: nobody can tell
 *    what came of which. A retention itself goes on.
 * 5. Words on purposes of which the log has no event any more outlive the retention of their events, but not the person.
 * 6. What fails for good ends as `failed` after a bounded number of tries; what may pass is the worker's to wait for.
 * 7. Where a person is erased, their events that are not moved to them yet are taken back as those that hang on them: they
 *    hang on a value which counts for nobody now, or beside one of theirs which counts again.
 * 8. It is done once no partition has events of it, and items have none (`entity-fold-chore.ts`). One that waits for
 *    items alone lets the next one go on: none waits for items that it did not touch. Streams that are still being
 *    backfilled are waited for.
 * 9. What came of events that a retention removed stays where it is (`outlived-anchors.ts`), on anchors of others than who
 *    is erased, and without what names the person. What a retention removes between reading and writing counts as left in
 *    the log.
 */
export class RetractionChore {
  readonly #parts: RetractionChoreParts;
  #lookAt = Number.NEGATIVE_INFINITY;
  #reached: { readonly id: Uuid; readonly afterId: Uuid } | null = null;
  /** Retractions that waited for items alone when they were looked at last. */
  #waiting = new Set<Uuid>();
  /** Anchors that one retraction, at which it is, passes over until its next failure, and why. */
  #passedOver: { readonly id: Uuid; readonly damage: Map<Uuid, DamagedHistory> } | null = null;

  constructor(parts: RetractionChoreParts) {
    this.#parts = parts;
  }

  /** There is something to do that the last look did not show. */
  wake(): void {
    this.#lookAt = Number.NEGATIVE_INFINITY;
  }

  /**
   * One step; false if there is nothing to do here. A step that fails is noted and tried again later, so that neither
   * other retractions nor anything else waits for it.
   * @throws DefinitionsChanged, LeaseLost, EventsMoved; WeftError where the failure may pass
   */
  async runOne(definitions: LoadedDefinitions): Promise<boolean> {
    const { db, clock, retractions } = this.#parts;
    const now = clock.now();
    if (now < this.#lookAt) return false;
    for (let found = 0; found < MAX_TURN_WAITING; found++) {
      const retraction = await retractions.next(db, now, [...this.#waiting]);
      if (retraction === null) {
        if (this.#waiting.size === 0) this.#lookAt = now + LOOK_MS;
        // Another worker may have ended some.
        else this.#waiting = new Set(await retractions.waiting(db, [...this.#waiting]));
        return false;
      }
      this.#waiting.delete(retraction.id);
      const step = await this.#tryStep(definitions, retraction);
      if (step !== 'has-items') return step !== 'has-events';
      if (this.#waiting.size === MAX_WAITING) this.#waiting.clear();
      this.#waiting.add(retraction.id);
    }
    return false;
  }

  async #tryStep(definitions: LoadedDefinitions, retraction: Retraction): Promise<StepEnd> {
    const { db, clock, retractions, observer, pipeline } = this.#parts;
    try {
      return await this.#step(definitions, retraction);
    } catch (error) {
      if (error instanceof DefinitionsChanged || error instanceof LeaseLost || mayPass(error)) throw error;
      if (error instanceof DamagedHistory && this.#passOver(retraction, error)) return 'stepped';
      this.#passedOver = null;
      pipeline.forget();
      await retractions.fail(db, retraction.id, { reason: reasonOf(error), nowMs: clock.now() });
      observer.retrying(error, retraction.failures + 1);
      return 'stepped';
    }
  }

  async #step(definitions: LoadedDefinitions, retraction: Retraction): Promise<StepEnd> {
    const { db, clock, leases, pipeline, retractions } = this.#parts;
    const moves = await leases.moves(db);
    const anchors = await this.#nextAnchors(retraction);
    if (anchors.length === 0) {
      const [damage] = this.#damageTo(retraction).values();
      if (damage !== undefined) throw damage;
      if (await this.#removeRecords(retraction)) return 'stepped';
      return db.transaction((tx) => retractions.finish(tx, retraction, clock.now()));
    }
    const left = await this.#readLeft(definitions, retraction, anchors);
    for (let attempt = 1; ; attempt++) {
      pipeline.forget();
      try {
        await pipeline.retract(definitions, { retraction, moves, ...left });
        break;
      } catch (error) {
        // What was read is no more what is: to write it again is of no use.
        if (error instanceof EventsMoved || !mayPass(error) || attempt === MAX_ATTEMPTS) throw error;
      }
    }
    pipeline.forget();
    this.#reached = { id: retraction.id, afterId: anchors.at(-1)?.id ?? LEAST_ID };
    return 'stepped';
  }

  /** Records of entities that a load brought in; false: nothing is left. */
  async #removeRecords({ id, loadId }: Retraction): Promise<boolean> {
    const { db, entityRecords, retractions } = this.#parts;
    if (loadId === null) return false;
    return db.transaction(async (tx) => {
      const removed = await entityRecords.removeOfLoad(tx, loadId, MAX_STEP_RECORDS);
      if (removed > 0) await retractions.countRecords(tx, { id }, removed);
      return removed > 0;
    });
  }

  #damageTo({ id }: Retraction): ReadonlyMap<Uuid, DamagedHistory> {
    return this.#passedOver?.id === id ? this.#passedOver.damage : new Map();
  }

  /** False where it was passed over already and is all that is left, or where there are too many. */
  #passOver({ id }: Retraction, error: DamagedHistory): boolean {
    if (this.#passedOver?.id !== id) this.#passedOver = { id, damage: new Map() };
    const { damage } = this.#passedOver;
    if (damage.has(error.anchorId) || damage.size === MAX_PASSED_OVER) return false;
    damage.set(error.anchorId, error);
    return true;
  }

  /** Those after the last ones first: what was taken out of an index is in the way of a search from its start. */
  async #nextAnchors(retraction: Retraction): Promise<RetractedAnchor[]> {
    const { db, leases, retractions, maxStepEvents = MAX_STEP_EVENTS } = this.#parts;
    const parts = leases.held.map((lease) => lease.part);
    const afterId = this.#reached?.id === retraction.id ? this.#reached.afterId : LEAST_ID;
    // Fewer after each failure, down to one: what is too much at once gets done, and who is to blame stands alone.
    const limit = Math.max(1, MAX_STEP_ANCHORS >> (3 * retraction.failures));
    const except = [...this.#damageTo(retraction).keys()];
    let found = await retractions.anchors(db, retraction, { parts, afterId, limit, except });
    if (found.length === 0 && afterId !== LEAST_ID) {
      found = await retractions.anchors(db, retraction, { parts, afterId: LEAST_ID, limit, except });
    }
    let events = 0;
    return found.filter((anchor, i) => (events += anchor.events) <= maxStepEvents || i === 0);
  }

  /** Folds what is left of the anchors: their events that are applied, but for those that are taken back. */
  async #readLeft(
    definitions: LoadedDefinitions,
    retraction: Retraction,
    anchors: readonly RetractedAnchor[],
  ): Promise<Pick<TakenBack, 'anchors' | 'given' | 'evidence' | 'rewritten' | 'misplaced'>> {
    const { db, leases, retractions, personOf } = this.#parts;
    const { features, traitRules, identityRules } = definitions;
    const person = retraction.erasureId === null ? null : await personOf(retraction.erasureId);
    // Not moved to them yet: from a value that counts for nobody now, or to one that counts again.
    const isTheirs = (identifiers: readonly Identifier[]): boolean => {
      if (person === null) return false;
      const owner = ownerOfShared(identifiers, identityRules) ?? ownerOfLate(identifiers, identityRules);
      return owner !== null && person.isOf(owner);
    };
    const rewritten: RewrittenEvent[] = [];
    const misplaced: number[] = [];
    const appliedPos = new Map(leases.held.map((lease) => [lease.part, lease.appliedPos]));
    const wanted = anchors.map(({ id, part }) => ({ id, toPos: appliedPos.get(part) ?? 0 }));
    const rebuilt = new Map<Uuid, { traits: Traits; state: AnchorState }>();
    const given = new Map(anchors.map(({ id }) => [id, new Map<string, Traits>()]));
    const givenOf = (id: Uuid): Map<string, Traits> => given.get(id) ?? new Map<string, Traits>();
    const evidence = new Map<string, Evidence>();
    const others = anchors.filter((anchor) => person?.isOf(anchor) !== true).map(({ id }) => id);
    const damaged = new DamagedRows();
    const read = async (tx: Transaction): Promise<void> => {
      const isOfRetention = await retractions.isOfRetention(tx, retraction);
      const outlived = (await retractions.hasLostEvents(tx)) ? new OutlivedAnchors(definitions, others) : null;
      for await (const page of retractions.remaining(tx, retraction, wanted)) {
        for (const logged of page) {
          outlived?.note(logged);
          if (isTheirs(logged.identifiers)) {
            misplaced.push(logged.pos);
            continue;
          }
          const event = person === null ? logged : person.without(logged);
          const id = event.identifiers[0]?.id ?? '';
          if (event !== logged) {
            const namedIds = event.identifiers.map((identifier) => identifier.id);
            rewritten.push({ pos: event.pos, namedIds, payload: encodePayload(event) });
          }
          let anchor = rebuilt.get(id);
          if (anchor === undefined) rebuilt.set(id, (anchor = { traits: new Map(), state: features.empty() }));
          features.apply(anchor.state, event);
          foldTraits(anchor.traits, event, traitRules);
          foldGiven(givenOf(id), event);
          addEvidence(evidence, evidenceOf(event, identityRules));
        }
      }
      const folded = { rebuilt, given, evidence };
      const logged = new Map([...rebuilt].map(([id, { state }]) => [id, state]));
      if (outlived !== null) {
        // What is taken back of a person who is erased hangs on anchors of theirs, or was read already.
        if (person === null) {
          // What is too old goes all the same: nobody may keep it until somebody finds a backup.
          const onDamaged = isOfRetention ? damaged.note : undefined;
          for await (const page of retractions.taken(tx, retraction, wanted, onDamaged))
            for (const each of page) outlived.note(each);
        }
        await outlived.stayIn(tx, folded, { isGone: isTheirs, at: (await nextPlace(tx)).acceptedAt });
      }
      const words = await readStandingWords(tx, others, { areAllKept: isOfRetention });
      keepWords(words, folded, features);
      if (outlived !== null && person !== null) spareOthers(person, folded, logged, definitions);
    };
    await db.transaction(read, { isolation: 'REPEATABLE READ', readOnly: true, timeoutMs: READ_TIMEOUT_MS });
    if (damaged.count > 0) await this.#parts.observer.rowsPassedOver('retractions', damaged);
    return {
      anchors: anchors.map(({ id, part }) => ({ id, part, rebuilt: rebuilt.get(id) ?? null })),
      given: anchors.map(({ id, part }) => ({ anchorId: id, part, given: givenOf(id) })),
      evidence: [...evidence.values()],
      rewritten,
      misplaced,
    };
  }
}

/** For people to read: other errors than our own may quote what they were about, and are only in the worker's log. */
function reasonOf(error: unknown): string {
  if (error instanceof WeftError) {
    const { code, message, where, hint } = error;
    const place = where === undefined ? '' : ` (${where})`;
    return `${code}: ${message}${place}${hint === undefined ? '' : `; ${hint}`}`;
  }
  return `INTERNAL: ${error instanceof Error ? error.name : 'an error'}; the worker's log says more`;
}
