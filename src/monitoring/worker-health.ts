import { WorkersExclude } from '../events/partition-lease.model.js';
import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';

/** Failures in a row, over at least this time, before a worker counts as failing: collisions pass sooner. */
const MIN_FAILURES = 5;
const MIN_FAILING_MS = 5_000;
/** A worker that fails tries again within 5 s; one that was not heard of for longer has got over it. */
const FORGET_AFTER_MS = 15_000;
/** Longer than a batch may take. */
const STUCK_AFTER_MS = 60_000;

/** How far the log is applied, as read just now. */
export interface LogProgress {
  readonly headPos: number;
  readonly appliedPos: number;
}

/**
 * Whether the worker of this process gets on. Fed by what the worker reports, and by each look at the log.
 *
 * 1. Failing: at least {@link MIN_FAILURES} failures and no commit between them.
 * 2. Stuck: events wait, and between two looks that are at least {@link STUCK_AFTER_MS} apart nothing was applied.
 */
export class WorkerHealth {
  readonly #clock: Clock;
  #failures = 0;
  #failingSinceMs = 0;
  #lastFailureMs = 0;
  #lastError: unknown = null;
  #stuckPos: number | null = null;
  #stuckSinceMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  failed(error: unknown): void {
    const nowMs = this.#clock.now();
    if (nowMs - this.#lastFailureMs > FORGET_AFTER_MS) this.#failures = 0;
    if (this.#failures === 0) this.#failingSinceMs = nowMs;
    this.#failures++;
    this.#lastFailureMs = nowMs;
    this.#lastError = error;
  }

  /** A batch was committed. */
  progressed(): void {
    this.#failures = 0;
  }

  /** One line without data of anybody, or null where all is well. */
  problem({ headPos, appliedPos }: LogProgress): string | null {
    const nowMs = this.#clock.now();
    const stuckMs = this.#stuckMs(headPos, appliedPos, nowMs);
    const isHeard = nowMs - this.#lastFailureMs <= FORGET_AFTER_MS;
    if (this.#failures >= MIN_FAILURES && isHeard && nowMs - this.#failingSinceMs >= MIN_FAILING_MS) {
      const since = new Date(this.#failingSinceMs).toISOString();
      if (this.#lastError instanceof WorkersExclude) return `another process applies the events, since ${since}`;
      return `the last ${String(this.#failures)} attempts failed, since ${since}: ${codeOf(this.#lastError)}`;
    }
    if (stuckMs < STUCK_AFTER_MS) return null;
    return `${String(headPos - appliedPos)} events wait, none was applied for ${String(Math.floor(stuckMs / 1_000))} s`;
  }

  /** How long nothing was applied although something waits, as far as the looks tell. */
  #stuckMs(headPos: number, appliedPos: number, nowMs: number): number {
    if (appliedPos >= headPos) {
      this.#stuckPos = null;
      return 0;
    }
    if (this.#stuckPos !== appliedPos) {
      this.#stuckPos = appliedPos;
      this.#stuckSinceMs = nowMs;
    }
    return nowMs - this.#stuckSinceMs;
  }
}

/** With its place: a broken definition is found by it. Messages may quote values. */
function codeOf(error: unknown): string {
  if (!(error instanceof WeftError)) return 'INTERNAL';
  return error.where === undefined ? error.code : `${error.code} at ${error.where}`;
}
