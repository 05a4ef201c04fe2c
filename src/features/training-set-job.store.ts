import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import { JOB_FIELDS, LABEL_FILE_FIELDS } from './training-set-job.reader.js';
import {
  TRAINING_SET_JOB_LIMITS,
  type CreatedPlace,
  type JobStop,
  type LabelFile,
  type LabelStorage,
  type TrainingSetJob,
  type TrainingSetSpec,
} from './training-set-job.model.js';

export interface FinishedSet {
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
}

/** What went with a lost folder. */
export interface ForgottenExports {
  readonly labelFiles: number;
  /** Of which there were files. */
  readonly sets: number;
  /** All that were asked for of these labels. */
  readonly jobs: number;
}

/** Rows that are read at a time; who wants all goes on behind the last. */
const MAX_AT_ONCE = 1_000;
const MAX_MESSAGE_LENGTH = 1_000;

/** Rows of `label_files` and `training_set_jobs`. */
export class TrainingSetJobStore {
  constructor(private readonly db: Queryable) {}

  // --- label files ----------------------------------------------------------------------------------------------------

  async insertLabelFile({
    id,
    name,
    createdAt,
    expiresAt,
  }: Pick<LabelFile, 'id' | 'name' | 'createdAt' | 'expiresAt'>) {
    await this.db.execute(
      `INSERT INTO label_files (id, name, status, created_at, heard_at, expires_at)
       VALUES ($1, $2, 'receiving', $3, $3, $4)`,
      [id, name, createdAt, expiresAt],
    );
  }

  /** It is still received. */
  async heard(id: Uuid, nowMs: number): Promise<void> {
    await this.db.execute(`UPDATE label_files SET heard_at = $2 WHERE id = $1 AND status = 'receiving'`, [id, nowMs]);
  }

  /** False where it is gone. */
  async setReady(
    id: Uuid,
    kept: Pick<LabelFile, 'bytes' | 'rows' | 'leftOutRows' | 'columns'> & {
      readonly storedAs: LabelStorage;
      readonly sha256: string;
    },
  ): Promise<boolean> {
    const { storedAs, sha256, bytes, rows, leftOutRows, columns } = kept;
    const changed = await this.db.execute(
      `UPDATE label_files SET status = 'ready', stored_as = $2, sha256 = $3, bytes = $4, row_count = $5,
              left_out_rows = $6, columns = $7
       WHERE id = $1 AND status = 'receiving'`,
      [id, storedAs, sha256, bytes, rows, leftOutRows, columns],
    );
    return changed === 1;
  }

  /** From here on no set is made of it; false where there is none that can be used. */
  async doom(id: Uuid): Promise<boolean> {
    const changed = await this.db.execute(
      `UPDATE label_files SET status = 'doomed' WHERE id = $1 AND status = 'ready'`,
      [id],
    );
    return changed === 1;
  }

  async removeLabelFile(id: Uuid): Promise<void> {
    await this.db.execute('DELETE FROM label_files WHERE id = $1', [id]);
  }

  async keepUntil(id: Uuid, expiresAt: number): Promise<void> {
    await this.db.execute('UPDATE label_files SET expires_at = greatest(expires_at, $2) WHERE id = $1', [
      id,
      expiresAt,
    ]);
  }

  /** Ids of all that are there in some way, which are as many as may be kept (`maxLabelFiles`). */
  async labelFileIds(): Promise<Uuid[]> {
    return (await this.db.query<{ id: Uuid }>('SELECT id FROM label_files')).map(({ id }) => id);
  }

  /** How many of these are there, and how many of them are still being received. */
  async standing(ids: readonly Uuid[]): Promise<{ readonly all: number; readonly receiving: number }> {
    const [row] = await this.db.query<{ all: number; receiving: number }>(
      `SELECT count(*)::int8 AS all, count(*) FILTER (WHERE status = 'receiving')::int8 AS receiving
       FROM label_files WHERE id = ANY($1::uuid[])`,
      [ids],
    );
    return row ?? { all: 0, receiving: 0 };
  }

  /** Some of all that are there in some way, the oldest first, those after a place; none: there are no more. */
  async labelFiles(after: CreatedPlace | null): Promise<LabelFile[]> {
    return this.db.query<LabelFile>(
      `SELECT ${LABEL_FILE_FIELDS} FROM label_files f
       WHERE $1::int8 IS NULL OR (f.created_at, f.id) > ($1::int8, $2::uuid)
       ORDER BY f.created_at, f.id LIMIT ${String(MAX_AT_ONCE)}`,
      [after?.createdAt ?? null, after?.id ?? null],
    );
  }

