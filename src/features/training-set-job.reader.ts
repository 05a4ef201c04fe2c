import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import type { CreatedPlace, LabelFile, TrainingSetJob } from './training-set-job.model.js';

export const LABEL_FILE_FIELDS = `f.id, f.name, f.status, f.stored_as AS "storedAs", f.sha256, f.bytes, f.row_count AS rows,
  f.left_out_rows AS "leftOutRows", f.columns, f.created_at AS "createdAt", f.expires_at AS "expiresAt"`;

export const JOB_FIELDS = `j.id, j.label_file_id AS "labelFileId", j.spec, j.status, j.stop, j.asked_by AS "askedBy",
  j.created_at AS "createdAt", j.not_before AS "notBefore", j.started_at AS "startedAt", j.finished_at AS "finishedAt",
  j.expires_at AS "expiresAt", j.attempts, j.total_rows AS "totalRows", j.done_rows AS "doneRows", j.events, j.bytes,
  j.sha256, j.error_code AS "errorCode", j.error_message AS "errorMessage"`;

/** Label files and jobs, as people ask for them. */
export class TrainingSetJobReader {
  constructor(private readonly db: Queryable) {}

  async job(id: Uuid): Promise<TrainingSetJob | null> {
    const [row] = await this.db.query<TrainingSetJob>(`SELECT ${JOB_FIELDS} FROM training_set_jobs j WHERE j.id = $1`, [
      id,
    ]);
    return row ?? null;
  }

  /** The newest first, those after a place. */
  async jobs(after: CreatedPlace | null, limit: number): Promise<TrainingSetJob[]> {
    return this.db.query<TrainingSetJob>(
      `SELECT ${JOB_FIELDS} FROM training_set_jobs j
       WHERE $1::int8 IS NULL OR (j.created_at, j.id) < ($1::int8, $2::uuid)
       ORDER BY j.created_at DESC, j.id DESC LIMIT $3`,
      [after?.createdAt ?? null, after?.id ?? null, limit],
    );
  }

  /** Those that can be used. */
  async labelFile(id: Uuid): Promise<LabelFile | null> {
    const [row] = await this.db.query<LabelFile>(
      `SELECT ${LABEL_FILE_FIELDS} FROM label_files f WHERE f.id = $1 AND f.status = 'ready'`,
      [id],
    );
    return row ?? null;
  }

  /** Those that can be used; the newest first, those after a place. */
  async labelFiles(after: CreatedPlace | null, limit: number): Promise<LabelFile[]> {
    return this.db.query<LabelFile>(
      `SELECT ${LABEL_FILE_FIELDS} FROM label_files f
       WHERE f.status = 'ready' AND ($1::int8 IS NULL OR (f.created_at, f.id) < ($1::int8, $2::uuid))
       ORDER BY f.created_at DESC, f.id DESC LIMIT $3`,
      [after?.createdAt ?? null, after?.id ?? null, limit],
    );
  }
}
