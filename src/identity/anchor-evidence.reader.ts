import type { CanonicalKey, Identifier } from '../events/event.model.js';
import { uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable, Transaction } from '../platform/postgres.js';

/** What a row of evidence says, as the event that it stands for. */
export interface EvidenceOfAnchor extends CanonicalKey {
  readonly anchorId: Uuid;
  readonly setId: Uuid;
  /** Days since 1970-01-01, UTC. */
  readonly day: number;
  /** The anchor first. */
  readonly identifiers: readonly Identifier[];
  /** ms */
  readonly acceptedAt: number;
}

const PAGE_ROWS = 5_000;

/**
 * The evidence that hangs on these anchors, in pages, by anchor, with all that it names: identifiers, and values that count
 * for nobody. One at a time in a transaction.
 */
export async function* evidenceOfAnchors(
  tx: Transaction,
  anchorIds: readonly Uuid[],
): AsyncGenerator<readonly EvidenceOfAnchor[], void, undefined> {
  await tx.query(
    `DECLARE anchor_evidence NO SCROLL CURSOR FOR
     SELECT e.anchor_id AS "anchorId", e.set_id AS "setId", e.day, e.occurred_at AS "occurredAt",
            e.source_id AS "sourceId", e.message_id AS "messageId", e.known_at AS "acceptedAt", coalesce((
              SELECT json_agg(json_build_object('id', n.id, 'ns', coalesce(i.ns, g.ns), 'value', coalesce(i.value, g.value))
                              ORDER BY n.place)
              FROM unnest(e.identifier_ids) WITH ORDINALITY AS n (id, place)
              LEFT JOIN identifiers i ON i.id = n.id LEFT JOIN generic_values g ON g.value_id = n.id
              WHERE i.id IS NOT NULL OR g.value_id IS NOT NULL
            ), '[]') AS identifiers
     FROM evidence e WHERE e.anchor_id = ANY ($1::uuid[]) ORDER BY e.anchor_id, e.set_id, e.day`,
    [uuidArray(anchorIds, (id) => id)],
  );
  try {
    for (;;) {
      const rows = await tx.query<EvidenceOfAnchor>(`FETCH ${String(PAGE_ROWS)} FROM anchor_evidence`);
      if (rows.length > 0) yield rows;
      if (rows.length < PAGE_ROWS) break;
    }
  } finally {
    // Also where nobody asks for more. Where a statement failed, its error is the one that is told.
    await tx.query('CLOSE anchor_evidence').catch(() => undefined);
  }
}

/** How many rows hang on each of these anchors; of more than `most`, one more than that. */
export async function countEvidenceOf(
  db: Queryable,
  anchorIds: readonly Uuid[],
  most: number,
): Promise<Map<Uuid, number>> {
  const rows = await db.query<{ id: Uuid; n: number }>(
    `SELECT a.id, n.n FROM unnest($1::uuid[]) AS a (id) CROSS JOIN LATERAL (
       SELECT count(*) AS n FROM (SELECT FROM evidence WHERE anchor_id = a.id LIMIT $2) l
     ) n`,
    [uuidArray(anchorIds, (id) => id), most + 1],
  );
  return new Map(rows.map(({ id, n }) => [id, n]));
}