  /**
   * Those that are to go: their time is over and no job needs them, or they are doomed, or nobody receives them any more.
   * @param receivingSinceMs those that are received since then or before, ms
   * @param heardMs and those whose receiver was heard of then at last, ms
   */
  async leaving(nowMs: number, receivingSinceMs: number, heardMs: number): Promise<LabelFile[]> {
    return this.db.query<LabelFile>(
      `SELECT ${LABEL_FILE_FIELDS} FROM label_files f
       WHERE (f.status = 'doomed' OR (f.status = 'ready' AND f.expires_at <= $1)
          OR (f.status = 'receiving' AND (f.created_at <= $2 OR coalesce(f.heard_at, f.created_at) <= $3)))
         AND NOT EXISTS (SELECT FROM training_set_jobs j WHERE j.label_file_id = f.id AND j.status = 'running')
         AND (f.status <> 'ready' OR NOT EXISTS (
           SELECT FROM training_set_jobs j WHERE j.label_file_id = f.id AND j.status = 'waiting'))
       ORDER BY f.created_at, f.id LIMIT ${String(MAX_AT_ONCE)}`,
      [nowMs, receivingSinceMs, heardMs],
    );
  }

  /**
   * Forgets label files whose folder is lost, with all that was or was to be made of them.
   * @param expiredMs those alone whose time was over by then, ms; null: all
   */
  async forgetLost(
    expiredMs: number | null,
    nowMs: number,
    why: { readonly code: string; readonly message: string },
  ): Promise<ForgottenExports> {
    const [row] = await this.db.query<ForgottenExports>(
      `WITH kept AS (
         SELECT label_file_id FROM training_set_jobs WHERE bytes IS NOT NULL),
       lost AS (
         DELETE FROM label_files WHERE $1::int8 IS NULL OR expires_at <= $1::int8 RETURNING id),
       ended AS (
         UPDATE training_set_jobs SET
           status = CASE WHEN status IN ('waiting', 'running') THEN 'failed' ELSE status END,
           finished_at = coalesce(finished_at, $2), stop = NULL, bytes = NULL, expires_at = NULL,
           error_code = coalesce(error_code, $3), error_message = coalesce(error_message, $4)
         WHERE label_file_id IN (SELECT id FROM lost) RETURNING label_file_id)
       SELECT (SELECT count(*) FROM lost)::int8 AS "labelFiles",
              (SELECT count(*) FROM kept WHERE label_file_id IN (SELECT id FROM lost))::int8 AS sets,
              (SELECT count(*) FROM ended)::int8 AS jobs`,
      [expiredMs, nowMs, why.code, why.message],
    );
    return row ?? { labelFiles: 0, sets: 0, jobs: 0 };
  }

  /** Any folder may become the one of the installation. */
  async forgetFolder(): Promise<void> {
    await this.db.execute('DELETE FROM export_folders WHERE NOT EXISTS (SELECT FROM label_files)');
  }

  /** Bytes of all that is kept, and how many label files there are. */
  async kept(): Promise<{ readonly bytes: number; readonly labelFiles: number }> {
    const [row] = await this.db.query<{ bytes: number; labelFiles: number }>(
      `SELECT (f.bytes + (SELECT coalesce(sum(bytes), 0) FROM training_set_jobs))::int8 AS bytes,
              f.count::int8 AS "labelFiles"
       FROM (SELECT coalesce(sum(bytes), 0) AS bytes, count(*) AS count FROM label_files) f`,
    );
    return row ?? { bytes: 0, labelFiles: 0 };
  }

  /** Whether anything is kept, or to be made. */
  async hasWork(): Promise<boolean> {
    const [row] = await this.db.query<{ has: boolean }>(
      `SELECT EXISTS (SELECT FROM label_files)
           OR EXISTS (SELECT FROM training_set_jobs WHERE status IN ('waiting', 'running')) AS has`,
    );
    return row?.has === true;
  }

  // --- jobs -----------------------------------------------------------------------------------------------------------

  async openJobs(): Promise<number> {
    const [row] = await this.db.query<{ count: number }>(
      `SELECT count(*)::int8 AS count FROM training_set_jobs WHERE status IN ('waiting', 'running')`,
    );
    return row?.count ?? 0;
  }

