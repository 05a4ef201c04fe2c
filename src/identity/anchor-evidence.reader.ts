import type { CanonicalKey, Identifier } from '../events/event.model.js';
import { uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';

/** What a row of evidence says, as the event that it stands for. */
export interface EvidenceOfAnchor extends CanonicalKey {
  /** The anchor first. */
  readonly identifiers: readonly Identifier[];
  /** ms */
  readonly acceptedAt: number;
}

/** The evidence that hangs on these anchors, with all that it names: identifiers, and values that count for nobody. */
export async function readEvidenceOf(db: Queryable, anchorIds: readonly Uuid[]): Promise<EvidenceOfAnchor[]> {
  return db.query<EvidenceOfAnchor>(
    `SELECT e.occurred_at AS "occurredAt", e.source_id AS "sourceId", e.message_id AS "messageId",
            e.known_at AS "acceptedAt", (
              SELECT json_agg(json_build_object('id', n.id, 'ns', coalesce(i.ns, g.ns), 'value', coalesce(i.value, g.value))
                              ORDER BY n.place)
              FROM unnest(e.identifier_ids) WITH ORDINALITY AS n (id, place)
              LEFT JOIN identifiers i ON i.id = n.id LEFT JOIN generic_values g ON g.value_id = n.id
              WHERE i.id IS NOT NULL OR g.value_id IS NOT NULL
            ) AS identifiers
     FROM evidence e WHERE e.anchor_id = ANY ($1::uuid[]) ORDER BY e.anchor_id, e.set_id, e.day`,
    [uuidArray(anchorIds, (id) => id)],
  );
}
