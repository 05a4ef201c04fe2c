import type { LoadedDefinitions } from './definitions.js';
import { blockedTest } from './identity/blocked-patterns.js';
import { genericBoundOf, MAX_GENERIC_VALUES, sharedCountOf } from './identity/generic-value.model.js';
import type { GenericLookStore } from './identity/generic-look.store.js';
import { GenericValueReader } from './identity/generic-value.reader.js';
import type { CountedValue } from './identity/generic-value.store.js';
import {
  MAX_REVISION_FAILURES,
  NO_RESULT,
  type IdentityRevisionRecord,
  type RevisionResult,
} from './identity/identity-revision.model.js';
import type { IdentityRevisionStore } from './identity/identity-revision.store.js';
import type { IdentityRules } from './identity/identity-rules.model.js';
import { moveMisplaced, type MoveParts } from './move-misplaced.js';
import { DefinitionsChanged } from './pipeline-transaction.js';
import { newId, type Uuid } from './platform/ids.js';
import type { Database, Queryable, Transaction } from './platform/postgres.js';
import { resultOf } from './identity/revision-decider.js';

export interface GenericRevisionParts extends MoveParts {
  readonly looks: GenericLookStore;
  readonly revisions: IdentityRevisionStore;
}

/** Revisions that one look asks for, at most; with as many open there is no look. */
const MAX_ASKED = 100;
/** Values that are forgotten, or marked, at once, and the time between two looks for such. */
const MAX_TIDIED = 1_000;
const TIDY_PAUSE_MS = 60 * 60 * 1000;
/** What a revision of a value is at, once it is known whether the value is generic. */
const MOVING = 'moving';
/** The same of one that is to count again, while events are still to be moved away from it. */
const LEAVING = 'leaving';
const ACTOR = 'weft';

/** What a value is to be. */
interface Wanted {
  readonly value: CountedValue;
  readonly isGeneric: boolean;
  readonly isChange: boolean;
  /** Whether it counts again, and not all that names it is where it belongs. */
  readonly isMoving: boolean;
}

/**
 * Values that stand for many people: finds them, and has what they joined resolved anew.
 *
 * 1. A look counts the neighbours of values where there may be too many, off the path of events, and asks for a revision
 *    of kind `generic` for each value that is to be another than it is. It counts what the evidence names, whoever
 *    stands where.
 * 2. The first step of a revision decides once more and, if need be, makes the value generic, or none, for all workers at
 *    once, with a new version of the definitions. One that is to count again while events are still to be moved away from
 *    it has these moved before.
 * 3. The steps that follow move events to the anchor that they have by that, some anchors at a time: those anchors are
 *    folded anew from the log, their evidence is where their events belong, and whoever it names is resolved anew, in one
 *    transaction. An event of which another worker has not applied as much yet waits for a later step.
 * 4. A value that counts again is known for a day, for events of processes that had not heard of it, and then forgotten.
 * 5. What is done is in the log and in the tables alone, so a process that dies leaves whole steps behind. That a value is
 *    to be looked at is cleared once the revision is asked for that comes of it.
 * 6. A revision that is given up has its value looked at again after an hour. Once in an hour those are found, too, whose
 *    events belong elsewhere though nobody was told. Until these are moved, who is named by them alone is resolved by
 *    nobody.
 */
export class GenericRevision {
  #tidyAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly parts: GenericRevisionParts) {}