  /** False where the labels are gone by now. */
  async insertJob(job: {
    readonly id: Uuid;
    readonly labelFileId: Uuid;
    readonly spec: TrainingSetSpec;
    readonly askedBy: string;
    readonly createdAt: number;
    readonly totalRows: number;
  }): Promise<boolean> {
    const { id, labelFileId, spec, askedBy, createdAt, totalRows } = job;
    const inserted = await this.db.execute(
      `INSERT INTO training_set_jobs (id, label_file_id, spec, status, asked_by, created_at, not_before, total_rows)
       SELECT $1, f.id, $3::jsonb, 'waiting', $4, $5, $5, $6 FROM label_files f
       WHERE f.id = $2 AND f.status = 'ready' FOR SHARE`,
      [id, labelFileId, JSON.stringify(spec), askedBy, createdAt, totalRows],
    );
    return inserted === 1;
  }

  /** The first that may begin now. */
  async nextWaiting(nowMs: number): Promise<TrainingSetJob | null> {
    const [row] = await this.db.query<TrainingSetJob>(
      `SELECT ${JOB_FIELDS} FROM training_set_jobs j WHERE j.status = 'waiting' AND j.stop IS NULL AND j.not_before <= $1
       ORDER BY j.not_before, j.id LIMIT 1`,
      [nowMs],
    );
    return row ?? null;
  }

  async running(): Promise<TrainingSetJob[]> {
    return this.db.query<TrainingSetJob>(`SELECT ${JOB_FIELDS} FROM training_set_jobs j WHERE j.status = 'running'`);
  }

  /** The job as it is then; null where it does not wait any more. */
  async begin(id: Uuid, nowMs: number): Promise<TrainingSetJob | null> {
    const [row] = await this.db.query<TrainingSetJob>(
      `UPDATE training_set_jobs j SET status = 'running', attempts = attempts + 1, started_at = $2, done_rows = 0,
              events = 0
       WHERE j.id = $1 AND j.status = 'waiting' AND j.stop IS NULL RETURNING ${JOB_FIELDS}`,
      [id, nowMs],
    );
    return row ?? null;
  }

  /** Notes how far a job is; what it is told by now, null: nothing. */
  async progress(id: Uuid, doneRows: number, events: number): Promise<JobStop | null> {
    const [row] = await this.db.query<{ stop: JobStop | null }>(
      `UPDATE training_set_jobs SET done_rows = $2, events = $3 WHERE id = $1 AND status = 'running' RETURNING stop`,
      [id, doneRows, events],
    );
    return row?.stop ?? null;
  }

  /** False where it was told to stop meanwhile. */
  async finish({ id, attempts }: TrainingSetJob, set: FinishedSet, nowMs: number, expiresAt: number): Promise<boolean> {
    const changed = await this.db.execute(
      `UPDATE training_set_jobs SET status = 'done', finished_at = $3, expires_at = $4, total_rows = $5, done_rows = $5,
              bytes = $6, sha256 = $7, error_code = NULL, error_message = NULL
       WHERE id = $1 AND attempts = $2 AND status = 'running' AND stop IS NULL`,
      [id, attempts, nowMs, expiresAt, set.rows, set.bytes, set.sha256],
    );
    return changed === 1;
  }

  async end(id: Uuid, status: 'failed' | 'cancelled', nowMs: number, error: { code: string; message: string } | null) {
    await this.db.execute(
      `UPDATE training_set_jobs SET status = $2, finished_at = $3, error_code = coalesce($4, error_code),
              error_message = coalesce($5, error_message), stop = NULL
       WHERE id = $1 AND status IN ('waiting', 'running')`,
      [id, status, nowMs, error?.code ?? null, error?.message.slice(0, MAX_MESSAGE_LENGTH) ?? null],
    );
  }

  /** Another attempt. @param isCounted whether the one that ended counts */
  async putBack(id: Uuid, notBefore: number, isCounted: boolean, error: { code: string; message: string } | null) {
    await this.db.execute(
      `UPDATE training_set_jobs SET status = 'waiting', not_before = $2, attempts = attempts - $3, error_code = $4,
              error_message = $5
       WHERE id = $1 AND status = 'running'`,
      [id, notBefore, isCounted ? 0 : 1, error?.code ?? null, error?.message.slice(0, MAX_MESSAGE_LENGTH) ?? null],
    );
  }

