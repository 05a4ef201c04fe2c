import { WeftError } from '../platform/errors.js';
import { isUuid, type Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import type { LoadCounts, LoadStatus } from './load.model.js';

export interface LoadKey {
  readonly sourceId: number;
  readonly fileHash: string;
  readonly mappingHash: string;
}

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
  /** The text of the mapping, by which refused rows are mapped again. */
  readonly mapping: string;
  readonly timeShiftMs: number;
  readonly emit: boolean;
  readonly startedAt: number;
}

/** Which load it is, for people. */
export interface LoadOrigin {
  readonly id: Uuid;
  /** Key of its source. */
  readonly source: string;
  readonly fileName: string;
  readonly status: LoadStatus;
  /** ms */
  readonly startedAt: number;
}

const FIELDS = `id, time_shift_ms AS "timeShiftMs", emit, status, started_at AS "startedAt",
  finished_at AS "finishedAt", rows_read AS "rowsRead", rows_skipped AS "rowsSkipped", accepted, duplicates, refused,
  identifiers_dropped AS dropped`;

/** Rows of `loads`. */
export class LoadStore {
  constructor(private readonly db: Queryable) {}

  /** The load of this file with this mapping that stands or is being reverted. */
  async find(key: LoadKey): Promise<LoadRecord | null> {
    const rows = await this.db.query<LoadRecord>(
      `SELECT ${FIELDS} FROM loads WHERE source_id = $1 AND file_hash = $2 AND mapping_hash = $3 AND status <> 'reverted'`,
      [key.sourceId, key.fileHash, key.mappingHash],
    );
    return rows[0] ?? null;
  }

  /** Null where there is none with this id. */
  async origin(id: string): Promise<LoadOrigin | null> {
    if (!isUuid(id)) return null;
    const rows = await this.db.query<LoadOrigin>(
      `SELECT l.id, s.key AS source, l.file_name AS "fileName", l.status, l.started_at AS "startedAt"
       FROM loads l JOIN sources s ON s.id = l.source_id WHERE l.id = $1`,
      [id],
    );
    return rows[0] ?? null;
  }

  /** Leaves a load that is there already as it is. */
  async insert(load: NewLoad): Promise<void> {
    await this.db.execute(
      `INSERT INTO loads
         (id, source_id, file_hash, file_name, mapping_hash, time_shift_ms, emit, status, started_at, mapping, is_marked)
       VALUES ($1, $2, $3, $4, $5, $6, $7, 'running', $8, $9, true)
       ON CONFLICT (source_id, file_hash, mapping_hash) WHERE status <> 'reverted' DO NOTHING`,
      [
        load.id,
        load.sourceId,
        load.fileHash,
        load.fileName,
        load.mappingHash,
        load.timeShiftMs,
        load.emit,
        load.startedAt,
        load.mapping,
      ],
    );
  }

  /**
   * @param finishedAt null while it is running
   * @throws WeftError CONFLICT if it is reverted, or about to be: what it sends is not written any more
   */
  async update(id: Uuid, status: LoadStatus, counts: LoadCounts, finishedAt: number | null): Promise<void> {
    const updated = await this.db.execute(
      `UPDATE loads
          SET status = $2, finished_at = $3, rows_read = $4, rows_skipped = $5, accepted = $6, duplicates = $7,
              refused = $8, identifiers_dropped = $9::jsonb
        WHERE id = $1 AND status NOT IN ('reverting', 'reverted')`,
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
    if (updated === 0) {
      throw new WeftError('CONFLICT', 'the load was reverted while it ran', {
        where: id,
        hint: 'load the file again once weft load list shows it reverted',
      });
    }
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
