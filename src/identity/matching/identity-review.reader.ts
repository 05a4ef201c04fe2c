import { GREATEST_ID, type Uuid } from '../../platform/ids.js';
import type { Queryable } from '../../platform/postgres.js';
import type { IdentityReview, ReviewStatus } from './identity-review.model.js';

const FIELDS = `r.id, r.status, r.version, r.weight, r.opened_at AS "openedAt", r.decided_at AS "decidedAt",
  r.decided_by AS "decidedBy", r.reason, r.a_id AS "aId", r.b_id AS "bId",
  CASE WHEN a.id IS NOT NULL THEN json_build_object('id', a.id, 'ns', a.ns, 'value', a.value, 'profileId', a.profile_id) END AS a,
  CASE WHEN b.id IS NOT NULL THEN json_build_object('id', b.id, 'ns', b.ns, 'value', b.value, 'profileId', b.profile_id) END AS b`;

const FROM = `FROM identity_reviews r LEFT JOIN identifiers a ON a.id = r.a_id LEFT JOIN identifiers b ON b.id = r.b_id`;

/** A review, and by which records it is explained. */
export interface StoredReview extends IdentityReview {
  readonly aId: Uuid;
  readonly bId: Uuid;
}

/** Reads pairs that people are to look at, and what they decided. */
export class IdentityReviewReader {
  /** The most likely first; those after a place. */
  async page(
    db: Queryable,
    status: ReviewStatus,
    after: Pick<IdentityReview, 'weight' | 'id'> | null,
    limit: number,
  ): Promise<StoredReview[]> {
    return db.query<StoredReview>(
      `SELECT ${FIELDS} ${FROM} WHERE r.status = $1 AND (r.weight, r.id) < ($2::float8, $3::uuid)
       ORDER BY r.weight DESC, r.id DESC LIMIT $4`,
      [status, after?.weight ?? Infinity, after?.id ?? GREATEST_ID, limit],
    );
  }

  async find(db: Queryable, id: Uuid): Promise<StoredReview | null> {
    const [row] = await db.query<StoredReview>(`SELECT ${FIELDS} ${FROM} WHERE r.id = $1`, [id]);
    return row ?? null;
  }

  /** The identifiers of a record. */
  async membersOf(db: Queryable, recordId: Uuid): Promise<{ ns: string; value: string }[]> {
    return db.query<{ ns: string; value: string }>(
      `SELECT i.ns, i.value FROM matching_members m JOIN identifiers i ON i.id = m.identifier_id WHERE m.record_id = $1
       ORDER BY i.id`,
      [recordId],
    );
  }
}
