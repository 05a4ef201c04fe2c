import type { Uuid } from '../platform/ids.js';
import type { Queryable, Transaction } from '../platform/postgres.js';
import { BACKGROUND_JOB_LIMITS, type BackgroundJob } from './background-job.model.js';
import { BACKGROUND_JOB_FIELDS } from './background-job.reader.js';
import type { AttemptFailure } from './next-attempt.js';
import type { AttemptStore, OpenAttempt } from './run-attempts.js';
import { SCHEDULE_LIMITS, type JobProgress, type JobResult } from './schedule.model.js';

export interface OpenJob extends OpenAttempt {
  readonly run: OpenAttempt['run'] & Pick<BackgroundJob, 'notBefore' | 'requestedAt'>;
}

export type NewBackgroundJob = Pick<BackgroundJob, 'id' | 'kind' | 'job' | 'askedBy' | 'requestedAt'>;

const { maxOpen, maxAttempts, timeoutMs, keptMs, maxKept } = BACKGROUND_JOB_LIMITS;

/** Rows of `background_jobs`. */
export class BackgroundJobStore implements AttemptStore<OpenJob> {
  constructor(private readonly db: Queryable) {}

  /** False where too many wait or run already. */
  async insert(tx: Transaction, { id, kind, job, askedBy, requestedAt }: NewBackgroundJob): Promise<boolean> {
    // One at a time, so that the bound is one.
    await tx.query('LOCK TABLE background_jobs IN SHARE ROW EXCLUSIVE MODE');
    const inserted = await tx.execute(
      `INSERT INTO background_jobs (id, kind, job, asked_by, status, requested_at, not_before)
       SELECT $1, $2, $3::jsonb, $4, 'waiting', $5, $5
       WHERE (SELECT count(*) FROM background_jobs WHERE status IN ('waiting', 'running')) < $6`,
      [id, kind, JSON.stringify(job), askedBy, requestedAt, maxOpen],
    );
    return inserted === 1;
  }

  /** Whether anything waits, runs, or is to be removed. */
  async hasWork(nowMs: number): Promise<boolean> {
    const [row] = await this.db.query<{ hasWork: boolean }>(
      `SELECT EXISTS (SELECT FROM background_jobs WHERE status IN ('waiting', 'running'))
           OR EXISTS (SELECT FROM background_jobs WHERE finished_at <= $1::int8) AS "hasWork"`,
      [nowMs - keptMs],
    );
    return row?.hasWork === true;
  }

  waiting(nowMs: number): Promise<OpenJob[]> {
    return this.#open(`j.status = 'waiting' AND j.not_before <= $1 ORDER BY j.not_before, j.id LIMIT $2`, [
      nowMs,
      maxOpen,
    ]);
  }

  running(): Promise<OpenJob[]> {
    return this.#open(`j.status = 'running' ORDER BY j.id LIMIT $1`, [maxOpen]);
  }

  async begin({ run: { id } }: OpenJob, nowMs: number): Promise<OpenJob | null> {
    const [job] = await this.db.query<BackgroundJob>(
      `UPDATE background_jobs j SET status = 'running', attempts = attempts + 1, started_at = $2, done = NULL, total = NULL
       WHERE j.id = $1 AND j.status = 'waiting' RETURNING ${BACKGROUND_JOB_FIELDS}`,
      [id, nowMs],
    );
    return job === undefined ? null : openOf(job);
  }

  async stillRunning(ids: readonly Uuid[]): Promise<ReadonlySet<Uuid>> {
    const rows = await this.db.query<{ id: Uuid }>(
      `SELECT id FROM background_jobs WHERE id = ANY ($1::uuid[]) AND status = 'running'`,
      [ids],
    );
    return new Set(rows.map(({ id }) => id));
  }

  async saveProgress(progress: ReadonlyMap<Uuid, JobProgress>): Promise<void> {
    const all = [...progress.values()];
    await this.db.execute(
      `UPDATE background_jobs j SET done = p.done, total = p.total
       FROM unnest($1::uuid[], $2::int8[], $3::int8[]) AS p (id, done, total)
       WHERE j.id = p.id AND j.status = 'running'`,
      [[...progress.keys()], all.map(({ done }) => done), all.map(({ total }) => total)],
    );
  }

  async finish({ id, attempts }: OpenJob['run'], { isDone, note, result }: JobResult, nowMs: number): Promise<boolean> {
    const finished = await this.db.execute(
      `UPDATE background_jobs SET status = $3, finished_at = $4, note = $5, result = $6::jsonb, error_code = NULL,
              error_message = NULL
       WHERE id = $1 AND attempts = $2 AND status = 'running'`,
      [id, attempts, isDone ? 'done' : 'failed', nowMs, shortened(note), JSON.stringify(result)],
    );
    return finished === 1;
  }

  async fail(
    { id, attempts }: OpenJob['run'],
    { code, message }: AttemptFailure,
    againAt: number | null,
    nowMs: number,
  ): Promise<boolean> {
    const failed = await this.db.execute(
      `UPDATE background_jobs SET status = $3, not_before = coalesce($4, not_before), finished_at = $5, error_code = $6,
              error_message = $7
       WHERE id = $1 AND attempts = $2 AND status = 'running'`,
      [
        ...[id, attempts, againAt === null ? 'failed' : 'waiting', againAt, againAt === null ? nowMs : null, code],
        shortened(message),
      ],
    );
    return failed === 1;
  }

  async putBack({ id, attempts }: OpenJob['run']): Promise<void> {
    await this.db.execute(
      `UPDATE background_jobs SET status = 'waiting', attempts = attempts - 1
       WHERE id = $1 AND attempts = $2 AND status = 'running'`,
      [id, attempts],
    );
  }

  /** False where it is over, or there is none. */
  async cancel(id: Uuid, nowMs: number): Promise<boolean> {
    const cancelled = await this.db.execute(
      `UPDATE background_jobs SET status = 'cancelled', finished_at = $2
       WHERE id = $1 AND status IN ('waiting', 'running')`,
      [id, nowMs],
    );
    return cancelled === 1;
  }

  async sweep(): Promise<void> {
    await this.db.execute(
      `DELETE FROM background_jobs WHERE finished_at IS NOT NULL AND id IN (
         SELECT id FROM background_jobs WHERE finished_at IS NOT NULL
         ORDER BY finished_at DESC, id DESC OFFSET $1 LIMIT 1000)`,
      [maxKept],
    );
  }

  /** Those whose time is over. */
  async removeExpired(nowMs: number): Promise<void> {
    await this.db.execute('DELETE FROM background_jobs WHERE finished_at <= $1::int8', [nowMs - keptMs]);
  }

  async #open(rest: string, values: readonly unknown[]): Promise<OpenJob[]> {
    const jobs = await this.db.query<BackgroundJob>(
      `SELECT ${BACKGROUND_JOB_FIELDS} FROM background_jobs j WHERE ${rest}`,
      values,
    );
    return jobs.map(openOf);
  }
}

/** Whatever was asked for when is of that instant, in each attempt. */
function openOf({ id, kind, job, attempts, startedAt, notBefore, requestedAt }: BackgroundJob): OpenJob {
  return {
    run: { id, attempts, startedAt, notBefore, requestedAt, dueAt: requestedAt },
    terms: { kind, job, zone: 'UTC', maxAttempts, timeoutMs },
  };
}

function shortened(text: string): string {
  return text.slice(0, SCHEDULE_LIMITS.maxNoteLength);
}
