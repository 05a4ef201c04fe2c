import { uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import type { RemovedWord } from './removed-word.model.js';

/**
 * The words on purposes of these anchors whose events a retention removed. To be read after the log: what is removed
 * between the two reads is found in one of them.
 */
export async function readRemovedWords(db: Queryable, anchorIds: readonly Uuid[]): Promise<RemovedWord[]> {
  return db.query<RemovedWord>(
    `SELECT anchor_id AS "anchorId", purpose, CASE WHEN is_denial THEN 'denied' ELSE 'granted' END AS status,
            expires_at AS "expiresAt", occurred_at AS "occurredAt", source_id AS "sourceId", since AS "sinceMs"
     FROM removed_words WHERE anchor_id = ANY ($1::uuid[]) ORDER BY anchor_id, purpose, is_denial`,
    [uuidArray(anchorIds, (id) => id)],
  );
}
