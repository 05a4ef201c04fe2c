import { appendChanges } from './activation/change-feed.store.js';
import type { LoggedEvent } from './events/event.model.js';
import type { PartitionLeases } from './events/partition-lease.store.js';
import type { IdentityBatch, IdentityStep } from './identity/identity.step.js';
import { WeftError } from './platform/errors.js';
import type { Database, Transaction } from './platform/postgres.js';
import type { Publication, PublicationStore } from './publication.store.js';
import type { Definitions } from './segments/definitions.model.js';
import { foldEvents, foldTimers, type FoldChange } from './segments/fold-batch.js';
import type { SegmentChange } from './segments/segment.model.js';
import type { TimerStore } from './segments/timer.store.js';
import type { WorkingSet } from './working-set.js';

export interface PipelineParts {
  readonly db: Database;
  readonly leases: PartitionLeases;
  readonly identity: IdentityStep;
  readonly workingSet: WorkingSet;
  readonly timers: TimerStore;
  readonly publications: PublicationStore;
  readonly onCommitted: (result: BatchResult) => void;
}

export interface BatchResult {
  readonly events: number;
  readonly timers: number;
  readonly merges: number;
  readonly contested: number;
  readonly changes: readonly SegmentChange[];
}

/** Thrown inside a batch when the definitions are not the ones it was prepared with; the caller reloads and repeats. */
export class DefinitionsChanged extends Error {
  override readonly name = 'DefinitionsChanged';
}

/**
 * All stages, in order. A micro-batch is one transaction; its first statement moves the log's offsets, its last lock is
 * the feed. Whatever is in memory changes with it and is dropped if it does not commit.
 */
export class Pipeline {
  readonly #parts: PipelineParts;

  constructor(parts: PipelineParts) {
    this.#parts = parts;
  }

  /** Applies events, which are all of the held partitions' events up to `toPos`, in order of position. */
  async applyEvents(definitions: Definitions, events: readonly LoggedEvent[], toPos: number): Promise<BatchResult> {
    const { leases, identity, workingSet } = this.#parts;
    const asOf = events.at(-1)?.acceptedAt ?? 0;
    const result = await this.#transact(definitions, toPos, async (tx) => {
      if (!leases.holdsAll) await identity.lock(tx, events);
      const who = await identity.resolve(tx, events);
      await workingSet.loadForEvents(tx, definitions, who.outcomes, who.profiles);
      const changes = await foldEvents(definitions, workingSet.profile, who.outcomes);
      await identity.save(tx, who);
      const saved = await this.#save(tx, definitions, changes, asOf, who);
      return { ...saved, events: events.length, merges: mergesOf(who), contested: who.contested };
    });
    leases.advanced(toPos);
    return result;
  }

  /** Fires what is due at or before `untilT`. To be called only when every event accepted before `untilT` is applied. */
  async fireTimers(definitions: Definitions, untilT: number, limit: number): Promise<BatchResult> {
    const { db, leases, timers, workingSet } = this.#parts;
    const parts = leases.held.map((lease) => lease.part);
    const due = await timers.due(db, parts, untilT, limit);
    if (due.length === 0) return NOTHING;
    // With more to come, none may run ahead of those that are not in this batch.
    const horizon = due.length < limit ? untilT : (due.at(-1)?.dueAt ?? untilT);
    return this.#transact(definitions, null, async (tx) => {
      const ids = due.map((timer) => timer.profileId);
      await workingSet.load(tx, definitions, ids);
      const changes = await foldTimers(definitions, workingSet.profile, ids, horizon);
      return { ...(await this.#save(tx, definitions, changes, horizon, null)), timers: due.length };
    });
  }

  async #save(
    tx: Transaction,
    definitions: Definitions,
    changes: readonly FoldChange[],
    untilT: number,
    who: IdentityBatch | null,
  ): Promise<Saved> {
    const { workingSet, publications } = this.#parts;
    await workingSet.save(tx, definitions, changes, untilT);
    const publication = await publications.prepare(tx, definitions, workingSet.touched, who?.identifiers ?? [], untilT);
    const emitted = changes.filter((change) => change.emit);
    return { ...NOTHING, publication, changes: await appendChanges(tx, emitted) };
  }

  async #transact(
    definitions: Definitions,
    toPos: number | null,
    work: (tx: Transaction) => Promise<Saved>,
  ): Promise<BatchResult> {
    const { db, leases, identity, workingSet, publications, onCommitted } = this.#parts;
    if (!leases.holdsAll) this.forget();
    let saved: Saved;
    try {
      saved = await db.transaction(async (tx) => {
        const version = await leases.advance(tx, toPos);
        if (version !== definitions.version) throw new DefinitionsChanged();
        return work(tx);
      });
    } catch (error) {
      this.forget();
      throw error;
    }
    identity.release();
    workingSet.release();
    await publications.publish(saved.publication);
    onCommitted(saved);
    return saved;
  }

  /** Drops everything in memory that may differ from what is committed. */
  forget(): void {
    this.#parts.identity.forget();
    this.#parts.workingSet.forget();
  }
}

interface Saved extends BatchResult {
  readonly publication: Publication | null;
}

const NOTHING: Saved = { events: 0, timers: 0, merges: 0, contested: 0, changes: [], publication: null };

function mergesOf(who: IdentityBatch): number {
  let merges = 0;
  for (const { merged } of who.outcomes) merges += merged.size;
  return merges;
}

/** True for failures that the same batch may get over if it is tried again. */
export function isTransient(error: unknown): boolean {
  return error instanceof WeftError && (error.code === 'UNAVAILABLE' || error.code === 'CONFLICT');
}
