import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';

/** Before all others. */
const LEAST_ID: Uuid = '00000000-0000-0000-0000-000000000000';

/** Components by rising id, after a place. A component bears the id of one of its members. */
export async function componentsAfter(db: Queryable, place: Uuid | null, limit: number): Promise<Uuid[]> {
  const rows = await db.query<{ id: Uuid }>(
    'SELECT id FROM identifiers WHERE id > $1 AND component_id = id ORDER BY id LIMIT $2',
    [place ?? LEAST_ID, limit],
  );
  return rows.map(({ id }) => id);
}

/** About how many there are: one for each profile, which is nearly true, by the statistics of the database. */
export async function estimateComponents(db: Queryable): Promise<number | null> {
  const [row] = await db.query<{ n: number }>(
    `SELECT greatest(reltuples, 0)::int8 AS n FROM pg_class WHERE oid = 'profiles'::regclass`,
  );
  return row === undefined || row.n === 0 ? null : row.n;
}
