import type { JsonValue } from '../events/event.model.js';
import { uuidArray } from '../platform/binary-arrays.js';
import { hideId, revealId } from '../platform/hidden-id.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import { groupRowId } from './group.store.js';
import { decodeTraits } from './trait-codec.js';
import type { Traits } from './trait.model.js';

/** A group, with its traits as of now. */
export interface GroupRow {
  readonly id: string;
  readonly traits: Readonly<Record<string, JsonValue>>;
}

/**
 * Where a member stands in the list: by the partition and the id of the least anchor that belongs to the group, which is
 * hidden: it is a hash of an identifier, so whoever is given it could try who it is.
 */
export interface GroupMemberPlace {
  readonly part: number;
  readonly hiddenId: Uuid;
}

export interface GroupMember extends GroupMemberPlace {
  readonly profileId: Uuid;
}

const BEFORE_ALL = { part: -1, anchorId: '00000000-0000-0000-0000-000000000000' };

/** What others read of groups. */
export class GroupReader {
  constructor(private readonly db: Queryable) {}

  /** @param id as events call it; null: nobody belongs to it */
  async find(id: string): Promise<GroupRow | null> {
    const [row] = await this.db.query<{ name: string; traits: Buffer }>(
      'SELECT name, traits FROM groups WHERE id = $1',
      [groupRowId(id)],
    );
    if (row === undefined) return null;
    const traits = [...decodeTraits(row.traits)].sort(([a], [b]) => (a < b ? -1 : 1));
    return { id: row.name, traits: Object.fromEntries(traits.map(([name, { value }]) => [name, value ?? null])) };
  }

  /** Profiles that events named the group for, each once. */
  async members(id: string, after: GroupMemberPlace | null, limit: number): Promise<GroupMember[]> {
    const key = await this.#cursorKey();
    const from = after === null ? BEFORE_ALL : { part: after.part, anchorId: revealId(key, after.hiddenId) };
    const { rows } = await this.db.run<{ profileId: Uuid; part: number; anchorId: Uuid }>({
      name: 'group-members',
      text: `SELECT i.profile_id AS "profileId", m.part, m.anchor_id AS "anchorId"
             FROM group_members m JOIN identifiers i ON i.id = m.anchor_id
             WHERE m.group_id = $1 AND (m.part, m.anchor_id) > ($2::int2, $3::uuid)
               AND NOT EXISTS (
                 SELECT FROM identifiers o
                 JOIN group_members n ON n.anchor_id = o.id AND n.group_id = m.group_id
                 WHERE o.profile_id = i.profile_id AND (n.part, n.anchor_id) < (m.part, m.anchor_id)
               )
             ORDER BY m.part, m.anchor_id LIMIT $4`,
      values: [groupRowId(id), from.part, from.anchorId, limit],
    });
    return rows.map(({ profileId, part, anchorId }) => ({ profileId, part, hiddenId: hideId(key, anchorId) }));
  }

  async #cursorKey(): Promise<Buffer> {
    const [row] = await this.db.query<{ key: Buffer }>('SELECT cursor_key AS key FROM installation');
    if (row === undefined) throw new Error('the installation has no row');
    return row.key;
  }
}

/** What these anchors gave to groups, by anchor and by what events call the group. */
export async function readGiven(db: Queryable, anchorIds: readonly Uuid[]): Promise<Map<Uuid, Map<string, Traits>>> {
  const rows = await db.query<{ anchorId: Uuid; name: string; given: Buffer }>(
    `SELECT m.anchor_id AS "anchorId", g.name, m.given FROM group_members m JOIN groups g ON g.id = m.group_id
     WHERE m.anchor_id = ANY ($1::uuid[])`,
    [uuidArray(anchorIds, (id) => id)],
  );
  const byAnchor = new Map<Uuid, Map<string, Traits>>();
  for (const { anchorId, name, given } of rows) {
    const of = byAnchor.get(anchorId) ?? new Map<string, Traits>();
    byAnchor.set(anchorId, of.set(name, decodeTraits(given)));
  }
  return byAnchor;
}
