import type { Clock } from '../platform/clock.js';
import { newId } from '../platform/ids.js';
import type { Database } from '../platform/postgres.js';
import { CronTimes } from './cron-times.js';
import type { AttemptFailure } from './next-attempt.js';
import { RunAttempts } from './run-attempts.js';
import type { JobKind, RunStatus, Schedule, ScheduleRun } from './schedule.model.js';
import { ScheduleStore, type OpenRun } from './schedule.store.js';

export interface ScheduleObserver {
  /** An attempt ended; `waiting`: it failed and there will be another one. */
  ended(schedule: Schedule, run: ScheduleRun, status: RunStatus, failure: AttemptFailure | null): void;
  /** Due times for which nobody was there. */
  missed(schedule: Schedule, count: number): void;
  /** An attempt failed with what is nobody's deliberate error. */
  defect(error: unknown): void;
}

export interface ScheduleRunnerOptions {
  readonly db: Database;
  readonly clock: Clock;
  readonly kinds: readonly JobKind[];
  readonly observer: ScheduleObserver;
  /** A look that failed; the next one is tried all the same. */
  readonly onError: (error: unknown) => void;
  /** Time between two looks, ms. Default 5 s. */
  readonly everyMs?: number;
}

/** Of the advisory lock of the one process that runs what is scheduled; any number, the same in each release. */
const SCHEDULER_LOCK = 7_729_117;
/** Jobs here have the process to themselves as little as possible; the others wait for what others do. */
const MAX_RUNNING = { here: 2, elsewhere: 20 } as const;

/**
 * Runs what is due, by attempts as `run-attempts.ts` says.
 *
 * 1. An instant that is due moves its schedule on and opens a run in one transaction, so each is seen once.
 * 2. A schedule has one run at most that is not over, which the database sees to. Instants that come meanwhile are
 *    counted with it and left out; those that passed while nobody looked are made up for by one run.
 */
export class ScheduleRunner {
  readonly #options: ScheduleRunnerOptions;
  readonly #store: ScheduleStore;
  readonly #attempts: RunAttempts<OpenRun>;

  constructor(options: ScheduleRunnerOptions) {
    const { db, clock, kinds, observer, onError, everyMs } = options;
    this.#options = options;
    this.#store = new ScheduleStore(db);
    this.#attempts = new RunAttempts({
      ...{ db, clock, kinds, onError, everyMs, store: this.#store, lock: SCHEDULER_LOCK, maxRunning: MAX_RUNNING },
      hasWork: async () => (await this.#store.count()) > 0,
      onLook: () => this.#openDue(),
      observer: {
        ended: ({ terms, run }, status, failure) => {
          observer.ended(terms, run, status, failure);
        },
        defect: (error) => {
          observer.defect(error);
        },
      },
    });
  }

  start(): void {
    this.#attempts.start();
  }

  /** Something may be due now. Nothing happens where it was not started. */
  wake(): void {
    this.#attempts.wake();
  }

  /** One look: begins what is due, and does not wait for it. */
  look(): Promise<void> {
    return this.#attempts.look();
  }

  /** Resolves when what is under way has ended. */
  settled(): Promise<void> {
    return this.#attempts.settled();
  }

  /** Stops what is under way, to be gone on with by whoever is next. */
  stop(): Promise<void> {
    return this.#attempts.stop();
  }

  async #openDue(): Promise<void> {
    const { db, clock, observer } = this.#options;
    const nowMs = clock.now();
    for (const schedule of await this.#store.due(nowMs)) {
      const times = new CronTimes(schedule.cron, schedule.zone);
      const { last, before } = times.passed(schedule.nextDueAt ?? nowMs, nowMs);
      const run = {
        id: newId(nowMs),
        scheduleKey: schedule.key,
        trigger: 'cron',
        dueAt: last,
        missed: before,
        notBefore: nowMs,
      } as const;
      const isOpened = await db.transaction(async (tx) => {
        const store = new ScheduleStore(tx);
        if (!(await store.moveOn(schedule, times.after(nowMs)))) return false;
        return store.openRun(run, before + 1);
      });
      if (isOpened && before > 0) observer.missed(schedule, before);
    }
  }
}
