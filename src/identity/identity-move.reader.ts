import { GREATEST_ID, type Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';

/** Identifiers that went over from one profile to another. */
export interface IdentityMove {
  readonly id: Uuid;
  readonly kind: 'merge' | 'split';
  readonly from: Uuid;
  readonly to: Uuid;
  readonly at: number;
  readonly cause: 'event' | 'retraction' | 'revision';
  /** How many. */
  readonly identifiers: number;
}

/** Reads what moved from and to profiles. */
export class IdentityMoveReader {
  /** The newest first; those before one. */
  async page(
    db: Queryable,
    profileIds: readonly Uuid[],
    before: Pick<IdentityMove, 'at' | 'id'> | null,
    limit: number,
  ): Promise<IdentityMove[]> {
    return db.query<IdentityMove>(
      `SELECT id, kind, from_profile AS "from", to_profile AS "to", at, cause, cardinality(identifier_ids) AS identifiers
       FROM (
         SELECT * FROM identity_moves WHERE from_profile = ANY ($1::uuid[])
         UNION SELECT * FROM identity_moves WHERE to_profile = ANY ($1::uuid[])
       ) m
       WHERE (at, id) < ($2::int8, $3::uuid) ORDER BY at DESC, id DESC LIMIT $4`,
      [profileIds, before?.at ?? Number.MAX_SAFE_INTEGER, before?.id ?? GREATEST_ID, limit],
    );
  }
}
