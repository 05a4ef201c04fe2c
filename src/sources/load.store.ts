import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import type { LoadCounts } from './load.model.js';

export interface LoadKey {
  readonly sourceId: number;
  readonly fileHash: string;
  readonly mappingHash: string;
}

export type LoadStatus = 'running' | 'done' | 'failed';

export interface LoadRecord extends LoadCounts {
  readonly id: Uuid;
  readonly timeShiftMs: number;
  readonly emit: boolean;
  readonly status: LoadStatus;
  readonly startedAt: number;
  /** Null while it is running. */
  readonly finishedAt: number | null;
}

export interface NewLoad extends LoadKey {
  readonly id: Uuid;
  readonly fileName: string;
  readonly timeShiftMs: number;
  readonly emit: boolean;
  readonly startedAt: number;
}

const FIELDS = `id, time_shift_ms AS "timeShiftMs", emit, status, started_at AS "startedAt",
  finished_at AS "finishedAt", rows_read AS "rowsRead", rows_skipped AS "rowsSkipped", accepted, duplicates, refused,
  identifiers_dropped AS dropped`;

/** Rows of `loads`. */
export class LoadStore {
  constructor(private readonly db: Queryable) {}

  async find(key: LoadKey): Promise<LoadRecord | null> {
    const rows = await this.db.query<LoadRecord>(
      `SELECT ${FIELDS} FROM loads WHERE source_id = $1 AND file_hash = $2 AND mapping_hash = $3`,
      [key.sourceId, key.fileHash, key.mappingHash],
    );
    return rows[0] ?? null;
  }

  /** Leaves a load that is there already as it is. */
  async insert(load: NewLoad): Promise<void> {
    await this.db.execute(
      `INSERT INTO loads
         (id, source_id, file_hash, file_name, mapping_hash, time_shift_ms, emit, status, started_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, 'running', $8)
       ON CONFLICT (source_id, file_hash, mapping_hash) DO NOTHING`,
      [
        load.id,
        load.sourceId,
        load.fileHash,
        load.fileName,
        load.mappingHash,
        load.timeShiftMs,
        load.emit,
        load.startedAt,
      ],
    );
  }

  /** @param finishedAt null while it is running. */
  async update(id: Uuid, status: LoadStatus, counts: LoadCounts, finishedAt: number | null): Promise<void> {
    await this.db.execute(
      `UPDATE loads
          SET status = $2, finished_at = $3, rows_read = $4, rows_skipped = $5, accepted = $6, duplicates = $7,
              refused = $8, identifiers_dropped = $9::jsonb
        WHERE id = $1`,
      [
        id,
        status,
        finishedAt,
        counts.rowsRead,
        counts.rowsSkipped,
        counts.accepted,
        counts.duplicates,
        counts.refused,
        JSON.stringify(counts.dropped),
      ],
    );
  }

  /** Dead letters of a load by code, all its runs together. */
  async countRefused(id: Uuid): Promise<Record<string, number>> {
    const rows = await this.db.query<{ code: string; count: number }>(
      `SELECT code, count(*)::int8 AS count FROM dead_letters WHERE load_id = $1 GROUP BY code ORDER BY 2 DESC, 1`,
      [id],
    );
    return Object.fromEntries(rows.map(({ code, count }) => [code, count]));
  }
}
