import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from './platform/clock.js';
import type { Lifecycle } from './platform/lifecycle.js';
import type { Logger } from './platform/logger.js';
import type { Metrics } from './platform/metrics.js';
import type { Database } from './platform/postgres.js';
import type { RepeatedLog } from './platform/repeated-log.js';
import { isOver, type BackgroundJob } from './schedules/background-job.model.js';
import { createJobRunner, type BackgroundJobRunnerOptions } from './schedules/background-job-runner.js';
import { BackgroundJobService } from './schedules/background-job.service.js';
import type { OpenJob } from './schedules/background-job.store.js';
import type { RunAttempts } from './schedules/run-attempts.js';
import { RUN_STATUSES, type JobKind } from './schedules/schedule.model.js';

export interface BackgroundJobs {
  readonly service: BackgroundJobService;
  readonly runner: RunAttempts<OpenJob>;
}

export interface BackgroundJobParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly log: RepeatedLog;
}

const MAX_KIND_LABELS = 20;

/** What takes jobs and what does them, over one database; starts nothing. */
export function createBackgroundJobs(
  options: BackgroundJobRunnerOptions,
  onRefused: () => void = () => undefined,
): BackgroundJobs {
  const { db, clock, kinds } = options;
  const runner = createJobRunner(options);
  const onRequested = (): void => {
    runner.wake();
  };
  return { runner, service: new BackgroundJobService({ db, clock, kinds, onRequested, onRefused }) };
}

/** @param runs where jobs are done for as long as the program runs; null: elsewhere */
export async function startBackgroundJobs(
  { db, clock, metrics, logger, log }: BackgroundJobParts,
  kinds: readonly JobKind[],
  runs: Lifecycle | null,
): Promise<BackgroundJobs> {
  const attempts = metrics.counter('job_attempts_total', 'Attempts at jobs, by kind and how they ended.', {
    kind: MAX_KIND_LABELS,
    status: RUN_STATUSES,
  });
  const refused = metrics.counter('jobs_refused_total', 'Jobs that were refused, as too many wait or run.');
  const jobs = createBackgroundJobs(
    {
      ...{ db, clock, kinds },
      observer: {
        ended: ({ terms: { kind }, run: { id } }, status, failure) => {
          attempts.add(1, kind, status);
          const fields = { job: id, kind, status };
          if (failure === null) logger.info(fields, 'a job ended');
          else logger.warn({ ...fields, code: failure.code, reason: failure.message }, 'a job failed');
        },
        defect: (error) => {
          log.error(error, 'a job failed by a defect');
        },
      },
      onError: (error) => {
        log.warn(error, 'jobs could not be looked at; it is tried again');
      },
    },
    () => {
      refused.add(1);
    },
  );
  if (runs === null) return jobs;
  await runs.start(
    'jobs',
    () => {
      jobs.runner.start();
    },
    { drain: () => jobs.runner.stop() },
  );
  return jobs;
}

const POLL_MS = 250;

/**
 * Resolves once the job is over, or waits for another attempt.
 * @param isWorking whether this process is to do it; else another one does
 */
export async function jobEnded(
  { service, runner }: BackgroundJobs,
  job: BackgroundJob,
  { isWorking, signal, onProgress }: FollowedJob,
): Promise<BackgroundJob> {
  for (;;) {
    if (isWorking) await runner.look();
    const found = await service.demand(job.id);
    if (isOver(found) || (found.status === 'waiting' && found.attempts > 0)) return found;
    if (found.done !== null) onProgress(found.done, found.total);
    await sleep(POLL_MS, undefined, { signal });
  }
}

export interface FollowedJob {
  readonly isWorking: boolean;
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, total: number | null) => void;
}
