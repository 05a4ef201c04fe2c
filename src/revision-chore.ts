import type { BlockedMove, BlockedRevision } from './blocked-revision.js';
import type { LoadedDefinitions } from './definitions.js';
import { LeaseLost } from './events/partition-lease.model.js';
import type { PartitionLeases } from './events/partition-lease.store.js';
import { componentPage, estimateComponents, type ComponentPage } from './identity/component-page.reader.js';
import {
  MAX_REVISION_FAILURES,
  NO_RESULT,
  type IdentityRevisionRecord,
  type RevisionFailure,
  type RevisionResult,
} from './identity/identity-revision.model.js';
import type { IdentityRevisionStore } from './identity/identity-revision.store.js';
import type { IdentityRules } from './identity/identity-rules.model.js';
import { IdentityRulesReader } from './identity/identity-rules.reader.js';
import type { IdentityRevision } from './identity/revised-identity.model.js';
import { blockedTest } from './identity/blocked-patterns.js';
import { areOthersUnique, reachOfRules, type RulesReach } from './identity/rules-reach.model.js';
import { resultOf } from './identity/revision-decider.js';
import { RevisionWaits, type DecisionRevision } from './decision-revision.js';
import type { GenericRevision } from './generic-revision.js';
import { mayPass } from './passing-failure.js';
import { DefinitionsChanged } from './pipeline-transaction.js';
import type { Pipeline } from './pipeline.js';
import type { RevisionWork } from './pipeline-work.js';
import type { Clock } from './platform/clock.js';
import { WeftError } from './platform/errors.js';
import { GREATEST_ID, LEAST_ID, type Uuid } from './platform/ids.js';
import type { Database, Queryable, Transaction } from './platform/postgres.js';

export interface RevisionChoreParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly leases: PartitionLeases;
  readonly revisions: IdentityRevisionStore;
  readonly decisions: DecisionRevision;
  readonly generic: GenericRevision;
  readonly blocked: BlockedRevision;
  readonly pipeline: Pipeline;
  readonly observer: { retrying(error: unknown, attempt: number): void };
  /** Components of one step, at most. */
  readonly maxStepComponents?: number;
}

const MAX_STEP_COMPONENTS = 200;
const MAX_ATTEMPTS = 8;
/** Least time between two looks for revisions where there was none. */
const LOOK_MS = 1_000;
/** Before the first page, while events are put back that name values which are blocked no more. */
const RELEASING = 'releasing';

/**
 * Resolves components anew where somebody decided something about who is who, step by step between batches.
 *
 * 1. The holder of the first partition does it, so that never two workers are at it; in its transaction every other
 *    worker stands still (`PartitionLeases.lockAll`). So what it finds is what holds, and nothing written later was
 *    worked out without the links that it makes.
 * 2. One transaction makes the links, with everything that comes of them and the note that it is done. A process that
 *    dies leaves whole steps behind.
 * 3. Its place in acceptance order is that of `next-place.ts`.
 * 4. A decision is one step. A revision of many components goes by pages of them, in the order of their ids, and says
 *    how far it is. One of a change of the rules passes by those that the change does not reach.
 *    A page is looked for while all others work, and where nobody is reached they need not stand still. Before the first
 *    page all wait until nobody works by the rules before: whoever comes about or changes later is resolved by those in
 *    force, wherever the place is.
 * 5. What cannot be done, as when a profile is not there, ends as `failed` at once; what may pass is tried again a
 *    bounded number of times. Neither holds up the others.
 * 6. Of a revision of many, a component that fails again and again is passed over: it stays as it is, all others are
 *    resolved, and the revision ends as `failed` and says how many there were.
 * 7. Where the rules may be others, what values stand for many people may be others too: that is looked for afterwards.
 * 8. Where other values are blocked, those that are so no more are put back first, and those that are found in a page of
 *    components are put out before its components are resolved (`blocked-revision.ts`). It ends once no event is left that
 *    hangs on a blocked value and belongs elsewhere, however many steps that takes.
 * 9. A revision of a generic value that has to wait, as for a backfill or for an erasure, lets decisions go first, save
 *    those that concern the same people (`decision-revision.ts`). Revisions of many wait for all generic values.
 */
export class RevisionChore {
  readonly #parts: RevisionChoreParts;
  #lookAt = Number.NEGATIVE_INFINITY;

