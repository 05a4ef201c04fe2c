import type { Database } from '../../src/platform/postgres.js';

/** Evidence that hangs on values that count again and names somebody who is not of their component. */
export async function besideComponents(db: Database): Promise<unknown[]> {
  return db.query(
    `SELECT g.value, i.value AS named FROM generic_values g
     JOIN identifiers v ON v.id = g.value_id JOIN evidence e ON e.anchor_id = g.value_id
     CROSS JOIN LATERAL unnest(e.identifier_ids) u (id) LEFT JOIN identifiers i ON i.id = u.id
     WHERE NOT g.is_generic AND i.component_id IS DISTINCT FROM v.component_id`,
  );
}
