import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import type { AttemptFailure } from './next-attempt.js';
import type { AttemptStore } from './run-attempts.js';
import { RUN_FIELDS, SCHEDULE_FIELDS } from './schedule.reader.js';
import {
  SCHEDULE_LIMITS,
  type JobProgress,
  type JobResult,
  type RunTrigger,
  type Schedule,
  type ScheduleRun,
} from './schedule.model.js';

/** A run, and the schedule that it is of. */
export interface OpenRun {
  readonly run: ScheduleRun;
  readonly terms: Schedule;
}

export interface NewRun {
  readonly id: Uuid;
  readonly scheduleKey: string;
  readonly trigger: RunTrigger;
  readonly dueAt: number;
  readonly missed: number;
  readonly notBefore: number;
}

/** Schedules looked at, and runs begun, at a time. */
const MAX_AT_ONCE = SCHEDULE_LIMITS.maxSchedules;

/** Rows of `schedules` and `schedule_runs`. */
export class ScheduleStore implements AttemptStore<OpenRun> {
  constructor(private readonly db: Queryable) {}

  async count(): Promise<number> {
    const [row] = await this.db.query<{ count: number }>('SELECT count(*)::int8 AS count FROM schedules');
    return row?.count ?? 0;
  }

  /** False where there is one of this key. */
  async insert(schedule: Schedule): Promise<boolean> {
    const { key, kind, job, cron, zone, maxAttempts, timeoutMs, paused, nextDueAt, createdAt } = schedule;
    const inserted = await this.db.execute(
      `INSERT INTO schedules (key, kind, job, cron, zone, max_attempts, timeout_ms, paused, next_due_at, created_at)
       VALUES ($1, $2, $3::jsonb, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
      [key, kind, JSON.stringify(job), cron, zone, maxAttempts, timeoutMs, paused, nextDueAt, createdAt],
    );
    return inserted === 1;
  }

  async setPaused(key: string, paused: boolean, nextDueAt: number | null): Promise<void> {
    await this.db.execute('UPDATE schedules SET paused = $2, next_due_at = $3 WHERE key = $1', [
      key,
      paused,
      nextDueAt,
    ]);
  }

  /** With its runs. */
  async remove(key: string): Promise<void> {
    await this.db.execute('DELETE FROM schedules WHERE key = $1', [key]);
  }

  async due(nowMs: number): Promise<Schedule[]> {
    return this.db.query<Schedule>(
      `SELECT ${SCHEDULE_FIELDS} FROM schedules s WHERE NOT s.paused AND s.next_due_at <= $1
       ORDER BY s.next_due_at, s.key LIMIT $2`,
      [nowMs, MAX_AT_ONCE],
    );
  }

  /** False where it was changed since it was read. */
  async moveOn({ key, nextDueAt }: Schedule, to: number | null): Promise<boolean> {
    const moved = await this.db.execute(
      'UPDATE schedules SET next_due_at = $3 WHERE key = $1 AND next_due_at = $2 AND NOT paused',
      [key, nextDueAt, to],
    );
    return moved === 1;
  }

  /** False where the schedule has a run that is not over, which is told of `overlapped` more instants. */
  async openRun(run: NewRun, overlapped: number): Promise<boolean> {
    const { id, scheduleKey, trigger, dueAt, missed, notBefore } = run;
    const inserted = await this.db.execute(
      `INSERT INTO schedule_runs (id, schedule_key, trigger, status, due_at, missed, not_before)
       VALUES ($1, $2, $3, 'waiting', $4, $5, $6)
       ON CONFLICT (schedule_key) WHERE status IN ('waiting', 'running') DO NOTHING`,
      [id, scheduleKey, trigger, dueAt, missed, notBefore],
    );
    if (inserted === 1) return true;
    if (overlapped > 0) {
      await this.db.execute(
        `UPDATE schedule_runs SET overlapped = overlapped + $2
         WHERE schedule_key = $1 AND status IN ('waiting', 'running')`,
        [scheduleKey, overlapped],
      );
    }
    return false;
  }

  /** Runs whose time has come; of paused schedules only those that were asked for. The first come first. */
  async waiting(nowMs: number): Promise<OpenRun[]> {
    return this.#open(
      `r.status = 'waiting' AND r.not_before <= $1 AND (r.trigger = 'manual' OR NOT s.paused)
       ORDER BY r.not_before, r.id LIMIT $2`,
      [nowMs, MAX_AT_ONCE],
    );
  }

  /** Runs that somebody began and did not end. */
  async running(): Promise<OpenRun[]> {
    return this.#open(`r.status = 'running' ORDER BY r.id LIMIT $1`, [MAX_AT_ONCE]);
  }

  /** Ends the run of a schedule that is not over; its id, or null where there is none. */
  async cancel(key: string, nowMs: number): Promise<Uuid | null> {
    const [run] = await this.db.query<{ id: Uuid }>(
      `UPDATE schedule_runs SET status = 'cancelled', finished_at = $2
       WHERE schedule_key = $1 AND status IN ('waiting', 'running') RETURNING id`,
      [key, nowMs],
    );
    return run?.id ?? null;
  }

  /** Notes how far attempts that are under way have come. */
  async saveProgress(progress: ReadonlyMap<Uuid, JobProgress>): Promise<void> {
    const all = [...progress.values()];
    await this.db.execute(
      `UPDATE schedule_runs r SET done = p.done, total = p.total
       FROM unnest($1::uuid[], $2::int8[], $3::int8[]) AS p (id, done, total)
       WHERE r.id = p.id AND r.status = 'running'`,
      [[...progress.keys()], all.map(({ done }) => done), all.map(({ total }) => total)],
    );
  }

  /** Of these runs, those that are running still: one may be cancelled, and a schedule takes its runs with it. */
  async stillRunning(ids: readonly Uuid[]): Promise<ReadonlySet<Uuid>> {
    const rows = await this.db.query<{ id: Uuid }>(
      `SELECT id FROM schedule_runs WHERE id = ANY ($1::uuid[]) AND status = 'running'`,
      [ids],
    );
    return new Set(rows.map(({ id }) => id));
  }

  /** The run as it is then; null where it is gone or begun. */
  async begin({ run: { id }, terms }: OpenRun, nowMs: number): Promise<OpenRun | null> {
    const [run] = await this.db.query<ScheduleRun>(
      `UPDATE schedule_runs r SET status = 'running', attempts = attempts + 1, started_at = $2
       WHERE r.id = $1 AND r.status = 'waiting' RETURNING ${RUN_FIELDS}`,
      [id, nowMs],
    );
    return run === undefined ? null : { run, terms };
  }

  /** False where it was cancelled or removed meanwhile. */
  async finish({ id, attempts }: ScheduleRun, { isDone, note, result }: JobResult, nowMs: number): Promise<boolean> {
    const finished = await this.db.execute(
      `UPDATE schedule_runs SET status = $3, finished_at = $4, note = $5, result = $6::jsonb, error_code = NULL,
              error_message = NULL
       WHERE id = $1 AND attempts = $2 AND status = 'running'`,
      [id, attempts, isDone ? 'done' : 'failed', nowMs, shortened(note), JSON.stringify(result)],
    );
    return finished === 1;
  }

  /** False as for {@link finish}. @param againAt ms; null: the run is over */
  async fail(
    { id, attempts }: ScheduleRun,
    { code, message }: AttemptFailure,
    againAt: number | null,
    nowMs: number,
  ): Promise<boolean> {
    const failed = await this.db.execute(
      `UPDATE schedule_runs SET status = $3, not_before = coalesce($4, not_before), finished_at = $5, error_code = $6,
              error_message = $7
       WHERE id = $1 AND attempts = $2 AND status = 'running'`,
      [
        id,
        attempts,
        againAt === null ? 'failed' : 'waiting',
        againAt,
        againAt === null ? nowMs : null,
        code,
        shortened(message),
      ],
    );
    return failed === 1;
  }

  /** An attempt that was stopped with its process does not count. */
  async putBack({ id, attempts }: ScheduleRun): Promise<void> {
    await this.db.execute(
      `UPDATE schedule_runs SET status = 'waiting', attempts = attempts - 1
       WHERE id = $1 AND attempts = $2 AND status = 'running'`,
      [id, attempts],
    );
  }

  /** Removes the oldest of the runs that are over, beyond those that are kept. */
  async sweep({ terms: { key } }: OpenRun): Promise<void> {
    await this.db.execute(
      `DELETE FROM schedule_runs WHERE schedule_key = $1 AND status NOT IN ('waiting', 'running') AND id IN (
         SELECT id FROM schedule_runs WHERE schedule_key = $1 ORDER BY due_at DESC, id DESC OFFSET $2 LIMIT 1000)`,
      [key, SCHEDULE_LIMITS.keptRuns],
    );
  }

  async #open(rest: string, values: readonly unknown[]): Promise<OpenRun[]> {
    const rows = await this.db.query<OpenRun>(
      `SELECT (SELECT to_jsonb(x) FROM (SELECT ${RUN_FIELDS}) x) AS run,
              (SELECT to_jsonb(x) FROM (SELECT ${SCHEDULE_FIELDS}) x) AS terms
       FROM schedule_runs r JOIN schedules s ON s.key = r.schedule_key WHERE ${rest}`,
      values,
    );
    return rows;
  }
}

function shortened(text: string): string {
  return text.slice(0, SCHEDULE_LIMITS.maxNoteLength);
}
