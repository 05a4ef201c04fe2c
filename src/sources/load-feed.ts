import type { ExpectationCheck } from './check-expectations.js';
import type { LoadUnit, UnitMaker } from './group-rows.js';
import type { LoadSender } from './load-sender.js';
import { unitsOf, type LoadCounts } from './load.model.js';

/** How a file is cut up. What comes of it does not depend on these. */
export interface LoadLimits {
  readonly maxBatchUnits: number;
  /** A batch ends with the unit that reaches this. */
  readonly maxBatchRows: number;
  readonly checkpointEveryBatches: number;
}

export const DEFAULT_LOAD_LIMITS: LoadLimits = {
  maxBatchUnits: 500,
  maxBatchRows: 5_000,
  checkpointEveryBatches: 20,
};

/** Cuts the stream of units into batches, and leaves out those that an earlier run has sent. */
export class LoadFeed {
  /** Units that are made and not sent yet. */
  readonly pending: LoadUnit[] = [];
  rows = 0;
  /** Units made, those left out included. */
  units = 0;
  /** Of them those that became no event. */
  refused = 0;
  #toSkip: number;
  #batches = 0;

  constructor(
    private readonly maker: UnitMaker,
    private readonly sender: LoadSender,
    private readonly checkpoint: (counts: LoadCounts) => Promise<void>,
    private readonly limits: LoadLimits,
    private readonly check: Pick<ExpectationCheck, 'add'>,
  ) {
    this.#toSkip = unitsOf(sender.counts);
  }

  /** Rows that the mapping left out. */
  get skipped(): number {
    return this.maker.skipped;
  }

  get isFull(): boolean {
    return this.pending.length >= this.limits.maxBatchUnits;
  }

  /** Sends whole batches; with `all`, the rest too. `onSent` is told after each. */
  async flush(all: boolean, onSent?: () => void): Promise<void> {
    const { maxBatchUnits, maxBatchRows } = this.limits;
    let from = 0;
    while (this.pending.length - from >= maxBatchUnits || (all && from < this.pending.length)) {
      let to = from;
      let rows = 0;
      while (to < this.pending.length && to - from < maxBatchUnits && rows < maxBatchRows) {
        rows += this.pending[to]?.rows ?? 0;
        to++;
      }
      await this.#send(this.pending.slice(from, to));
      onSent?.();
      from = to;
    }
    this.pending.splice(0, from);
  }

  async #send(units: readonly LoadUnit[]): Promise<void> {
    this.units += units.length;
    for (const unit of units) {
      if (unit.event === null) this.refused++;
      this.check.add(unit);
    }
    const skipped = Math.min(this.#toSkip, units.length);
    this.#toSkip -= skipped;
    if (skipped === units.length) return;
    const read = { rowsRead: this.rows, rowsSkipped: this.skipped };
    await this.sender.send(skipped === 0 ? units : units.slice(skipped), read);
    this.#batches++;
    if (this.#batches % this.limits.checkpointEveryBatches === 0) await this.checkpoint(this.sender.counts);
  }
}
