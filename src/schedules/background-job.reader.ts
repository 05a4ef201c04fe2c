import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import { BACKGROUND_JOB_LIMITS, type BackgroundJob, type BackgroundJobPlace } from './background-job.model.js';

export const BACKGROUND_JOB_FIELDS = `j.id, j.kind, j.job, j.asked_by AS "askedBy", j.status,
  j.requested_at AS "requestedAt", j.attempts, j.not_before AS "notBefore", j.started_at AS "startedAt",
  j.finished_at AS "finishedAt", j.done, j.total, j.note, j.result, j.error_code AS "errorCode",
  j.error_message AS "errorMessage"`;

const { keptMs } = BACKGROUND_JOB_LIMITS;

/** Jobs as people ask for them: those that are over as long as they are kept, whether or not they are removed by then. */
export class BackgroundJobReader {
  constructor(private readonly db: Queryable) {}

  async job(id: Uuid, nowMs: number): Promise<BackgroundJob | null> {
    const [row] = await this.db.query<BackgroundJob>(
      `SELECT ${BACKGROUND_JOB_FIELDS} FROM background_jobs j
       WHERE j.id = $1 AND (j.finished_at IS NULL OR j.finished_at > $2::int8)`,
      [id, nowMs - keptMs],
    );
    return row ?? null;
  }

  /** The newest first, those after a place. */
  async jobs(after: BackgroundJobPlace | null, limit: number, nowMs: number): Promise<BackgroundJob[]> {
    return this.db.query<BackgroundJob>(
      `SELECT ${BACKGROUND_JOB_FIELDS} FROM background_jobs j
       WHERE ($1::int8 IS NULL OR (j.requested_at, j.id) < ($1::int8, $2::uuid))
         AND (j.finished_at IS NULL OR j.finished_at > $4::int8)
       ORDER BY j.requested_at DESC, j.id DESC LIMIT $3`,
      [after?.requestedAt ?? null, after?.id ?? null, limit, nowMs - keptMs],
    );
  }
}
