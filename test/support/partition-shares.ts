import type { Queryable } from '../../src/platform/postgres.js';

/** How many partitions each holder has, the smallest share first; a holder may be gone without a word. */
export async function partitionShares(db: Queryable): Promise<number[]> {
  const rows = await db.query<{ n: number }>(
    'SELECT count(*)::int4 AS n FROM partitions WHERE holder IS NOT NULL GROUP BY holder ORDER BY n',
  );
  return rows.map((row) => row.n);
}
