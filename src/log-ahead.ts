import type { EventLog, LogBatch } from './events/event-log.model.js';
import type { Pipeline } from './pipeline.js';

interface LogAheadParts {
  readonly log: Pick<EventLog, 'readBatch'>;
  readonly pipeline: Pick<Pipeline, 'prepare'>;
}

type ReadOptions = Parameters<EventLog['readBatch']>[0];

/**
 * The batch of the log that comes next, read and prepared while the one in hand is written: one at most, for a worker that is behind.
 *
 * It is what a read after the batch in hand would have found, as long as nothing comes between but timers and the folding of
 * items: chores rewrite and remove events, so whoever does one forgets it. So does whoever repeats the batch in hand: from its
 * failure on nobody whom it touches is in memory, until it is resolved again.
 */
export class LogAhead {
  #turns = 0;
  #next: { readonly afterPos: number; readonly batch: Promise<LogBatch | null> } | null = null;

  constructor(private readonly parts: LogAheadParts) {}

  /** Begins to read. Failures show when the batch is read in its turn. */
  begin(options: ReadOptions): void {
    const turn = ++this.#turns;
    const batch = this.#read(options, turn).catch(() => null);
    this.#next = { afterPos: options.afterPos, batch };
  }

  /** What was read behind `afterPos`, once; null: nothing. */
  async take(afterPos: number): Promise<LogBatch | null> {
    const next = this.#next;
    if (next?.afterPos !== afterPos) {
      this.forget();
      return null;
    }
    const batch = await next.batch;
    this.forget();
    return batch;
  }

  forget(): void {
    this.#next = null;
    this.#turns++;
  }

  async #read(options: ReadOptions, turn: number): Promise<LogBatch> {
    const { log, pipeline } = this.parts;
    const batch = await log.readBatch(options);
    // Forgotten, another batch may be being resolved by now.
    if (turn === this.#turns) await pipeline.prepare(batch.events);
    return batch;
  }
}