  /** Looks for one value or one component; false if there was none. */
  async look({ identityRules: rules }: LoadedDefinitions): Promise<boolean> {
    const { clock, db, generics, looks, revisions } = this.parts;
    // Those that wait are not to fill the place of what people ask for.
    if ((await revisions.countOpen(db, 'generic')) >= MAX_ASKED) return false;
    const begunAt = clock.now();
    const stale = await looks.nextStale(db, begunAt);
    if (stale !== null) {
      const wanted = await this.#wanted(db, stale.id, rules);
      if (wanted !== null && (await this.#hasWork(wanted))) await this.#ask(wanted);
      await looks.looked(db, stale);
      return true;
    }
    const suspect = await looks.nextSuspect(db, begunAt);
    if (suspect === null) return this.#tidy(begunAt);
    const crowded = await generics.crowdedIn(db, suspect.id, rules, genericBoundOf(rules));
    let asked = 0;
    for (const { id } of crowded) {
      const wanted = await this.#wanted(db, id, rules);
      if (wanted?.isChange === true && asked < MAX_ASKED) {
        asked++;
        await this.#ask(wanted);
      }
    }
    await looks.cleared(db, suspect, { nowMs: clock.now(), tookMs: clock.now() - begunAt });
    return true;
  }

  /** Whether whoever is of the components of these identifiers is to be resolved with events that are yet to be moved. */
  async concerns(db: Queryable, ids: readonly Uuid[]): Promise<boolean> {
    return this.parts.generics.areBesideMisplaced(db, ids);
  }

  /**
   * Notes that the revision failed and, where it is given up, has its value looked at again after a while: until its
   * events are moved, decisions about whom they name wait.
   * @param failure.isFinal whether there is no other try
   */
  async fail(revision: IdentityRevisionRecord, failure: Parameters<IdentityRevisionStore['fail']>[2]): Promise<void> {
    const { db, looks, revisions } = this.parts;
    const id = revision.kind === 'generic' ? revision.input.ids[0] : undefined;
    const isGivenUp = failure.isFinal || revision.failures + 1 >= MAX_REVISION_FAILURES;
    await db.transaction(async (tx) => {
      await revisions.fail(tx, revision.id, failure);
      if (isGivenUp && id !== undefined) await looks.putOff(tx, id, failure.nowMs);
    });
  }

  /** Once in a while, with nothing else to do: forgets values that count again, and finds what nobody was told of. */
  async #tidy(nowMs: number): Promise<boolean> {
    if (nowMs < this.#tidyAt) return false;
    const { db, generics, looks } = this.parts;
    const forgotten = await generics.forgetFormer(db, nowMs, MAX_TIDIED);
    const marked = await looks.markMisplaced(db, MAX_TIDIED);
    if (forgotten < MAX_TIDIED && marked < MAX_TIDIED) this.#tidyAt = nowMs + TIDY_PAUSE_MS;
    return forgotten + marked > 0;
  }

  /** Has all that are generic counted anew, because other namespaces are unique. */
  async recount(tx: Transaction): Promise<void> {
    await this.parts.generics.markAllStale(tx);
  }

  /**
   * One step; false: it has to wait.
   * @throws DefinitionsChanged once the value is another for everybody
   */
  async step(definitions: LoadedDefinitions, revision: IdentityRevisionRecord): Promise<boolean> {
    const id = revision.kind === 'generic' ? revision.input.ids[0] : undefined;
    if (id === undefined) return this.#finish(revision);
    if (revision.place === MOVING) return this.#move(definitions, revision, id, null);
    const { db, clock, generics, revisions } = this.parts;
    const wanted = await this.#wanted(db, id, definitions.identityRules);
    if (wanted === null) return this.#finish(revision);
    if (!(await this.#hasWork(wanted))) return this.#finish(revision);
    if (wanted.isChange && !wanted.isGeneric && (await generics.misplacedOn(db, [id], 1)).length > 0)
      return this.#move(definitions, revision, id, LEAVING);
    await db.transaction(async (tx) => {
      const { value, isChange, isGeneric } = wanted;
      // Events that came to hang on it meanwhile: the next step moves them.
      if (isChange && !(await generics.toggle(tx, value, { isGeneric, nowMs: clock.now() }))) return;
      await revisions.advance(tx, revision.id, { ...this.#progress(revision, 0), place: MOVING });
    });
    if (wanted.isChange) throw new DefinitionsChanged();
    return true;
  }

  /** What the value is to be; null where nobody knows it. */
  async #wanted(db: Database, id: Uuid, rules: IdentityRules): Promise<Wanted | null> {
    const standing = await new GenericValueReader(db).find(id);
    const [known] = await db.query<{ id: Uuid; ns: string; value: string }>(
      'SELECT id, ns, value FROM identifiers WHERE id = $1',
      [id],
    );
    const named = known ?? standing;
    if (named === null) return null;
    const wasGeneric = standing?.isGeneric ?? false;
    // What is blocked is taken back with the rules that block it (`BlockedRevision`), and not because fewer share it.
    const isBlocked = standing?.isBlocked === true || (wasGeneric && blockedTest(rules)(named.ns, named.value));
    const neighbours = isBlocked ? (standing?.neighbours ?? 0) : await this.parts.generics.neighboursOf(db, id, rules);
    const hasRoom = wasGeneric || sharedCountOf(rules) < MAX_GENERIC_VALUES;
    const isShared = standing?.isKept !== true && neighbours > genericBoundOf(rules) && hasRoom;
    const isGeneric = isBlocked || isShared;
    const value: CountedValue = { id, ns: named.ns, value: named.value, neighbours };
    return { value, isGeneric, isChange: isGeneric !== wasGeneric, isMoving: standing?.isMoving ?? false };
  }

  async #hasWork({ value, isChange, isMoving }: Wanted): Promise<boolean> {
    const { db, generics } = this.parts;
    return isChange || isMoving || (await generics.misplacedOn(db, [value.id], 1)).length > 0;
  }

  async #ask({ value, isGeneric }: Wanted): Promise<void> {
    const { clock, db, revisions } = this.parts;
    if (await revisions.isOpenFor(db, value.id)) return;
    const createdAt = clock.now();
    const reason = `seen with ${String(value.neighbours)} of unique namespaces: ${isGeneric ? 'generic' : 'not generic'}`;
    const input = { ids: [value.id] };
    await revisions.insert(db, { kind: 'generic', input, id: newId(createdAt), actor: ACTOR, reason, createdAt });
  }

  async #finish(revision: IdentityRevisionRecord): Promise<true> {
    const { db, revisions } = this.parts;
    await revisions.advance(db, revision.id, { ...this.#progress(revision, 0), place: null });
    return true;
  }

  #progress(revision: IdentityRevisionRecord, steps: number) {
    const stepsDone = revision.stepsDone + steps;
    return { result: revision.result ?? NO_RESULT, stepsDone, stepsTotal: null, nowMs: this.parts.clock.now() };
  }

  /** @param after what it is at once that is done; null: at its end */
  async #move(
    definitions: LoadedDefinitions,
    revision: IdentityRevisionRecord,
    id: Uuid,
    after: typeof LEAVING | null,
  ): Promise<boolean> {
    const step = { revisionId: revision.id, failures: revision.failures, ids: [id] };
    return moveMisplaced(this.parts, definitions, step, async (tx, who, isLast) => {
      const standing = revision.result ?? NO_RESULT;
      const result: RevisionResult = { ...resultOf(who), moved: standing.moved + who.moves.length, merged: [] };
      await this.parts.revisions.advance(tx, revision.id, {
        ...this.#progress(revision, 1),
        result,
        place: after ?? (isLast ? null : MOVING),
      });
    });
  }
}
