import { ChoreFailureStore } from './chore-failure.store.js';
import type { LoadedDefinitions } from './definitions.js';
import { LeaseLost } from './events/partition-lease.model.js';
import { failureReason } from './failure-reason.js';
import { mayPass } from './passing-failure.js';
import { DefinitionsChanged } from './pipeline-transaction.js';
import type { Clock } from './platform/clock.js';
import type { Database } from './platform/postgres.js';

/** One kind of work beside the batches. */
export interface Chore {
  /** As metrics, logs and `weft doctor` call it: a few lower-case words joined by `_`. */
  readonly name: string;
  /** One step; false if there is nothing to do now. */
  readonly runOne: (definitions: LoadedDefinitions) => Promise<boolean>;
  /** Whether there is a time at which nothing is left of it; the others may always have more. */
  readonly mayRest: boolean;
}

export interface ChoreObserver {
  /** @param failures in a row */
  choreFailed(chore: string, error: unknown, failures: number): void;
  /** Chores that failed the last time, as of now. */
  choresFailing(chores: readonly string[]): void;
}

export interface ChoreTurnsParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly observer: ChoreObserver;
  /** Drops what is in memory, of which a failure may have left a part. */
  readonly forget: () => void;
}

const FIRST_PAUSE_MS = 1_000;
export const MAX_CHORE_PAUSE_MS = 60_000;
/** Failures in a row that may pass before it is taken that they do not. */
const MAX_PASSING = 8;
/** A chore that has nothing to do may not have looked at what failed: only so long after that is it over. */
const OVER_AFTER_MS = 10 * MAX_CHORE_PAUSE_MS;

interface Failing {
  readonly failures: number;
  readonly failedAt: number;
  readonly pauseMs: number;
}

/**
 * Gives chores their turns, each by itself: one that fails is put off, for a second, then for twice as long each time, up
 * to {@link MAX_CHORE_PAUSE_MS}, while the others go on. What the same work gets over if it is done again at once, and what
 * says that the worker has to begin anew, is thrown on: that is the worker's to handle. What does not pass in so many tries
 * in a row is a failure like any other.
 */
export class ChoreTurns {
  readonly #parts: ChoreTurnsParts;
  readonly #failures = new ChoreFailureStore();
  readonly #failing = new Map<string, Failing>();
  /** Of chores, failures in a row that may pass. */
  readonly #passing = new Map<string, number>();
  /** Whether it is known what a process before this one could not do. */
  #isTold = false;
  /** Of the chores that may never rest, those that had their turn since all others were asked. */
  readonly #hadTheirTurn = new Set<Chore>();

  constructor(parts: ChoreTurnsParts) {
    this.#parts = parts;
  }

  /**
   * One step of one of them. Those that may never rest have one turn each, and then all others are asked first.
   * @throws DefinitionsChanged, LeaseLost, WeftError UNAVAILABLE
   */
  async take(all: readonly Chore[], definitions: LoadedDefinitions): Promise<boolean> {
    const last = all.filter((chore) => this.#hadTheirTurn.has(chore));
    const first = all.filter((chore) => !this.#hadTheirTurn.has(chore));
    for (const chore of [...first, ...last]) {
      if (!(await this.run(chore, definitions))) continue;
      if (chore.mayRest || last.includes(chore)) this.#hadTheirTurn.clear();
      if (!chore.mayRest) this.#hadTheirTurn.add(chore);
      return true;
    }
    return false;
  }

  /** One step of this one, unless it is put off; false where there is none, or it failed. @throws as {@link take} */
  async run({ name, runOne }: Chore, definitions: LoadedDefinitions): Promise<boolean> {
    if (!this.#isTold) await this.#readFailing();
    await this.#forgetOver();
    const failing = this.#failing.get(name);
    if (failing !== undefined && this.#isPutOff(failing)) return false;
    try {
      const isDone = await runOne(definitions);
      this.#passing.delete(name);
      if (failing !== undefined && isDone) await this.#recovered(name);
      return isDone;
    } catch (error) {
      if (error instanceof DefinitionsChanged || error instanceof LeaseLost) throw error;
      if (mayPass(error) && this.#isToPass(name)) throw error;
      await this.#failed(name, error, (failing?.failures ?? 0) + 1);
      return false;
    }
  }

  /** Counts a failure that may pass; false once there were too many in a row. */
  #isToPass(chore: string): boolean {
    const failures = Math.min(MAX_PASSING, (this.#passing.get(chore) ?? 0) + 1);
    this.#passing.set(chore, failures);
    return failures < MAX_PASSING;
  }

  async #readFailing(): Promise<void> {
    const now = this.#parts.clock.now();
    for (const name of await this.#failures.names(this.#parts.db)) {
      this.#failing.set(name, { failures: 0, failedAt: now, pauseMs: 0 });
    }
    this.#isTold = true;
  }

  /** A clock that was set back puts nothing off for longer. */
  #isPutOff({ failedAt, pauseMs }: Failing): boolean {
    const since = this.#parts.clock.now() - failedAt;
    return since >= 0 && since < pauseMs;
  }

  async #forgetOver(): Promise<void> {
    const nowMs = this.#parts.clock.now();
    for (const [name, { failedAt }] of this.#failing) {
      if (nowMs - failedAt >= OVER_AFTER_MS) await this.#recovered(name, nowMs - OVER_AFTER_MS);
    }
  }

  async #failed(chore: string, error: unknown, failures: number): Promise<void> {
    const { db, clock, observer, forget } = this.#parts;
    forget();
    const nowMs = clock.now();
    const pauseMs = Math.min(MAX_CHORE_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures - 1, 10));
    this.#failing.set(chore, { failures, failedAt: nowMs, pauseMs });
    observer.choreFailed(chore, error, failures);
    observer.choresFailing([...this.#failing.keys()]);
    await this.#failures.note(db, { chore, failures, reason: failureReason(error), nowMs });
  }

  /** @param untilMs unless it failed since, as in another process; default: in any case */
  async #recovered(chore: string, untilMs: number | null = null): Promise<void> {
    const { db, observer } = this.#parts;
    await this.#failures.forget(db, chore, untilMs);
    this.#failing.delete(chore);
    observer.choresFailing([...this.#failing.keys()]);
  }
}
