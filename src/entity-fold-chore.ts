import type { LoadedDefinitions } from './definitions.js';
import { readAppliedPos } from './events/applied-log.reader.js';
import { DamagedRows, eventUnlessDamaged, type PassedOverObserver } from './events/damaged-rows.model.js';
import type { EventLog } from './events/event-log.model.js';
import type { LoggedEvent } from './events/event.model.js';
import type { EventRow } from './events/event-row.model.js';
import type { EventSealer } from './events/event-seal.model.js';
import type { PartitionLeases } from './events/partition-lease.store.js';
import type { AnchorState } from './features/anchor-state.model.js';
import type { EntityEventStore, FoldProgress, ItemEvent, PackedItem, Refold } from './features/entity-event.store.js';
import type { EntityFold } from './features/entity-fold.model.js';
import type { StreamBackfillStore } from './features/stream-backfill.store.js';
import { readEntityFoldLag } from './features/entity-fold-lag.reader.js';
import { DefinitionsChanged } from './pipeline-transaction.js';
import type { Clock } from './platform/clock.js';
import type { Database, Transaction } from './platform/postgres.js';

export interface EntityFoldObserver extends PassedOverObserver {
  /** @param ageMs of the oldest of these events; 0: there is none */
  itemsLagging(events: number, ageMs: number): void;
  /** States of so many items could not be read, which are folded anew from their events. */
  itemsDamaged(items: number): void;
}

export interface EntityFoldChoreParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly observer: EntityFoldObserver;
  readonly log: EventLog;
  readonly sealer: EventSealer;
  readonly leases: PartitionLeases;
  readonly store: EntityEventStore;
  readonly backfills: Pick<StreamBackfillStore, 'unapplied'>;
  /** Events of one step, at most 10,000. */
  readonly maxStepEvents?: number;
}

const MAX_STEP_EVENTS = 5_000;
const MAX_STEP_BYTES = 8 * 1024 * 1024;
/** Items that are folded anew in one step. */
const MAX_REFOLDED_ITEMS = 200;
const MAX_DROPPED_ROWS = 10_000;

/** A view of the definitions, and how far it is. */
interface Standing {
  readonly fold: EntityFold;
  readonly progress: FoldProgress;
}

/**
 * Folds events of people into the items that they name, step by step, between batches (ADR 65).
 *
 * 1. A step reads the log from a position and folds the events of all views that stand there; states, index and position
 *    are written in one transaction, under the lock of the rows of the positions. So each event is in once.
 * 2. It reads no further than what is applied everywhere: what could not be applied has its dead letter by then.
 * 3. The log is read after the lock is taken. Who removes events locks the same rows after the removal: either this does
 *    not see them, or their rows in the index are there to be removed.
 * 4. Items from which events were taken are folded anew from the index, from the first event on, as many a step as any
 *    other step has: one with a million is gone on with where it stood, whatever is killed. What comes meanwhile is
 *    in the index, too, and the new state replaces the standing one in the step that reaches the end.
 * 5. Views that history is folded into take turns with those that are up to date, and both with items that are folded
 *    anew: none waits for another to be done.
 * 6. An item whose state cannot be read is folded anew like those, from the index, in which its new events are, too; a pass
 *    whose state cannot be read begins anew. So one damaged row holds up no other item. Who reads such an item marks it
 *    as well (`DamagedItemService`).
 * 7. Where it is behind by more than a step, a worker that always has events makes one every few batches (`keepUp`).
 */
export class EntityFoldChore {
  readonly #parts: EntityFoldChoreParts;
  #turn = 0;
  /** Where the next step over items that are folded anew begins, by view: none keeps coming back before the others. */
  readonly #refoldFrom = new Map<number, string>();
  /** The definitions for which there is nothing to fold and nothing left to drop. */
  #idleWith: LoadedDefinitions | null = null;

  constructor(parts: EntityFoldChoreParts) {
    this.#parts = parts;
  }

