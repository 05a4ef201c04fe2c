import type { Queryable } from '../platform/postgres.js';
import { ACTIVITY_KEPT_HOURS, HOUR_MS } from './source-activity.model.js';
import type { Anomaly, AnomalyKind } from './source-anomaly.model.js';

/** Rows of `source_anomalies`. Whatever number of processes do the same at once, each begin and end is told to one. */
export class SourceAnomalyStore {
  readonly #db: Queryable;

  constructor(db: Queryable) {
    this.#db = db;
  }

  /** Keeps an anomaly open, with what is expected and seen by now; true if it was not open before. */
  async open(sourceId: number, { kind, since, expected, seen }: Anomaly): Promise<boolean> {
    const [row] = await this.#db.query<{ isNew: boolean }>(
      `INSERT INTO source_anomalies AS a (source_id, kind, since, expected, seen)
       VALUES ($1::int4, $2::text, $3::int8, $4::int8, $5::int8)
       ON CONFLICT (source_id, kind) WHERE ended_at IS NULL
       DO UPDATE SET expected = excluded.expected, seen = excluded.seen
       RETURNING xmax = 0 AS "isNew"`,
      [sourceId, kind, since, expected, seen],
    );
    return row?.isNew === true;
  }

  /** Ends those that are open and not among `kinds`; returns what it ended. */
  async close(sourceId: number, kinds: readonly AnomalyKind[], nowMs: number): Promise<readonly AnomalyKind[]> {
    const rows = await this.#db.query<{ kind: AnomalyKind }>(
      `UPDATE source_anomalies SET ended_at = $3::int8
       WHERE source_id = $1::int4 AND ended_at IS NULL AND kind <> ALL ($2::text[]) RETURNING kind`,
      [sourceId, kinds, nowMs],
    );
    return rows.map(({ kind }) => kind);
  }

  /** Removes what ended longer ago than counts are kept. */
  async sweep(nowMs: number): Promise<void> {
    await this.#db.execute('DELETE FROM source_anomalies WHERE ended_at < $1::int8', [
      nowMs - ACTIVITY_KEPT_HOURS * HOUR_MS,
    ]);
  }
}
