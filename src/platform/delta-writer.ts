import { Periodic } from './periodic.js';

export interface DeltaWriterOptions<Delta> {
  /** What was counted since the last call; the counts begin anew. */
  readonly take: () => readonly Delta[];
  /** Counts again what could not be written. Sees to it that what waits stays bounded. */
  readonly putBack: (delta: Delta) => void;
  /** Adds to what is stored. */
  readonly write: (deltas: readonly Delta[]) => Promise<void>;
  /** Of one write. */
  readonly maxDeltas: number;
  /** Time between two writes, ms. Default 5 s. */
  readonly flushMs?: number | undefined;
  /** What could not be written is put back, and written with the next ones. */
  readonly onError: (error: unknown) => void;
}

const FLUSH_MS = 5_000;

/**
 * Writes what is counted in memory every few seconds. A stop writes what is left; a crash loses the counts of one interval
 * at most. Where the connection is lost during a write, nobody knows whether it was done; it is repeated, so that these
 * counts may stand twice.
 */
export class DeltaWriter<Delta> {
  readonly #options: DeltaWriterOptions<Delta>;
  readonly #flushes: Periodic;

  constructor(options: DeltaWriterOptions<Delta>) {
    this.#options = options;
    this.#flushes = new Periodic(() => this.#flush(), options.flushMs ?? FLUSH_MS, options.onError);
  }

  start(): void {
    this.#flushes.start();
  }

  /** Writes what is left. */
  async stop(): Promise<void> {
    await this.#flushes.stop();
    await this.flush();
  }

  /** Never rejects; one write at a time. */
  flush(): Promise<void> {
    return this.#flushes.run();
  }

  async #flush(): Promise<void> {
    const { take, putBack, write, maxDeltas } = this.#options;
    const deltas = take();
    for (let from = 0; from < deltas.length; from += maxDeltas) {
      try {
        await write(deltas.slice(from, from + maxDeltas));
      } catch (error) {
        for (const delta of deltas.slice(from)) putBack(delta);
        throw error;
      }
    }
  }
}
