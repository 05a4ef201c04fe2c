import { uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';

/**
 * Whether events name one of these identifiers that still hang on a value which counts for nobody by now. Until they are
 * moved, whoever only those name is no profile.
 */
export async function isNamedByMisplaced(db: Queryable, ids: readonly Uuid[]): Promise<boolean> {
  const rows = await db.query(
    `SELECT FROM generic_values g WHERE g.is_generic AND g.value_id <> ALL ($1::uuid[]) AND EXISTS (
       SELECT FROM evidence v WHERE v.anchor_id = g.value_id AND v.identifier_ids && $1::uuid[]
     ) LIMIT 1`,
    [uuidArray(ids, (id) => id)],
  );
  return rows.length > 0;
}
