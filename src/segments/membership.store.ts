import { int4Array, int8Array, textArray, uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable, Transaction } from '../platform/postgres.js';
import type { ChangeCause, Membership } from './segment.model.js';

export interface ProfileMembership extends Membership {
  readonly profileId: Uuid;
}

export type MembershipKey = Pick<ProfileMembership, 'profileId' | 'segmentId'>;

interface MembershipRow {
  readonly profile_id: Uuid;
  readonly segment_id: number;
  readonly since: number;
  readonly version: number;
  readonly cause: ChangeCause;
}

interface StaleRow extends Pick<MembershipRow, 'profile_id' | 'segment_id'> {
  readonly since: null;
}

function membershipOf({ profile_id, segment_id, since, version, cause }: MembershipRow): ProfileMembership {
  return { profileId: profile_id, segmentId: segment_id, since, version, cause };
}

/** Who is in which segment now. A row is a membership; leaving deletes it. */
export class MembershipStore {
  async loadByProfiles(db: Queryable, profileIds: readonly Uuid[]): Promise<ProfileMembership[]> {
    if (profileIds.length === 0) return [];
    const { rows } = await db.run<MembershipRow>({
      name: 'memberships-load',
      text: 'SELECT profile_id, segment_id, since, version, cause FROM memberships WHERE profile_id = ANY ($1::uuid[])',
      values: [uuidArray(profileIds, (id) => id)],
    });
    return rows.map(membershipOf);
  }

  /** The same with the segments that could not be judged when they were last looked at, in one statement. */
  async loadWithStale(
    db: Queryable,
    profileIds: readonly Uuid[],
  ): Promise<{ memberships: ProfileMembership[]; stale: MembershipKey[] }> {
    if (profileIds.length === 0) return { memberships: [], stale: [] };
    const { rows } = await db.run<MembershipRow | StaleRow>({
      name: 'memberships-load-stale',
      text: `SELECT profile_id, segment_id, since, version, cause FROM memberships WHERE profile_id = ANY ($1::uuid[])
             UNION ALL
             SELECT profile_id, unnest(stale), NULL, NULL, NULL FROM timers
             WHERE profile_id = ANY ($1::uuid[]) AND stale IS NOT NULL`,
      values: [uuidArray(profileIds, (id) => id)],
    });
    return {
      memberships: rows.filter((row) => row.since !== null).map(membershipOf),
      stale: rows
        .filter((row) => row.since === null)
        .map(({ profile_id: profileId, segment_id: segmentId }) => ({ profileId, segmentId })),
    };
  }

  async save(tx: Transaction, entered: readonly ProfileMembership[], left: readonly MembershipKey[]): Promise<void> {
    await Promise.all([deleteMemberships(tx, left), upsertMemberships(tx, entered)]);
  }
}

async function deleteMemberships(tx: Transaction, left: readonly MembershipKey[]): Promise<void> {
  if (left.length === 0) return;
  await tx.run({
    name: 'memberships-delete',
    text: `DELETE FROM memberships m USING unnest($1::uuid[], $2::int4[]) AS l (profile_id, segment_id)
           WHERE m.profile_id = l.profile_id AND m.segment_id = l.segment_id`,
    values: [uuidArray(left, (m) => m.profileId), int4Array(left, (m) => m.segmentId)],
  });
}

async function upsertMemberships(tx: Transaction, entered: readonly ProfileMembership[]): Promise<void> {
  if (entered.length === 0) return;
  await tx.run({
    name: 'memberships-save',
    text: `INSERT INTO memberships (profile_id, segment_id, since, version, cause)
           SELECT p, s, since, v, c::jsonb
           FROM unnest($1::uuid[], $2::int4[], $3::int8[], $4::int4[], $5::text[]) AS t (p, s, since, v, c)
           ON CONFLICT (profile_id, segment_id) DO UPDATE
             SET since = excluded.since, version = excluded.version, cause = excluded.cause`,
    values: [
      uuidArray(entered, (m) => m.profileId),
      int4Array(entered, (m) => m.segmentId),
      int8Array(entered, (m) => m.since),
      int4Array(entered, (m) => m.version),
      textArray(entered, (m) => JSON.stringify(m.cause)),
    ],
  });
}