  constructor(parts: RevisionChoreParts) {
    this.#parts = parts;
  }

  /** There is something to do that the last look did not show. */
  wake(): void {
    this.#lookAt = Number.NEGATIVE_INFINITY;
  }

  /**
   * One step; false if there is nothing to do here.
   * @throws DefinitionsChanged, LeaseLost; WeftError where the failure may pass
   */
  async runOne(definitions: LoadedDefinitions): Promise<boolean> {
    const { db, clock, leases, revisions, observer, pipeline } = this.#parts;
    const now = clock.now();
    if (now < this.#lookAt || !leases.held.some(({ part }) => part === 0)) return false;
    // Before the look: who wakes this meanwhile may have come too late for it.
    this.#lookAt = now + LOOK_MS;
    const revision = await revisions.next(db, now);
    if (revision === null && !(await this.#parts.generic.look(definitions))) return false;
    this.#lookAt = Number.NEGATIVE_INFINITY;
    if (revision === null) return true;
    try {
      if (revision.kind !== 'generic') return await this.#step(definitions, revision);
      if (!(await this.#parts.generic.step(definitions, revision))) throw new RevisionWaits();
    } catch (error) {
      if (error instanceof DefinitionsChanged || error instanceof LeaseLost || mayPass(error)) throw error;
      pipeline.forget();
      if (error instanceof RevisionWaits) {
        await revisions.defer(db, revision.id, now + LOOK_MS);
        // What it waits for may be a value that nobody has asked about yet, and many that wait leave no time in between.
        await this.#parts.generic.look(definitions);
        return true;
      }
      if (revision.kind === 'rules' && revision.failures + 1 === MAX_REVISION_FAILURES) {
        await this.#passOver(revision, definitions.identityRules, error);
        return true;
      }
      const isFinal = isRefusal(error);
      await this.#parts.generic.fail(revision, { failure: failureOf(error), isFinal, nowMs: clock.now() });
      if (!isFinal) observer.retrying(error, revision.failures + 1);
    }
    return true;
  }

  /** False: nothing can be done yet. */
  async #step(definitions: LoadedDefinitions, revision: IdentityRevisionRecord): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      try {
        if (revision.kind === 'rules') return await this.#stepOfMany(definitions, revision);
        await this.#revise(definitions, await this.#parts.decisions.workOf(definitions, revision));
        return true;
      } catch (error) {
        if (!mayPass(error) || attempt === MAX_ATTEMPTS) throw error;
      }
    }
  }

  async #revise(definitions: LoadedDefinitions, work: RevisionWork): Promise<void> {
    const { pipeline } = this.#parts;
    pipeline.forget();
    await pipeline.revise(definitions, work);
    pipeline.forget();
  }

  /** The next page of components; false: it has to wait. */
  async #stepOfMany(definitions: LoadedDefinitions, revision: RulesRevision): Promise<boolean> {
    const { db, blocked, leases, maxStepComponents = MAX_STEP_COMPONENTS } = this.#parts;
    const rules = definitions.identityRules;
    const reach = await reachOf(db, revision, rules);
    const isAboutBlocked = reach === null || reach.blocks;
    if (revision.place === null) await this.#transact(definitions, (tx) => leases.lockAll(tx));
    if (isAboutBlocked && (await blocked.hasUnheard(definitions))) return false;
    const run = (write: (tx: Transaction) => Promise<void>): Promise<void> => this.#transact(definitions, write);
    if (isAboutBlocked && isFirst(revision)) {
      const released = await this.#release(definitions, revision, run);
      if (released !== 'all') return released === 'some';
    }
    const page = await nextPage(db, revision, { rules, reach }, stepSize(revision, maxStepComponents));
    if (isAboutBlocked) {
      if (await blocked.block(definitions, page.blocked, run)) throw new DefinitionsChanged();
      // At the end also what stands alone since a step moved some of its events; where moving failed, no more than that.
      const isLast = page.place === null && revision.place !== GREATEST_ID;
      const move = await blocked.toMove(isLast ? null : page.blocked);
      if (move !== null) return this.#moveOfPage(definitions, revision, page, move);
    }
    if (page.ids.length === 0) {
      await this.#transact(definitions, (tx) => this.#noteStep(tx, revision, rules, { page, found: null }));
      return true;
    }
    const task = { ids: page.ids, decision: null, areRulesNew: true };
    await this.#revise(definitions, {
      revisionId: revision.id,
      decide: () => Promise.resolve(task),
      note: (tx, found) => this.#noteStep(tx, revision, rules, { page, found }),
    });
    return true;
  }

  /**
   * Puts back what is blocked no more; `none`: it has to wait.
   * @throws DefinitionsChanged
   */
  async #release(
    definitions: LoadedDefinitions,
    revision: RulesRevision,
    run: Parameters<BlockedRevision['review']>[1],
  ): Promise<'none' | 'some' | 'all'> {
    const { blocked } = this.#parts;
    const reviewed = await blocked.review(definitions, run);
    if (reviewed === true) throw new DefinitionsChanged();
    const ids = reviewed === false ? await blocked.released(definitions) : reviewed.ids;
    if (ids.length === 0) return 'all';
    const hasMoved = await blocked.move(definitions, revision, { ids, others: [] }, (tx, found) =>
      this.#noteMoved(tx, revision, found, RELEASING),
    );
    return hasMoved ? 'some' : 'none';
  }

  /**
   * Moves events away from values that are blocked; with the last of them the components of the page are resolved. False:
   * it has to wait.
   */
  async #moveOfPage(
    definitions: LoadedDefinitions,
    revision: RulesRevision,
    page: ComponentPage,
    { ids, areAll }: BlockedMove,
  ): Promise<boolean> {
    const { blocked } = this.#parts;
    return blocked.move(definitions, revision, { ids, others: page.ids }, (tx, found, isLast) =>
      areAll && isLast
        ? this.#noteStep(tx, revision, definitions.identityRules, { page, found })
        : this.#noteMoved(tx, revision, found, placeOf(revision) ?? LEAST_ID),
    );
  }

  /** @param place where the next step is at */
  async #noteMoved(tx: Transaction, revision: RulesRevision, found: IdentityRevision, place: string): Promise<void> {
    const { stepsDone, stepsTotal, id } = revision;
    // Components of a page are counted with its last step, those of values that are put back are in no page.
    const resolved = place === RELEASING ? found.settledIds.size + found.contestedIds.size : 0;
    const result = sumOf(revision.result ?? NO_RESULT, found, { resolved, beyondBound: 0 });
    await this.#parts.revisions.advance(tx, id, {
      result,
      stepsDone,
      stepsTotal,
      place,
      nowMs: this.#parts.clock.now(),
    });
  }

  /** As the holder of the first partition, and by the definitions in force. */
  async #transact(definitions: LoadedDefinitions, run: (tx: Transaction) => Promise<void>): Promise<void> {
    const { db, leases } = this.#parts;
    await db.transaction(async (tx) => {
      if ((await leases.advance(tx, null)) !== definitions.version) throw new DefinitionsChanged();
      await run(tx);
    });
  }

  /** @param step.found null: nobody was resolved */
  async #noteStep(
    tx: Transaction,
    revision: RulesRevision,
    rules: IdentityRules,
    { page, found }: { readonly page: ComponentPage; readonly found: IdentityRevision | null },
  ): Promise<void> {
    const { blocked, clock, generic, revisions } = this.#parts;
    if (isFirst(revision) && (await isAboutUnique(tx, revision, rules))) await generic.recount(tx);
    const stepsDone = revision.stepsDone + page.looked;
    const isLast = page.place === null;
    const standing = revision.result ?? NO_RESULT;
    const beyondBound = blocked.counting(rules, page.blocked).length;
    const result = found === null ? standing : sumOf(standing, found, { resolved: page.ids.length, beyondBound });
    await revisions.advance(tx, revision.id, {
      result,
      stepsDone,
      stepsTotal: isLast ? stepsDone : (revision.stepsTotal ?? (await estimateComponents(tx))),
      place: page.place,
      nowMs: clock.now(),
      failure: isLast ? failureOfSome(result, blocked.maxBlockedValues) : null,
    });
  }

  /** The one component that the last try was about. */
  async #passOver(revision: RulesRevision, rules: IdentityRules, error: unknown): Promise<void> {
    const { db, clock, revisions, observer } = this.#parts;
    const standing = revision.result ?? NO_RESULT;
    // Values that are not all put back are so one by one, by revisions of their own.
    const isReleasing = revision.place === RELEASING;
    const reach = await reachOf(db, revision, rules);
    const { ids, looked, place } = await nextPage(db, revision, { rules, reach }, 1);
    await revisions.advance(db, revision.id, {
      result: { ...standing, failed: (standing.failed ?? 0) + 1 },
      stepsDone: revision.stepsDone + (isReleasing ? 0 : looked),
      stepsTotal: revision.stepsTotal,
      place: isReleasing ? LEAST_ID : (place ?? ids.at(-1) ?? GREATEST_ID),
      nowMs: clock.now(),
    });
    observer.retrying(error, revision.failures + 1);
  }
}

