import type { LoadedDefinitions } from './definitions.js';
import { readAppliedPos } from './events/applied-log.reader.js';
import { DamagedRows, type PassedOverObserver } from './events/damaged-rows.model.js';
import type { PartitionLeases } from './events/partition-lease.store.js';
import type { RetentionPass } from './events/retention.model.js';
import type { RetentionStore, StretchBounds } from './events/retention.store.js';
import type { RetractionStore } from './events/retraction.store.js';
import { DefinitionsChanged } from './pipeline-transaction.js';
import type { Clock } from './platform/clock.js';
import { newId } from './platform/ids.js';
import type { Database, Transaction } from './platform/postgres.js';
import { removedWords } from './profiles/removed-word.model.js';
import type { RemovedWordStore } from './profiles/removed-word.store.js';

export interface RetentionChoreParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly leases: PartitionLeases;
  readonly store: RetentionStore;
  readonly words: RemovedWordStore;
  readonly retractions: RetractionStore;
  readonly observer: PassedOverObserver;
  /** There are events to be taken back. */
  readonly onRetraction: () => void;
  /** Of the log, looked at in one step. */
  readonly maxStep?: Partial<StretchBounds>;
}

/** Positions looked at, and events removed, in one step. */
const MAX_STEP: StretchBounds = { maxPositions: 50_000, maxEvents: 5_000 };
const MAX_STEP_LETTERS = 5_000;
/** Least time between two looks where there was nothing to do, or where events are being taken back. */
const LOOK_MS = { idle: 60_000, waiting: 1_000 } as const;

/**
 * Removes what is older than the retention of its source, step by step, between batches.
 *
 * 1. A pass goes through the log by position, up to where everything was applied when it began, and then through the dead
 *    letters of the source. What becomes too old meanwhile is for the next pass, six hours later.
 * 2. A step looks at a bounded stretch and moves the pass on in the transaction that removes what it found: a process that
 *    dies leaves whole steps behind.
 * 3. What came of removed events stays, unless the retention is strict: then they are taken back by the engine that
 *    reverts loads (`retraction-chore.ts`), and the pass goes on once that is done.
 * 4. Words on purposes are kept in the same transaction (`removed-word.model.ts`), whether it is strict or not.
 * 5. A step holds the worker's leases: who moves events to other anchors does so before it or after it, and the words of an
 *    event stay where the event was. And they are read by the definitions in force.
 * 6. Where items keep what came of removed events, so is whose these were (`forget-entity-events.ts`).
 */
export class RetentionChore {
  readonly #parts: RetentionChoreParts;
  readonly #store: RetentionStore;
  #lookAt = Number.NEGATIVE_INFINITY;

  constructor(parts: RetentionChoreParts) {
    this.#parts = parts;
    this.#store = parts.store;
  }

  /** One step; false if there is nothing to do now. @throws DefinitionsChanged, LeaseLost */
  async runOne(definitions: LoadedDefinitions): Promise<boolean> {
    const { db, clock } = this.#parts;
    const now = clock.now();
    if (now < this.#lookAt) return false;
    await this.#store.begin(db, await readAppliedPos(db), now);
    const passes = await this.#store.passes(db);
    for (const { sourceId } of passes) {
      const damaged = new DamagedRows();
      const isDone = await db.transaction((tx) => this.#step(tx, sourceId, definitions, damaged));
      if (damaged.count > 0) await this.#parts.observer.rowsPassedOver('retention', damaged);
      if (isDone) return true;
    }
    this.#lookAt = now + (passes.length === 0 ? LOOK_MS.idle : LOOK_MS.waiting);
    return false;
  }

  /** False where others are at it, or events are still being taken back. */
  async #step(
    tx: Transaction,
    sourceId: number,
    definitions: LoadedDefinitions,
    damaged: DamagedRows,
  ): Promise<boolean> {
    if ((await this.#parts.leases.advance(tx, null)) !== definitions.version) throw new DefinitionsChanged();
    const pass = await this.#store.lock(tx, sourceId);
    if (pass === null) return false;
    if (pass.retractionId !== null) return this.#settle(tx, pass, pass.retractionId);
    if (pass.donePos < pass.untilPos) {
      await this.#goOn(tx, pass, definitions, damaged);
      return true;
    }
    const now = this.#parts.clock.now();
    const removed = await this.#store.removeLetters(tx, pass, now, MAX_STEP_LETTERS);
    if (removed < MAX_STEP_LETTERS) await this.#store.finish(tx, sourceId, now);
    return true;
  }

  async #goOn(
    tx: Transaction,
    pass: RetentionPass,
    { traitRules, entities }: LoadedDefinitions,
    damaged: DamagedRows,
  ): Promise<void> {
    const { sourceId } = pass;
    const { positions, toPos } = await this.#store.due(tx, pass, { ...MAX_STEP, ...this.#parts.maxStep });
    const takesBack = pass.isStrict && positions.length > 0;
    const areInItems = !takesBack && [...entities.values()].some(({ folds }) => folds.length > 0);
    const isRead = positions.length > 0 && (traitRules.consents !== null || areInItems);
    const events = isRead ? await this.#store.lockEvents(tx, positions, damaged.note) : [];
    if (traitRules.consents !== null) await this.#parts.words.add(tx, removedWords(events, traitRules.consents));
    if (positions.length > 0 && !takesBack) await this.#store.remove(tx, sourceId, positions, events);
    await this.#store.advance(tx, sourceId, toPos, takesBack ? await this.#takeBack(tx, pass, positions) : null);
  }

  async #takeBack(tx: Transaction, { sourceId }: RetentionPass, positions: readonly number[]): Promise<string> {
    const { clock, retractions, onRetraction } = this.#parts;
    const createdAt = clock.now();
    const scope = { id: newId(createdAt), loadId: null, erasureId: null };
    await retractions.insert(tx, { ...scope, sourceId, events: 0, profiles: 0, records: 0, createdAt });
    await retractions.choosePositions(tx, scope.id, positions);
    await retractions.setExtent(tx, scope.id, await retractions.extent(tx, scope));
    onRetraction();
    return scope.id;
  }

  async #settle(tx: Transaction, { sourceId, donePos }: RetentionPass, retractionId: string): Promise<boolean> {
    const retraction = await this.#parts.retractions.find(tx, retractionId);
    if (retraction?.status === 'running') return false;
    await this.#store.count(tx, sourceId, { events: retraction?.removed ?? 0, letters: 0 });
    // What could not be taken back is looked at again by the next pass.
    await this.#store.advance(tx, sourceId, donePos, null);
    return true;
  }
}
