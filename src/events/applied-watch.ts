/** How far the log is applied, and how far it goes. */
export interface LogProgress {
  /** Every event up to here is applied, by whichever worker. */
  readonly appliedPos: number;
  readonly headPos: number;
}

/**
 * - `published`: this process applied the events itself, and whatever it reads from shows them;
 * - `committed`: they are applied in the database; a copy elsewhere may not show them yet;
 * - `late`: they are not applied, as far as is known;
 * - `never`: this log has not handed the position out, so there is nothing to wait for.
 */
export type AppliedOutcome = 'published' | 'committed' | 'late' | 'never';

export interface AppliedWatchOptions {
  /** Asks the database. */
  readonly read: () => Promise<LogProgress>;
  readonly onError: (error: unknown) => void;
  /** Between two questions, while somebody waits, ms. Default 5. */
  readonly pollMs?: number;
  /** Default 10,000. */
  readonly maxWaiting?: number;
}

/** More events than a log takes in a minute. */
const FAR_EVENTS = 100_000_000;
const HEAD_TTL_MS = 60_000;

interface Waiting {
  readonly pos: number;
  /** Number of the first question that was asked after the wait began: what an earlier one shows may be older. */
  readonly firstQuestion: number;
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
  /** The end of the log when it was last asked for, and when that was, ms of `performance.now`. */
  #head = { pos: 0, atMs: Number.NEGATIVE_INFINITY };
  #waiting: Waiting[] = [];
  #isPolling = false;
  #questions = 0;

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
    if (this.#isFarBeyond(pos)) return Promise.resolve('never');
    if (this.#waiting.length >= (this.#options.maxWaiting ?? 10_000)) return Promise.resolve('late');
    return new Promise((resolve) => {
      this.#waiting.push({
        pos,
        firstQuestion: this.#questions + 1,
        expiresAtMs: performance.now() + timeoutMs,
        resolve,
      });
      if (this.#isPolling) return;
      this.#isPolling = true;
      void this.#poll();
    });
  }

  async #poll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const question = ++this.#questions;
      try {
        const { appliedPos, headPos } = await this.#options.read();
        this.#committedPos = Math.max(this.#committedPos, appliedPos);
        this.#head = { pos: headPos, atMs: performance.now() };
        // Whatever was handed out is in the log: a position beyond its end is of another log, or made up.
        this.#waiting = this.#waiting.filter(({ pos, firstQuestion, resolve }) => {
          const isBeyond = pos > headPos && firstQuestion <= question;
          if (isBeyond) resolve('never');
          return !isBeyond;
        });
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

  /** Without a question to the database, which anybody could ask for by making up a position. */
  #isFarBeyond(pos: number): boolean {
    return pos > this.#head.pos + FAR_EVENTS && performance.now() - this.#head.atMs < HEAD_TTL_MS;
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
