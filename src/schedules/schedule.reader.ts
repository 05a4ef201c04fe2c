import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import { FIRST_RUN, type RunPlace, type Schedule, type ScheduleRun } from './schedule.model.js';

export const SCHEDULE_FIELDS = `s.key, s.kind, s.job, s.cron, s.zone, s.max_attempts AS "maxAttempts",
  s.timeout_ms AS "timeoutMs", s.paused, s.next_due_at AS "nextDueAt", s.created_at AS "createdAt"`;

export const RUN_FIELDS = `r.id, r.schedule_key AS "scheduleKey", r.trigger, r.status, r.due_at AS "dueAt", r.missed,
  r.overlapped, r.attempts, r.not_before AS "notBefore", r.started_at AS "startedAt", r.finished_at AS "finishedAt",
  r.done, r.total,
  r.note, r.result, r.error_code AS "errorCode", r.error_message AS "errorMessage"`;

/** A schedule with its latest run. */
export interface ListedSchedule extends Schedule {
  readonly lastRun: ScheduleRun | null;
}

/** Schedules and their runs, as people ask for them. */
export class ScheduleReader {
  constructor(private readonly db: Queryable) {}

  /** By key, those after one; null: from the first. */
  async page(afterKey: string | null, limit: number): Promise<ListedSchedule[]> {
    return this.#listed('WHERE s.key > $1 ORDER BY s.key LIMIT $2', [afterKey ?? '', limit]);
  }

  async find(key: string): Promise<ListedSchedule | null> {
    const [found] = await this.#listed('WHERE s.key = $1', [key]);
    return found ?? null;
  }

  /** The newest first, those after a place. */
  async runs(key: string, after: RunPlace | null, limit: number): Promise<ScheduleRun[]> {
    const { dueAt, id } = after ?? FIRST_RUN;
    return this.db.query<ScheduleRun>(
      `SELECT ${RUN_FIELDS} FROM schedule_runs r
       WHERE r.schedule_key = $1 AND (r.due_at, r.id) < ($2::int8, $3::uuid)
       ORDER BY r.due_at DESC, r.id DESC LIMIT $4`,
      [key, dueAt, id, limit],
    );
  }

  async run(id: Uuid): Promise<ScheduleRun | null> {
    const [row] = await this.db.query<ScheduleRun>(`SELECT ${RUN_FIELDS} FROM schedule_runs r WHERE r.id = $1`, [id]);
    return row ?? null;
  }

  async #listed(rest: string, values: readonly unknown[]): Promise<ListedSchedule[]> {
    const schedules = await this.db.query<Schedule>(`SELECT ${SCHEDULE_FIELDS} FROM schedules s ${rest}`, values);
    if (schedules.length === 0) return [];
    const runs = await this.db.query<ScheduleRun>(
      `SELECT ${RUN_FIELDS} FROM unnest($1::text[]) AS k (key) CROSS JOIN LATERAL (
         SELECT * FROM schedule_runs WHERE schedule_key = k.key COLLATE "C" ORDER BY due_at DESC, id DESC LIMIT 1
       ) r`,
      [schedules.map(({ key }) => key)],
    );
    const lastOf = new Map(runs.map((run) => [run.scheduleKey, run]));
    return schedules.map((schedule) => ({ ...schedule, lastRun: lastOf.get(schedule.key) ?? null }));
  }
}
