import { boolArray, int4Array, int8Array, textArray, uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable, Transaction } from '../platform/postgres.js';
import type { RemovedWord } from './removed-word.model.js';

/** No expiry, on the way in: after any that can be. */
const NEVER_MS = Number.MAX_SAFE_INTEGER;

/** Words on purposes whose events a retention removed. */
export class RemovedWordStore {
  /** @param words one for each anchor, purpose and status */
  async add(tx: Transaction, words: readonly RemovedWord[]): Promise<void> {
    if (words.length === 0) return;
    // In one order everywhere: two who add wait for each other, and not both at once.
    const sorted = [...words].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    await tx.query(
      `INSERT INTO removed_words AS w (anchor_id, purpose, is_denial, occurred_at, source_id, expires_at, since)
       SELECT anchor_id, purpose, is_denial, occurred_at, source_id, nullif(expires_at, ${String(NEVER_MS)}), since
       FROM unnest($1::uuid[], $2::text[], $3::bool[], $4::int8[], $5::int4[], $6::int8[], $7::int8[])
         AS n (anchor_id, purpose, is_denial, occurred_at, source_id, expires_at, since)
       ON CONFLICT (anchor_id, purpose, is_denial) DO UPDATE SET
         since = least(w.since, excluded.since),
         occurred_at = CASE WHEN ${IS_NEWER} THEN excluded.occurred_at ELSE w.occurred_at END,
         source_id = CASE WHEN ${IS_NEWER} THEN excluded.source_id ELSE w.source_id END,
         expires_at = CASE WHEN ${IS_NEWER} THEN excluded.expires_at ELSE w.expires_at END`,
      [
        uuidArray(sorted, ({ anchorId }) => anchorId),
        textArray(sorted, ({ purpose }) => purpose),
        boolArray(sorted, ({ status }) => status === 'denied'),
        int8Array(sorted, ({ occurredAt }) => occurredAt),
        int4Array(sorted, ({ sourceId }) => sourceId),
        int8Array(sorted, ({ expiresAt }) => expiresAt ?? NEVER_MS),
        int8Array(sorted, ({ sinceMs }) => sinceMs),
      ],
    );
  }

  /** Removes those of anchors of somebody who is erased. */
  async forget(tx: Queryable, anchorIds: readonly Uuid[]): Promise<void> {
    await tx.query('DELETE FROM removed_words WHERE anchor_id = ANY ($1::uuid[])', [uuidArray(anchorIds, (id) => id)]);
  }
}

const orderOf = (word: 'w' | 'excluded'): string =>
  `(${word}.occurred_at,
    CASE WHEN w.is_denial THEN 1 ELSE -1 END * coalesce(${word}.expires_at, ${String(NEVER_MS)}), ${word}.source_id)`;

/** As `newestRemoved`. */
const IS_NEWER = `${orderOf('excluded')} > ${orderOf('w')}`;

function keyOf({ anchorId, purpose, status }: RemovedWord): string {
  return `${anchorId} ${purpose} ${status}`;
}
