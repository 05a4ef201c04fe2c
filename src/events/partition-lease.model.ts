/** The right to apply one partition of the log, as long as the epoch stands. */
export interface Lease {
  readonly part: number;
  readonly epoch: number;
  /** Every event of the partition up to this position has been applied. */
  readonly appliedPos: number;
}
