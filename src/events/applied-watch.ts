/** How far the log is applied, and how far it goes. */
export interface LogProgress {
  /** Every event up to here is applied, by whichever worker. */
  readonly appliedPos: number;
  readonly headPos: number;
}

/**
 * - `published`: this process applied the events itself, and whatever it reads from shows them;
 * - `committed`: they are applied in the database; a copy elsewhere may not show them yet;
 * - `late`: they are not applied, as far as is known.
 */
export type AppliedOutcome = 'published' | 'committed' | 'late';

export interface AppliedWatchOptions {
  /** Asks the database. */
  readonly read: () => Promise<LogProgress>;
  readonly onError: (error: unknown) => void;
  /** Between two questions, while somebody waits, ms. Default 5. */
  readonly pollMs?: number;
  /** Default 10,000. */
  readonly maxWaiting?: number;
}

interface Waiting {
  readonly pos: number;
  readonly expiresAtMs: number;
  readonly resolve: (outcome: AppliedOutcome) => void;
}

/**
 * Waits until events are applied, by this process or another. However many wait, the database is asked one small
 * question at a time, and none while nobody waits.
 *
 * Positions do not fall, so what was once known to be applied is so for good.
 */
export class AppliedWatch {
  readonly #options: AppliedWatchOptions;
  #publishedPos = 0;
  #committedPos = 0;
  #waiting: Waiting[] = [];
  #isPolling = false;

  constructor(options: AppliedWatchOptions) {
    this.#options = options;
  }

  /** How many wait now. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** To be called when this process has applied every event up to `pos`, and written them through. */
  published(pos: number): void {
    if (pos <= this.#publishedPos) return;
    this.#publishedPos = pos;
    if (this.#waiting.length > 0) this.#settle();
  }

  /** Whether this process has applied every event up to `pos` itself, so that nobody has to wait. */
  isPublished(pos: number): boolean {
    return pos <= this.#publishedPos;
  }

  /** @param timeoutMs after which the answer is `late` */
  until(pos: number, timeoutMs: number): Promise<AppliedOutcome> {
    const known = this.#known(pos);
    if (known !== null) return Promise.resolve(known);
    if (this.#waiting.length >= (this.#options.maxWaiting ?? 10_000)) return Promise.resolve('late');
    return new Promise((resolve) => {
      this.#waiting.push({ pos, expiresAtMs: performance.now() + timeoutMs, resolve });
      if (this.#isPolling) return;
      this.#isPolling = true;
      void this.#poll();
    });
  }

  async #poll(): Promise<void> {
    while (this.#waiting.length > 0) {
      try {
        const { appliedPos, headPos } = await this.#options.read();
        // Whatever was handed out is in the log: a position beyond its end is of another log, and never comes.
        this.#committedPos = Math.max(this.#committedPos, appliedPos);
        for (const { pos, resolve } of this.#waiting) if (pos > headPos) resolve('committed');
        this.#waiting = this.#waiting.filter(({ pos }) => pos <= headPos);
      } catch (error) {
        this.#options.onError(error);
      }
      this.#settle();
      if (this.#waiting.length > 0) await pause(this.#options.pollMs ?? 5);
    }
    this.#isPolling = false;
  }

  #settle(): void {
    const nowMs = performance.now();
    this.#waiting = this.#waiting.filter(({ pos, expiresAtMs, resolve }) => {
      const outcome = this.#known(pos) ?? (expiresAtMs <= nowMs ? 'late' : null);
      if (outcome !== null) resolve(outcome);
      return outcome === null;
    });
  }

  #known(pos: number): AppliedOutcome | null {
    if (pos <= this.#publishedPos) return 'published';
    return pos <= this.#committedPos ? 'committed' : null;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