type RulesRevision = Extract<IdentityRevisionRecord, { readonly kind: 'rules' }>;

/** Whether nothing but blocked values was looked at so far. */
function isFirst({ place }: RulesRevision): boolean {
  return place === null || place === RELEASING || place === LEAST_ID;
}

function placeOf({ place }: RulesRevision): Uuid | null {
  return place === RELEASING ? null : place;
}

/**
 * Null: it reaches everybody.
 * @throws WeftError NOT_FOUND
 */
async function reachOf(
  db: Queryable,
  { input: { since } }: RulesRevision,
  rules: IdentityRules,
): Promise<RulesReach | null> {
  return since === undefined ? null : reachOfRules((await new IdentityRulesReader(db).demanded(since)).rules, rules);
}

function nextPage(
  db: Queryable,
  revision: RulesRevision,
  { rules, reach }: { readonly rules: IdentityRules; readonly reach: RulesReach | null },
  limit: number,
): Promise<ComponentPage> {
  const isBlocked = reach === null || reach.blocks ? blockedTest(rules) : null;
  return componentPage(db, { place: placeOf(revision), limit, reach, isBlocked });
}

/** @throws WeftError NOT_FOUND */
async function isAboutUnique(
  db: Queryable,
  { input: { since } }: RulesRevision,
  rules: IdentityRules,
): Promise<boolean> {
  return since === undefined || areOthersUnique((await new IdentityRulesReader(db).demanded(since)).rules, rules);
}

