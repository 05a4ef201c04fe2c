import { uuidArray } from '../platform/binary-arrays.js';
import { LEAST_ID, type Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';

export interface ProfileRow {
  readonly id: Uuid;
  readonly part: number;
  readonly createdAt: number;
  /** Set for an alias: the profile that it became part of. */
  readonly mergedInto: Uuid | null;
}

interface Row {
  id: Uuid;
  part: number;
  created_at: number;
  merged_into: Uuid | null;
}

/** Reads profile rows, a batch at a time. */
export class ProfileReader {
  /** The profiles that exist, locked in id order until the transaction ends. */
  async lock(tx: Queryable, ids: readonly Uuid[]): Promise<ProfileRow[]> {
    const { rows } = await tx.run<Row>({
      name: 'profiles-lock',
      text: `SELECT id, part, created_at, merged_into FROM profiles
             WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE`,
      values: [uuidArray(ids, (id) => id)],
    });
    return rows.map(toProfile);
  }

  /**
   * The living profile that each id stands for, aliases resolved; ids that never existed are left out.
   * An alias points straight at its survivor or, after further merges, at one that points on.
   */
  async survivors(db: Queryable, ids: readonly Uuid[]): Promise<Map<Uuid, Uuid>> {
    const { rows } = await db.run<{ asked: Uuid; id: Uuid }>({
      name: 'profiles-survivors',
      text: `WITH RECURSIVE chain (asked, id, merged_into) AS (
               SELECT id, id, merged_into FROM profiles WHERE id = ANY ($1::uuid[])
               UNION
               SELECT c.asked, p.id, p.merged_into FROM chain c JOIN profiles p ON p.id = c.merged_into
             )
             SELECT asked, id FROM chain WHERE merged_into IS NULL`,
      values: [uuidArray(ids, (id) => id)],
    });
    return new Map(rows.map((row) => [row.asked, row.id]));
  }

  /** The profiles that exist, alive or not. */
  async byIds(db: Queryable, ids: readonly Uuid[]): Promise<ProfileRow[]> {
    const { rows } = await db.run<Row>({
      name: 'profiles-by-ids',
      text: 'SELECT id, part, created_at, merged_into FROM profiles WHERE id = ANY ($1::uuid[])',
      values: [uuidArray(ids, (id) => id)],
    });
    return rows.map(toProfile);
  }

  /** Ids of living profiles, by rising id, those after `after`. */
  async idsAfter(db: Queryable, after: Uuid | null, limit: number): Promise<Uuid[]> {
    const { rows } = await db.run<{ id: Uuid }>({
      name: 'profiles-after',
      // One shape, so that the plan that is kept for it begins at the right id.
      text: 'SELECT id FROM profiles WHERE merged_into IS NULL AND id > $1 ORDER BY id LIMIT $2',
      values: [after ?? LEAST_ID, limit],
    });
    return rows.map((row) => row.id);
  }

  /** Every id that the person behind this one has ever had: the living profile's and those of all its aliases. */
  async allIdsOf(db: Queryable, id: Uuid): Promise<Uuid[]> {
    const { rows } = await db.run<{ id: Uuid }>({
      name: 'profiles-all-ids',
      text: `WITH RECURSIVE up (id, merged_into) AS (
               SELECT id, merged_into FROM profiles WHERE id = $1
               UNION
               SELECT p.id, p.merged_into FROM up u JOIN profiles p ON p.id = u.merged_into
             ), down (id) AS (
               SELECT id FROM up WHERE merged_into IS NULL
               UNION
               SELECT p.id FROM down d JOIN profiles p ON p.merged_into = d.id
             )
             SELECT id FROM down`,
      values: [id],
    });
    return rows.map((row) => row.id);
  }

  /** The profiles that these identifiers stand for. */
  async byIdentifiers(db: Queryable, identifierIds: readonly Uuid[]): Promise<Map<Uuid, Uuid>> {
    const { rows } = await db.run<{ id: Uuid; profile_id: Uuid }>({
      name: 'profiles-by-identifiers',
      text: 'SELECT id, profile_id FROM identifiers WHERE id = ANY ($1::uuid[])',
      values: [uuidArray(identifierIds, (id) => id)],
    });
    return new Map(rows.map((row) => [row.id, row.profile_id]));
  }
}

function toProfile(row: Row): ProfileRow {
  return { id: row.id, part: row.part, createdAt: row.created_at, mergedInto: row.merged_into };
}
