import type { LoadedDefinitions } from './definitions.js';
import type { EventLog } from './events/event-log.model.js';
import type { PartitionLeases } from './events/partition-lease.store.js';
import { raiseClock, readLogTime } from './next-place.js';
import { DefinitionsChanged } from './pipeline-transaction.js';
import type { Pipeline } from './pipeline.js';
import type { Clock } from './platform/clock.js';
import type { Database } from './platform/postgres.js';
import { RecomputeStore, type RecomputeStretch } from './segments/recompute.store.js';
import type { TimerStore } from './segments/timer.store.js';

export interface RecomputeChoreParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: EventLog;
  readonly leases: PartitionLeases;
  readonly timers: TimerStore;
  readonly pipeline: Pipeline;
  /** Profiles of a worker that wait for their evaluation at once, at most. */
  readonly maxWaiting?: number | undefined;
}

/** Each evaluation is a timer that is due, and live timers go first. */
export const MAX_SWEPT_PROFILES = 10_000;
/** Least time between two looks where there is nothing to do, ms. */
const LOOK_MS = 1_000;

/**
 * Evaluates everybody anew because somebody asked for it, some at a time: each gets a timer that is due, with the profile
 * locked, as where definitions changed (`chores.ts`), and the fold does the rest.
 *
 * 1. How far each partition is stands in the database: whoever holds it next goes on from there.
 * 2. A worker has so many people waiting at once, at most; the next come when these were evaluated.
 * 3. While it rests nobody gets a timer.
 */
export class RecomputeChore {
  readonly #parts: RecomputeChoreParts;
  readonly #store = new RecomputeStore();
  #lookAt = Number.NEGATIVE_INFINITY;

  constructor(parts: RecomputeChoreParts) {
    this.#parts = parts;
  }

  /** Something was asked for. */
  wake(): void {
    this.#lookAt = Number.NEGATIVE_INFINITY;
  }

  /** One step; false if there is nothing to do here. @throws DefinitionsChanged, LeaseLost */
  async runOne(definitions: LoadedDefinitions): Promise<boolean> {
    const { db, clock, leases, timers, maxWaiting = MAX_SWEPT_PROFILES } = this.#parts;
    if (clock.now() < this.#lookAt) return false;
    const open = await this.#store.open(db);
    if (open === null) {
      this.#lookAt = clock.now() + LOOK_MS;
      return false;
    }
    if (open.status === 'waiting') {
      if (open.isPaused) return false;
      return db.transaction((tx) => this.#store.begin(tx, open.id, clock.now()));
    }
    const parts = leases.held.map((lease) => lease.part);
    const stretch = open.isPaused ? null : await this.#store.next(db, open.id, parts);
    if (stretch === null) return this.#store.finish(db, open.id, clock.now());
    const room = maxWaiting - (await timers.waiting(db, parts, maxWaiting));
    if (room <= 0) return false;
    await this.#step(definitions, stretch, room);
    return true;
  }

  async #step(definitions: LoadedDefinitions, stretch: RecomputeStretch, limit: number): Promise<void> {
    const { db, leases, timers, pipeline } = this.#parts;
    await raiseClock(this.#parts);
    await db.transaction(async (tx) => {
      if ((await leases.advance(tx, null)) !== definitions.version) throw new DefinitionsChanged();
      const { part, afterId } = stretch;
      const ids = await timers.lockRange(tx, { part, afterId, limit });
      await timers.recompute(tx, ids, { part, dueAt: (await readLogTime(tx)) + 1 });
      await this.#store.advance(tx, stretch, ids, ids.length < limit);
    });
    pipeline.forget();
  }
}