  /** One step; false if there is nothing to do now. @throws DefinitionsChanged, LeaseLost */
  async runOne(definitions: LoadedDefinitions): Promise<boolean> {
    if (this.#idleWith === definitions) return false;
    const { db, store } = this.#parts;
    const folds = new Map(
      [...definitions.entities.values()].flatMap((entity) => entity.folds.map((fold) => [fold.meaning, fold] as const)),
    );
    const progress = await store.progress(db);
    const known = new Set(progress.map(({ meaning }) => meaning));
    const missing = [...folds.keys()].filter((meaning) => !known.has(meaning));
    if (missing.length > 0) {
      await this.#transact(definitions, async (tx) => store.begin(tx, missing, await readAppliedPos(tx)));
      return true;
    }
    const left = progress.find(({ meaning }) => !folds.has(meaning));
    if (left !== undefined) return this.#drop(definitions, left);
    if (folds.size === 0) {
      this.#idleWith = definitions;
      this.#parts.observer.itemsLagging(0, 0);
      return false;
    }
    const standing = progress.flatMap((each): Standing[] => {
      const fold = folds.get(each.meaning);
      return fold === undefined ? [] : [{ fold, progress: each }];
    });
    return this.#takeTurns(definitions, standing);
  }

  /**
   * One step if there are more events than one step folds; what a worker with many events calls between batches.
   * @returns false where there was none
   * @throws DefinitionsChanged, LeaseLost
   */
  async keepUp(definitions: LoadedDefinitions): Promise<boolean> {
    if (this.#idleWith === definitions) return false;
    const { maxStepEvents = MAX_STEP_EVENTS } = this.#parts;
    return (await this.#look()) > maxStepEvents && (await this.runOne(definitions));
  }

  /** @returns how many events it is behind */
  async #look(): Promise<number> {
    const { db, clock, observer } = this.#parts;
    const { events, oldestAcceptedAt } = (await readEntityFoldLag(db)) ?? { events: 0, oldestAcceptedAt: null };
    observer.itemsLagging(events, oldestAcceptedAt === null ? 0 : Math.max(0, clock.now() - oldestAcceptedAt));
    return events;
  }

  async #takeTurns(definitions: LoadedDefinitions, standing: readonly Standing[]): Promise<boolean> {
    const appliedPos = await readAppliedPos(this.#parts.db);
    const positions = [...new Set(standing.map(({ progress }) => progress.pos))].sort((a, b) => a - b);
    const work = [
      ...standing
        .filter(({ progress }) => progress.hasRefolds)
        .map((each) => (): Promise<boolean> => this.#refold(definitions, each)),
      ...positions
        .filter((pos) => pos < appliedPos)
        .map((pos) => (): Promise<boolean> => {
          const there = standing.filter(({ progress }) => progress.pos === pos);
          return this.#advance(definitions, there, { fromPos: pos, toPos: appliedPos });
        }),
    ];
    if (work.length === 0) {
      this.#parts.observer.itemsLagging(0, 0);
      return false;
    }
    await this.#look();
    return (await work[this.#turn++ % work.length]?.()) ?? false;
  }

  /** False where another worker is at all of them. */
  #advance(
    definitions: LoadedDefinitions,
    standing: readonly Standing[],
    { fromPos, toPos }: { readonly fromPos: number; readonly toPos: number },
  ): Promise<boolean> {
    const { db, log, store, backfills, maxStepEvents: limit = MAX_STEP_EVENTS } = this.#parts;
    return this.#transact(definitions, async (tx, damage) => {
      const asked = standing.map(({ progress }) => progress.id);
      const ids = new Set(await store.lock(tx, asked, fromPos));
      if (ids.size === 0) return false;
      const parts = await db.query<{ part: number }>('SELECT part FROM partitions');
      const batch = await log.readBatch({
        afterPos: fromPos,
        toPos,
        parts: parts.map(({ part }) => part),
        limit,
        maxBytes: MAX_STEP_BYTES,
      });
      const unapplied = await backfills.unapplied(db, fromPos, batch.scannedPos);
      const events = batch.events.filter(({ pos }) => !unapplied.has(pos));
      for (const { fold, progress } of standing) {
        if (ids.has(progress.id)) damage.items += await this.#fold(tx, { fold, progress }, events);
      }
      await store.advance(tx, [...ids], batch.scannedPos);
      return true;
    });
  }

  /** @returns how many items could not be read, and are marked to be folded anew */
  async #fold(tx: Transaction, { fold, progress: { id } }: Standing, events: readonly LoggedEvent[]): Promise<number> {
    const { store } = this.#parts;
    const ofItems = events.flatMap((event) => {
      const key = fold.keyOf(event);
      return key === null ? [] : [{ key, pos: event.pos, event }];
    });
    const keys = [...new Set(ofItems.map(({ key }) => key))];
    if (keys.length === 0) return 0;
    const packed = await store.states(tx, id, keys);
    const states = new Map<string, AnchorState>();
    const damaged: string[] = [];
    for (const key of keys) {
      const state = fold.stateOf(packed.get(key));
      if (state === null) damaged.push(key);
      else states.set(key, state);
    }
    for (const { key, event } of ofItems) {
      const state = states.get(key);
      if (state !== undefined) fold.set.apply(state, event);
    }
    const seenAtMs = events.at(-1)?.acceptedAt ?? 0;
    await store.save(
      tx,
      id,
      [...states].map(([key, state]) => packedOf(fold, key, state, seenAtMs)),
    );
    await store.addEvents(tx, id, ofItems);
    await store.refoldDamaged(tx, id, damaged);
    return damaged.length;
  }

  /** False where another worker is at it. */
  #refold(definitions: LoadedDefinitions, { fold, progress: { id, pos } }: Standing): Promise<boolean> {
    const { store, maxStepEvents: maxEvents = MAX_STEP_EVENTS } = this.#parts;
    return this.#transact(definitions, async (tx, damage) => {
      if ((await store.lock(tx, [id], pos)).length === 0) return false;
      const marked = await store.refolds(tx, id, this.#refoldFrom.get(id) ?? '', MAX_REFOLDED_ITEMS);
      const states = new Map<string, AnchorState>();
      const refolds = marked.map((refold): Refold => {
        const state = fold.stateOf(refold.state);
        states.set(refold.key, state ?? fold.set.empty());
        if (state !== null) return refold;
        damage.items++;
        return { key: refold.key, donePos: 0, state: Buffer.alloc(0) };
      });
      const bounds = { maxEvents, maxBytes: MAX_STEP_BYTES };
      const { events: rows, isWhole } = await store.eventsOf(tx, id, refolds, bounds);
      const strangers = await this.#refoldEvents(fold, states, rows, damage.rows);
      await store.removeEvents(tx, id, strangers);
      const seenAtMs = rows.reduce((latest, row) => Math.max(latest, row.accepted_at ?? 0), 0);
      // Of the last item there may be more events, and of those behind it none were read.
      const last = isWhole ? undefined : rows.at(-1);
      const whole = refolds.filter(({ key }) => last === undefined || isBefore(key, last.key));
      await store.finishRefolds(
        tx,
        id,
        whole.map(({ key }) => packedOf(fold, key, states.get(key) ?? fold.set.empty(), seenAtMs)),
      );
      if (last !== undefined) {
        const { key, at: donePos } = last;
        const { state } = packedOf(fold, key, states.get(key) ?? fold.set.empty(), seenAtMs);
        await store.advanceRefold(tx, id, { key, donePos, state });
      }
      const reached = last?.key ?? refolds.at(-1)?.key;
      // The least that stands behind a key.
      this.#refoldFrom.set(id, last === undefined && reached !== undefined ? `${reached}\u0001` : (reached ?? ''));
      return true;
    });
  }

  /** Folds events into the items whose rows they are. @returns those that name another item by now, or none */
  async #refoldEvents(
    fold: EntityFold,
    states: ReadonlyMap<string, AnchorState>,
    rows: readonly ItemEvent[],
    damaged: DamagedRows,
  ): Promise<{ key: string; pos: number }[]> {
    const there = rows.filter((row): row is ItemEvent & EventRow => row.payload !== null);
    const opened = await this.#parts.sealer.open(there);
    const strangers: { key: string; pos: number }[] = [];
    for (const row of opened) {
      const { key } = row;
      const event = eventUnlessDamaged(row, damaged.note);
      const state = states.get(key);
      if (event === null || state === undefined) continue;
      if (fold.keyOf(event) === key) fold.set.apply(state, event);
      else strangers.push({ key, pos: event.pos });
    }
    return strangers;
  }

  #drop(definitions: LoadedDefinitions, { id, pos }: FoldProgress): Promise<boolean> {
    const { store } = this.#parts;
    return this.#transact(definitions, async (tx) => {
      if ((await store.lock(tx, [id], pos)).length === 0) return false;
      await store.drop(tx, id, MAX_DROPPED_ROWS);
      return true;
    });
  }

  /** Nothing is written with definitions other than those in force. */
  async #transact<T>(
    definitions: LoadedDefinitions,
    work: (tx: Transaction, damage: { items: number; rows: DamagedRows }) => Promise<T>,
  ): Promise<T> {
    const damage = { items: 0, rows: new DamagedRows() };
    const result = await this.#parts.db.transaction(async (tx) => {
      Object.assign(damage, { items: 0, rows: new DamagedRows() });
      if ((await this.#parts.leases.advance(tx, null)) !== definitions.version) throw new DefinitionsChanged();
      return work(tx, damage);
    });
    if (damage.items > 0) this.#parts.observer.itemsDamaged(damage.items);
    if (damage.rows.count > 0) await this.#parts.observer.rowsPassedOver('items', damage.rows);
    return result;
  }
}

/** Without an event it has no bytes. */
function packedOf({ set }: EntityFold, key: string, state: AnchorState, seenAtMs: number): PackedItem {
  set.prune(state, seenAtMs);
  return { key, state: state.size === 0 ? Buffer.alloc(0) : set.encode(state) };
}

/** By code point, as the database orders keys. */
function isBefore(a: string, b: string): boolean {
  return Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0;
}
