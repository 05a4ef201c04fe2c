import { RETENTION_PASS_EVERY_MS } from './events/retention.model.js';
import type { EntityRecordStore } from './features/entity-record.store.js';
import type { Clock } from './platform/clock.js';
import type { Database } from './platform/postgres.js';

export interface EntityRecordChoreParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly records: EntityRecordStore;
}

/** Records removed in one step. */
const MAX_STEP_RECORDS = 5_000;

/**
 * Removes records that are older than the retention of their entity, but for the newest of each key, and those of
 * entities that are not defined any more; step by step, between batches. A pass that found nothing more is followed by
 * the next one six hours later.
 */
export class EntityRecordChore {
  readonly #parts: EntityRecordChoreParts;
  #lookAt = Number.NEGATIVE_INFINITY;

  constructor(parts: EntityRecordChoreParts) {
    this.#parts = parts;
  }

  /** One step; false if there is nothing to do now. */
  async runOne(): Promise<boolean> {
    const { db, clock, records } = this.#parts;
    const nowMs = clock.now();
    if (nowMs < this.#lookAt) return false;
    const removed = await records.removeOld(db, nowMs, MAX_STEP_RECORDS);
    if (removed === 0) this.#lookAt = nowMs + RETENTION_PASS_EVERY_MS;
    return removed > 0;
  }
}
