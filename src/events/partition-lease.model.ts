import { WeftError } from '../platform/errors.js';

/**
 * No worker applies anything from here to the end of the transaction; waits for what is under way. Before anything that
 * batches lock. It is one lock of the whole table, for workers lock its rows in the order in which they lie: whoever took
 * them one by one could meet a worker crosswise.
 */
export const STOP_WORKERS = 'LOCK TABLE partitions IN SHARE ROW EXCLUSIVE MODE';

/** Thrown in a transaction whose lease does not stand any more; nothing may be applied, and every cache is void. */
export class LeaseLost extends WeftError {
  constructor() {
    super('CONFLICT', 'a partition of the log was taken over by another worker');
  }
}

/** Thrown where what was read of anchors before a transaction is not what it writes over; to be read again. */
export class EventsMoved extends WeftError {
  constructor() {
    super('UNAVAILABLE', 'events were moved to other anchors by another worker meanwhile', { retryAfterMs: 0 });
  }
}

/** The right to apply one partition of the log, as long as the epoch stands. */
export interface Lease {
  readonly part: number;
  readonly epoch: number;
  /** Every event of the partition up to this position has been applied. */
  readonly appliedPos: number;
}

export interface LeaseOptions {
  /**
   * Given for a worker that has to be the only one: called with true when it is, with false when that no longer holds.
   * Called from outside of any transaction of the worker, at any time.
   */
  readonly onAlone?: (isAlone: boolean) => void;
}

/** Thrown where a worker may not start, or go on, beside those that are at work. */
export class WorkersExclude extends WeftError {
  constructor() {
    super('CONFLICT', 'another process applies the events of this database', {
      where: 'WEFT_DATA_DIR or WEFT_DATABASE_URL',
      hint: 'Stop it, or use another data folder. Several processes on one database need WEFT_REDIS_URL, each of them.',
    });
  }
}
