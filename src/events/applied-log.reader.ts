import type { Queryable, Transaction } from '../platform/postgres.js';
import type { LogProgress } from './applied-watch.js';

/** Every event up to here is applied, by whichever worker. */
export async function readAppliedPos(db: Queryable): Promise<number> {
  const [row] = await db.query<{ pos: number | null }>('SELECT min(applied_pos) AS pos FROM partitions');
  return row?.pos ?? 0;
}

/** The same and the end of the log, of one snapshot. */
export async function readLogProgress(db: Queryable): Promise<LogProgress> {
  const { rows } = await db.run<LogProgress>({
    name: 'log-progress',
    text: `SELECT coalesce(min(applied_pos), 0) AS "appliedPos", (SELECT pos FROM log_head) AS "headPos" FROM partitions`,
    values: [],
  });
  return rows[0] ?? { appliedPos: 0, headPos: 0 };
}

/** When the newest event that each partition has applied was accepted, ms; 0 where there is none. */
export async function readAppliedAt(tx: Transaction): Promise<Map<number, number>> {
  const { rows } = await tx.run<{ part: number; at: number }>({
    name: 'partitions-applied-at',
    text: `SELECT p.part, coalesce(e.accepted_at, 0)::int8 AS at FROM partitions p
           LEFT JOIN LATERAL (SELECT accepted_at FROM event_log WHERE pos <= p.applied_pos ORDER BY pos DESC LIMIT 1) e
             ON true`,
    values: [],
  });
  return new Map(rows.map((row) => [row.part, row.at]));
}
