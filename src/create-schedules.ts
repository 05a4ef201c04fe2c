import { setTimeout as sleep } from 'node:timers/promises';

import type { Loads } from './create-loads.js';
import type { Clock } from './platform/clock.js';
import type { Lifecycle } from './platform/lifecycle.js';
import type { Logger } from './platform/logger.js';
import type { Metrics } from './platform/metrics.js';
import type { Database } from './platform/postgres.js';
import type { RepeatedLog } from './platform/repeated-log.js';
import { RUN_STATUSES, type JobKind, type ScheduleRun } from './schedules/schedule.model.js';
import { ScheduleReader } from './schedules/schedule.reader.js';
import { ScheduleRunner } from './schedules/schedule-runner.js';
import { ScheduleService } from './schedules/schedule.service.js';
import { LoadJobKind } from './sources/load-job.js';

export interface ScheduleParts extends Loads {
  /** What can be scheduled besides loads. */
  readonly jobs: readonly JobKind[];
  readonly db: Database;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly log: RepeatedLog;
}

export interface Schedules {
  readonly service: ScheduleService;
  readonly runner: ScheduleRunner;
}

const MAX_KIND_LABELS = 20;

/** What keeps schedules and what runs them, over one database; starts nothing. */
export function createSchedules({ db, clock, metrics, logger, log, jobs, ...loads }: ScheduleParts): Schedules {
  const kinds = [new LoadJobKind(loads), ...jobs];
  const attempts = metrics.counter(
    'schedule_attempts_total',
    'Attempts of scheduled runs, by kind and how they ended.',
    {
      kind: MAX_KIND_LABELS,
      status: RUN_STATUSES,
    },
  );
  const missed = metrics.counter('schedule_missed_total', 'Due times of schedules for which no process was there.');
  const runner = new ScheduleRunner({
    db,
    clock,
    kinds,
    observer: {
      ended: ({ key, kind }, { id }, status, failure) => {
        attempts.add(1, kind, status);
        const fields = { schedule: key, run: id, status };
        if (failure === null) logger.info(fields, 'a scheduled run ended');
        else logger.warn({ ...fields, code: failure.code, reason: failure.message }, 'a scheduled run failed');
      },
      missed: ({ key }, count) => {
        missed.add(count);
        logger.warn({ schedule: key, missed: count }, 'due times of a schedule were missed; one run makes up for them');
      },
      defect: (error) => {
        log.error(error, 'a scheduled run failed by a defect');
      },
    },
    onError: (error) => {
      log.warn(error, 'schedules could not be looked at; it is tried again');
    },
  });
  const onRequested = (): void => {
    runner.wake();
  };
  return { runner, service: new ScheduleService({ db, clock, kinds, onRequested }) };
}

/** @param runs where what is due is run for as long as the program runs; null: elsewhere */
export async function startSchedules(parts: ScheduleParts, runs: Lifecycle | null): Promise<Schedules> {
  const schedules = createSchedules(parts);
  if (runs === null) return schedules;
  await runs.start(
    'schedules',
    () => {
      schedules.runner.start();
    },
    { drain: () => schedules.runner.stop() },
  );
  return schedules;
}

const POLL_MS = 250;

/**
 * Resolves once the run is over, or waits for another attempt.
 * @param runner where this process is to do it; null: another one does
 */
export async function runEnded(
  db: Database,
  run: ScheduleRun,
  signal: AbortSignal,
  runner: ScheduleRunner | null,
): Promise<ScheduleRun> {
  const reader = new ScheduleReader(db);
  for (;;) {
    await runner?.look();
    const found = await reader.run(run.id);
    // A schedule that is removed takes its runs with it.
    if (found === null) return run;
    if (found.finishedAt !== null) return found;
    if (found.status === 'waiting' && found.attempts > 0) return found;
    await sleep(POLL_MS, undefined, { signal });
  }
}
