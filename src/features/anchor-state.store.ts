import { byteaArray, int2Array, uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';

/** An anchor's row, packed: what it contributes to the profile it stands for. */
export interface PackedAnchor {
  readonly id: Uuid;
  readonly part: number;
  readonly traits: Buffer;
  readonly state: Buffer;
}

/** An identifier of a profile, with its state if any event hangs on it. */
export interface ProfileAnchor {
  readonly profileId: Uuid;
  readonly identifierId: Uuid;
  readonly ns: string;
  readonly value: string;
  readonly anchor: PackedAnchor | null;
}

/** The packed states of anchors, one row each. Nothing that changes is indexed, so that updates stay in their page. */
export class AnchorStateStore {
  /** The identifiers and anchors of these profiles, by the assignments as the database holds them. */
  async loadByProfiles(db: Queryable, profileIds: readonly Uuid[]): Promise<ProfileAnchor[]> {
    if (profileIds.length === 0) return [];
    const { rows } = await db.run<{
      profile_id: Uuid;
      id: Uuid;
      ns: string;
      value: string;
      part: number | null;
      traits: Buffer | null;
      state: Buffer | null;
    }>({
      name: 'anchor-states-load',
      text: `SELECT i.profile_id, i.id, i.ns, i.value, s.part, s.traits, s.state
             FROM identifiers i LEFT JOIN anchor_states s ON s.anchor_id = i.id
             WHERE i.profile_id = ANY ($1::uuid[])`,
      values: [uuidArray(profileIds, (id) => id)],
    });
    return rows.map(({ profile_id: profileId, id, ns, value, part, traits, state }) => ({
      profileId,
      identifierId: id,
      ns,
      value,
      anchor: part === null || traits === null || state === null ? null : { id, part, traits, state },
    }));
  }

  /** Reads and locks single anchors, for a backfill; in id order. */
  async lock(db: Queryable, anchorIds: readonly Uuid[]): Promise<PackedAnchor[]> {
    const { rows } = await db.run<{ anchor_id: Uuid; part: number; traits: Buffer; state: Buffer }>({
      name: 'anchor-states-lock',
      text: `SELECT anchor_id, part, traits, state FROM anchor_states
             WHERE anchor_id = ANY ($1::uuid[]) ORDER BY anchor_id FOR UPDATE`,
      values: [uuidArray(anchorIds, (id) => id)],
    });
    return rows.map((row) => ({ id: row.anchor_id, part: row.part, traits: row.traits, state: row.state }));
  }

  /** Removes anchors that no event hangs on any more. */
  async remove(db: Queryable, anchorIds: readonly Uuid[]): Promise<void> {
    if (anchorIds.length === 0) return;
    await db.query('DELETE FROM anchor_states WHERE anchor_id = ANY ($1::uuid[])', [uuidArray(anchorIds, (id) => id)]);
  }

  async save(db: Queryable, anchors: readonly PackedAnchor[]): Promise<void> {
    if (anchors.length === 0) return;
    await db.run({
      name: 'anchor-states-save',
      text: `INSERT INTO anchor_states (anchor_id, part, traits, state)
             SELECT * FROM unnest($1::uuid[], $2::int2[], $3::bytea[], $4::bytea[])
             ON CONFLICT (anchor_id) DO UPDATE SET traits = excluded.traits, state = excluded.state`,
      values: [
        uuidArray(anchors, (a) => a.id),
        int2Array(anchors, (a) => a.part),
        byteaArray(anchors, (a) => a.traits),
        byteaArray(anchors, (a) => a.state),
      ],
    });
  }
}