  /** Of one that was never begun: at once; of others soon, with what is kept of them. Null: it is over, or there is none. */
  async cancel(id: Uuid, nowMs: number): Promise<TrainingSetJob | null> {
    const [row] = await this.db.query<TrainingSetJob>(
      `UPDATE training_set_jobs j SET
         status = CASE WHEN started_at IS NULL THEN 'cancelled' ELSE status END,
         finished_at = CASE WHEN started_at IS NULL THEN $2::int8 END,
         stop = CASE WHEN started_at IS NOT NULL THEN 'cancelled' END
       WHERE j.id = $1 AND j.status IN ('waiting', 'running') RETURNING ${JOB_FIELDS}`,
      [id, nowMs],
    );
    return row ?? null;
  }

  /** Ends all jobs of a label file that are not over. */
  async cancelOf(labelFileId: Uuid, nowMs: number, why: { readonly code: string; readonly message: string }) {
    await this.db.execute(
      `UPDATE training_set_jobs SET
         status = CASE WHEN status = 'waiting' THEN 'cancelled' ELSE status END,
         finished_at = CASE WHEN status = 'waiting' THEN $2::int8 END,
         stop = CASE WHEN status = 'running' THEN 'cancelled' END,
         error_code = $3, error_message = $4
       WHERE label_file_id = $1 AND status IN ('waiting', 'running')`,
      [labelFileId, nowMs, why.code, why.message],
    );
  }

  /** Has all that are not over begin anew. */
  async restartAll(): Promise<void> {
    await this.db.execute(
      `UPDATE training_set_jobs SET stop = 'anew' WHERE status IN ('waiting', 'running') AND stop IS NULL`,
    );
  }

  /** Whether any has still to begin anew. */
  async isRestarting(): Promise<boolean> {
    const rows = await this.db.query(
      `SELECT FROM training_set_jobs WHERE status IN ('waiting', 'running') AND stop = 'anew' LIMIT 1`,
    );
    return rows.length > 0;
  }

  /** It has nothing any more that it could go on with. */
  async isAnew(id: Uuid): Promise<void> {
    await this.db.execute(`UPDATE training_set_jobs SET stop = NULL WHERE id = $1 AND stop = 'anew'`, [id]);
  }

  /** Those that wait and were told to end, or to begin anew. */
  async stoppedWaiting(): Promise<TrainingSetJob[]> {
    return this.db.query<TrainingSetJob>(
      `SELECT ${JOB_FIELDS} FROM training_set_jobs j WHERE j.status = 'waiting' AND j.stop IS NOT NULL
       ORDER BY j.id LIMIT ${String(MAX_AT_ONCE)}`,
    );
  }

  /** Some of those whose files are there, the first that were finished first, those after one; none: there are no more. */
  async withFiles(after: Pick<TrainingSetJob, 'finishedAt' | 'id'> | null = null): Promise<TrainingSetJob[]> {
    return this.db.query<TrainingSetJob>(
      `SELECT ${JOB_FIELDS} FROM training_set_jobs j
       WHERE j.status = 'done' AND j.bytes IS NOT NULL
         AND ($1::int8 IS NULL OR (j.finished_at, j.id) > ($1::int8, $2::uuid))
       ORDER BY j.finished_at, j.id LIMIT ${String(MAX_AT_ONCE)}`,
      [after?.finishedAt ?? null, after?.id ?? null],
    );
  }

  /** Its files are gone. */
  async forgetFiles(id: Uuid, why: { readonly code: string; readonly message: string } | null): Promise<void> {
    await this.db.execute(
      `UPDATE training_set_jobs SET bytes = NULL, expires_at = NULL, error_code = $2, error_message = $3 WHERE id = $1`,
      [id, why?.code ?? null, why?.message ?? null],
    );
  }

  async forgetFilesOf(labelFileId: Uuid, why: { readonly code: string; readonly message: string } | null) {
    await this.db.execute(
      `UPDATE training_set_jobs SET bytes = NULL, expires_at = NULL, error_code = coalesce(error_code, $2),
              error_message = coalesce(error_message, $3)
       WHERE label_file_id = $1 AND bytes IS NOT NULL`,
      [labelFileId, why?.code ?? null, why?.message ?? null],
    );
  }

  /** Forgets the oldest of those that are over and have no files, beyond those that are kept. */
  async sweepJobs(): Promise<void> {
    await this.db.execute(
      `DELETE FROM training_set_jobs WHERE id IN (
         SELECT id FROM training_set_jobs WHERE status IN ('done', 'failed', 'cancelled') AND bytes IS NULL
         ORDER BY created_at DESC, id DESC OFFSET $1 LIMIT ${String(MAX_AT_ONCE)})`,
      [TRAINING_SET_JOB_LIMITS.keptJobs],
    );
  }
}
