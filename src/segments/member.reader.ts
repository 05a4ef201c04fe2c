import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import type { ChangeCause, Membership } from './segment.model.js';

export interface SegmentMember extends Omit<Membership, 'segmentId'> {
  readonly profileId: Uuid;
}

/** Where a page of members ended. */
export type MemberPosition = Pick<SegmentMember, 'since' | 'profileId'>;

/** Reads who is in a segment; those who entered last come first. */
export class MemberReader {
  readonly #db: Queryable;

  constructor(db: Queryable) {
    this.#db = db;
  }

  async page(segmentId: number, after: MemberPosition | null, limit: number): Promise<SegmentMember[]> {
    const { rows } = await this.#db.run<{ profile_id: Uuid; since: number; version: number; cause: ChangeCause }>({
      name: 'members-page',
      // Two ranges of one index: activating a segment lets any number in at one instant, which are not to be read again
      // for each page.
      text: `(SELECT profile_id, since, version, cause FROM memberships
              WHERE segment_id = $1 AND since = $2 AND profile_id > $3::uuid ORDER BY profile_id LIMIT $4)
             UNION ALL
             (SELECT profile_id, since, version, cause FROM memberships
              WHERE segment_id = $1 AND since < $2 ORDER BY since DESC, profile_id LIMIT $4)
             ORDER BY since DESC, profile_id LIMIT $4`,
      values: [
        segmentId,
        after?.since ?? Number.MAX_SAFE_INTEGER,
        after?.profileId ?? '00000000-0000-0000-0000-000000000000',
        limit,
      ],
    });
    return rows.map(({ profile_id: profileId, since, version, cause }) => ({ profileId, since, version, cause }));
  }
}
