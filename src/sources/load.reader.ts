import { GREATEST_ID, type Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import type { LoadStatus } from './load.model.js';

/** A load as people see it. */
export interface LoadSummary {
  readonly id: Uuid;
  readonly source: string;
  readonly fileName: string;
  readonly status: LoadStatus;
  readonly emit: boolean;
  readonly rows: number;
  readonly accepted: number;
  readonly duplicates: number;
  readonly refused: number;
  /** ms */
  readonly startedAt: number;
  /** When it ended, or was reverted, ms; null while it is running. */
  readonly finishedAt: number | null;
  /** Of a load that is or was reverted: events when that began, and how many are taken back; null of others. */
  readonly eventsToRemove: number | null;
  readonly eventsRemoved: number | null;
  /** Of the records of entities that it brought in, likewise. */
  readonly recordsToRemove: number | null;
  readonly recordsRemoved: number | null;
  /** Why its revert was given up; null unless it was. Reverting it again goes on. */
  readonly revertFailure: string | null;
}

export interface LoadPlace {
  readonly startedAt: number;
  readonly id: Uuid;
}

export const MAX_LOAD_PAGE = 1_000;

const SUMMARY = `SELECT l.id, s.key AS source, l.file_name AS "fileName", l.status, l.emit, l.rows_read AS rows, l.accepted,
  l.duplicates, l.refused, l.started_at AS "startedAt", l.finished_at AS "finishedAt", r.events AS "eventsToRemove",
  r.removed AS "eventsRemoved", r.records AS "recordsToRemove", r.removed_records AS "recordsRemoved", CASE WHEN r.status = 'failed' THEN coalesce(r.reason, '') END AS "revertFailure"
  FROM loads l JOIN sources s ON s.id = l.source_id LEFT JOIN retractions r ON r.load_id = l.id`;

/** What the rows of a load were mapped with. */
export interface LoadSettings {
  readonly status: LoadStatus;
  readonly fileHash: string;
  /** Null of a load from before mappings were kept. */
  readonly mapping: string | null;
  readonly timeShiftMs: number;
  readonly emit: boolean;
  readonly startedAt: number;
}

/** Reads what other modules need to know of loads. */
export class LoadReader {
  constructor(private readonly db: Queryable) {}

  /** The newest first; those before a place. At most {@link MAX_LOAD_PAGE}. */
  async page(before: LoadPlace | null, limit: number): Promise<LoadSummary[]> {
    return this.db.query<LoadSummary>(
      `${SUMMARY} WHERE (l.started_at, l.id) < ($1::int8, $2::uuid) ORDER BY l.started_at DESC, l.id DESC LIMIT $3`,
      [before?.startedAt ?? Number.MAX_SAFE_INTEGER, before?.id ?? GREATEST_ID, Math.min(limit, MAX_LOAD_PAGE)],
    );
  }

  async find(id: Uuid): Promise<LoadSummary | null> {
    const [row] = await this.db.query<LoadSummary>(`${SUMMARY} WHERE l.id = $1`, [id]);
    return row ?? null;
  }

  async settings(loadId: Uuid): Promise<LoadSettings | null> {
    const [row] = await this.db.query<LoadSettings>(
      `SELECT status, file_hash AS "fileHash", mapping, time_shift_ms AS "timeShiftMs", emit, started_at AS "startedAt"
       FROM loads WHERE id = $1`,
      [loadId],
    );
    return row ?? null;
  }

  /** Names of the files of loads, without folders. */
  async fileNames(loadIds: readonly Uuid[]): Promise<ReadonlyMap<Uuid, string>> {
    if (loadIds.length === 0) return new Map();
    const rows = await this.db.query<{ id: Uuid; name: string }>(
      'SELECT id, file_name AS name FROM loads WHERE id = ANY ($1::uuid[])',
      [loadIds],
    );
    return new Map(rows.map(({ id, name }) => [id, name]));
  }
}
