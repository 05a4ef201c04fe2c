import type { Queryable } from '../platform/postgres.js';

/**
 * Of the erasures whose events have gone from the log, how many there are and when the newest was through: a text that is
 * another one after each. What was made of events that were read under another text may have somebody in it who is erased.
 */
export async function readErasureMark(db: Queryable): Promise<string> {
  const [row] = await db.query<{ count: number; newestMs: number }>(
    `SELECT count(*)::int8 AS count, coalesce(max(finished_at), 0)::int8 AS "newestMs"
     FROM retractions WHERE erasure_id IS NOT NULL AND status = 'done'`,
  );
  return JSON.stringify([row?.count, row?.newestMs]);
}