/** Components of the next step: fewer after each failure, down to the one that is to blame. */
function stepSize({ failures }: IdentityRevisionRecord, most: number): number {
  return failures + 1 >= MAX_REVISION_FAILURES ? 1 : Math.max(1, most >> (2 * failures));
}

function failureOfSome(
  { failed = 0, beyondBound = 0 }: RevisionResult,
  maxBlockedValues: number,
): RevisionFailure | null {
  if (failed === 0 && beyondBound > 0) {
    return {
      code: 'PAYLOAD_TOO_LARGE',
      message: `${String(beyondBound)} blocked values count all the same: at most ${String(maxBlockedValues)} that came before they were blocked do not`,
      where: 'identity.blocked',
      hint: 'block fewer values, and have those resolved anew whom it concerns',
    };
  }
  if (failed === 0) return null;
  return {
    code: 'INTERNAL',
    message: `${String(failed)} components could not be resolved and are as they were`,
    where: null,
    hint: "the worker's log says why; ask for it again once that is mended",
  };
}

function sumOf(
  standing: RevisionResult,
  found: IdentityRevision,
  { resolved, beyondBound }: { readonly resolved: number; readonly beyondBound: number },
): RevisionResult {
  const { merged: _, ...step } = resultOf(found);
  return {
    ...standing,
    resolved: (standing.resolved ?? 0) + resolved,
    beyondBound: (standing.beyondBound ?? 0) + beyondBound,
    moved: standing.moved + step.moved,
    contested: standing.contested + step.contested,
  };
}

/** That somebody asked for what cannot be; any other failure is ours. */
function isRefusal(error: unknown): error is WeftError {
  return (
    error instanceof WeftError && ['NOT_FOUND', 'CONFLICT', 'BAD_REQUEST', 'PAYLOAD_TOO_LARGE'].includes(error.code)
  );
}

/** For people to read: other errors than our own may quote what they were about, and are only in the worker's log. */
function failureOf(error: unknown): RevisionFailure {
  if (error instanceof WeftError) {
    const { code, message, where = null, hint = null } = error;
    return { code, message, where, hint };
  }
  const name = error instanceof Error ? error.name : 'an error';
  return { code: 'INTERNAL', message: name, where: null, hint: "the worker's log says more" };
}
