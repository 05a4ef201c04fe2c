import { WeftError } from '../platform/errors.js';

/** Thrown in a transaction whose lease does not stand any more; nothing may be applied, and every cache is void. */
export class LeaseLost extends WeftError {
  constructor() {
    super('CONFLICT', 'a partition of the log was taken over by another worker');
  }
}

/** The right to apply one partition of the log, as long as the epoch stands. */
export interface Lease {
  readonly part: number;
  readonly epoch: number;
  /** Every event of the partition up to this position has been applied. */
  readonly appliedPos: number;
}
