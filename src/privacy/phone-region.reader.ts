import type { Queryable } from '../platform/postgres.js';

/** The regions by which telephone numbers of sources are read, besides that of the rules: one for all that name it. */
export async function readPhoneRegions(db: Queryable): Promise<string[]> {
  const rows = await db.query<{ region: string }>(
    'SELECT DISTINCT region FROM sources WHERE region IS NOT NULL ORDER BY region',
  );
  return rows.map(({ region }) => region);
}
