import type { Clock } from '../platform/clock.js';
import type { Database } from '../platform/postgres.js';
import { BACKGROUND_JOB_LIMITS } from './background-job.model.js';
import { BackgroundJobStore, type OpenJob } from './background-job.store.js';
import { RunAttempts, type AttemptObserver } from './run-attempts.js';
import type { JobKind } from './schedule.model.js';

export interface BackgroundJobRunnerOptions {
  readonly db: Database;
  readonly clock: Clock;
  readonly kinds: readonly JobKind[];
  readonly observer: AttemptObserver<OpenJob>;
  /** A look that failed; the next one is tried all the same. */
  readonly onError: (error: unknown) => void;
  /** Time between two looks, ms. */
  readonly everyMs?: number;
}

/** Of the advisory lock of the one process that does jobs; any number, the same in each release. */
const JOBS_LOCK = 7_729_121;
const EVERY_MS = 2_000;
const { maxRunning } = BACKGROUND_JOB_LIMITS;

/** Does what was asked for once: attempts at it, and nothing else but that results whose time is over go. */
export function createJobRunner(options: BackgroundJobRunnerOptions): RunAttempts<OpenJob> {
  const { db, clock, everyMs = EVERY_MS } = options;
  const store = new BackgroundJobStore(db);
  return new RunAttempts({
    ...options,
    ...{ store, everyMs, lock: JOBS_LOCK, maxRunning: { here: maxRunning, elsewhere: maxRunning } },
    hasWork: () => store.hasWork(clock.now()),
    onLook: () => store.removeExpired(clock.now()),
  });
}
