import { compareCanonical } from '../events/event.model.js';
import { boolArray, byteaArray, int2Array, int8Array, textArray, uuidArray } from '../platform/binary-arrays.js';
import { hashId, LEAST_ID, type Uuid } from '../platform/ids.js';
import type { Queryable, Transaction } from '../platform/postgres.js';
import { areSameValues, joinGiven, MAX_GROUP_TRAITS } from './groups.model.js';
import { decodeTraits, encodeTraits } from './trait-codec.js';
import type { Traits } from './trait.model.js';

/** What an anchor's events gave groups, by what events call them. */
export interface AnchorGiven {
  readonly anchorId: Uuid;
  readonly part: number;
  readonly given: ReadonlyMap<string, Traits>;
}

/** The same, of events that were added, with what the anchor knows of a group once they are applied. */
export interface AnchorAdded extends AnchorGiven {
  /** Groups about which some of the events were not loaded history. */
  readonly live: ReadonlySet<string>;
  readonly knows: (groupId: string) => Traits;
}

/** Members that are to be told what the traits of their groups are. */
export interface GroupDelivery {
  readonly members: readonly { readonly groupId: string; readonly anchorId: Uuid }[];
  /** Only loaded history is behind it: what comes of it is not emitted. */
  readonly isSilent: boolean;
  /** Notes in the transaction that tells them that they were told. */
  readonly note: (tx: Transaction) => Promise<void>;
}

/** The sweep that a page of members was of. */
export interface SweepPlace {
  readonly part: number;
  readonly groupId: Uuid;
}

export interface SweptPage extends GroupDelivery {
  readonly place: SweepPlace;
}

interface SweepRow {
  readonly part: number;
  readonly id: Uuid;
  readonly name: string;
  readonly after_id: Uuid | null;
  readonly is_silent: boolean;
}

interface Group {
  readonly id: Uuid;
  readonly name: string;
  traits: Traits;
  version: number;
}

interface Member {
  readonly group: Group;
  readonly part: number;
  readonly anchorId: Uuid;
  readonly given: Traits;
  readonly isStale: boolean;
  readonly isSilent: boolean;
}

/** A group whose traits are written, and why. */
interface SavedGroup {
  readonly group: Group;
  readonly before: Traits;
  /** Its values are others only by loaded history. */
  readonly isSilent: boolean;
  /** Values of it went. */
  readonly forgets: boolean;
}

interface MemberRow {
  readonly group_id: Uuid;
  readonly name: string;
  readonly anchor_id: Uuid;
  readonly given: Buffer;
}

const NOTHING: Traits = new Map();
const MEMBERS_PER_PAGE = 2_000;

/** The id of a group by what events call it. */
export function groupRowId(groupId: string): Uuid {
  return hashId('$group', groupId);
}

/**
 * Groups and their members.
 *
 * 1. Groups are locked in the order of their ids, after profiles and before the feed; what their members gave changes with
 *    the group locked, so that its traits are at any time those of all that is committed.
 * 2. A group whose values change gets a new version, and its members of all partitions are swept. A sweep that is under
 *    way goes on to its end, and another pass follows: so a group that never rests still reaches all of its members. An
 *    anchor that joins, or knows something else than the group's traits, is marked stale.
 * 3. A pass, or a stale member, of which only loaded history is the reason, is told in silence.
 */
export class GroupStore {
  /** Adds what events gave; whether anybody is to be told. */
  async add(tx: Transaction, anchors: readonly AnchorAdded[]): Promise<boolean> {
    const groups = await lockGroups(tx, new Set(anchors.flatMap(({ given }) => [...given.keys()])));
    const standing = await this.#given(tx, anchors);
    const before = new Map([...groups.values()].map((group) => [group, new Map(group.traits)]));
    const rows: Member[] = [];
    const join = (isSilent: boolean): void => {
      for (const { anchorId, part, given, live } of anchors) {
        for (const [name, added] of given) {
          if (live.has(name) === isSilent) continue;
          const group = groupOf(groups, name);
          const all = standing.get(`${group.id} ${anchorId}`) ?? (new Map() as Traits);
          joinGiven(all, added);
          joinGiven(group.traits, added);
          rows.push({ group, part, anchorId, given: all, isStale: false, isSilent });
        }
      }
    };
    // Joining is in any order: what is different once loaded history is in is what the rest changed.
    join(true);
    const loaded = new Map([...groups.values()].map((group) => [group, new Map(group.traits)]));
    join(false);
    const knows = new Map(anchors.map((anchor) => [anchor.anchorId, anchor.knows]));
    const members = rows.map((row) => ({
      ...row,
      isStale: !areSameValues(knows.get(row.anchorId)?.(row.group.name) ?? NOTHING, row.group.traits),
    }));
    await saveMembers(tx, members);
    const saved = [...before].map(([group, was]) => {
      const isSilent = areSameValues(group.traits, loaded.get(group) ?? NOTHING);
      return { group, before: was, isSilent, forgets: false };
    });
    const hasSwept = await saveGroups(tx, saved);
    return hasSwept || members.some(({ isStale }) => isStale);
  }

  /**
   * Makes what these anchors gave to all groups what is said, and nothing else.
   * @returns the traits of all groups that are named, by what events call them: to be told to these anchors at once
   */
  async replace(tx: Transaction, anchors: readonly AnchorGiven[]): Promise<ReadonlyMap<string, Traits>> {
    const anchorIds = anchors.map(({ anchorId }) => anchorId);
    const gave = await this.#givenByAll(tx, anchorIds);
    const names = new Set([...gave.map(({ name }) => name), ...anchors.flatMap(({ given }) => [...given.keys()])]);
    if (names.size === 0) return new Map();
    const groups = await lockGroups(tx, names);
    const before = new Map([...groups.values()].map((group) => [group, new Map(group.traits)]));
    const members = anchors.flatMap(({ anchorId, part, given }) =>
      [...given].map(([name, traits]) => ({
        group: groupOf(groups, name),
        part,
        anchorId,
        given: traits,
        isStale: false,
        isSilent: false,
      })),
    );
    await tx.query('DELETE FROM group_members WHERE anchor_id = ANY ($1::uuid[])', [uuidArray(anchorIds, (id) => id)]);
    await saveMembers(tx, members);
    const isLost = lossesOf(gave, members);
    const saved: SavedGroup[] = [];
    for (const [group, was] of before) {
      const forgets = isLost(group);
      if (forgets) group.traits = await this.#recount(tx, group.id);
      else for (const member of members) if (member.group === group) joinGiven(group.traits, member.given);
      saved.push({ group, before: was, isSilent: false, forgets });
    }
    await saveGroups(tx, saved);
    await removeEmpty(tx, [...groups.values()]);
    return new Map([...groups.values()].map(({ name, traits }) => [name, traits]));
  }

  /** The traits of groups as they are committed, by what events call them. */
  async traitsOf(db: Queryable, names: readonly string[]): Promise<Map<string, Traits>> {
    const rows = await db.query<{ name: string; traits: Buffer }>(
      'SELECT name, traits FROM groups WHERE id = ANY ($1::uuid[])',
      [uuidArray(names, groupRowId)],
    );
    return new Map(rows.map(({ name, traits }) => [name, decodeTraits(traits)]));
  }

  /** Whether somebody is still to be told, in whatever partition, that values of a group went. */
  async isForgetting(db: Queryable): Promise<boolean> {
    const rows = await db.query('SELECT FROM group_sweeps WHERE forgets OR next_forgets LIMIT 1');
    return rows.length > 0;
  }

  /** Stale members of these partitions, at most so many; null: there are none. */
  async newcomers(db: Queryable, parts: readonly number[], limit: number): Promise<GroupDelivery | null> {
    const found = await db.query<{ name: string; group_id: Uuid; part: number; anchor_id: Uuid; is_silent: boolean }>(
      `SELECT g.name, m.group_id, m.part, m.anchor_id, m.is_silent AND NOT EXISTS (
         SELECT FROM group_sweeps s WHERE s.part = m.part AND s.group_id = m.group_id AND NOT s.is_silent
       ) AS is_silent
       FROM group_members m JOIN groups g ON g.id = m.group_id
       WHERE m.is_stale AND m.part = ANY ($1::int2[]) ORDER BY m.part LIMIT $2`,
      [parts, limit],
    );
    const [first] = found;
    if (first === undefined) return null;
    const rows = found.filter((row) => row.is_silent === first.is_silent);
    const note = async (tx: Transaction): Promise<void> => {
      await tx.query(
        `UPDATE group_members m SET is_stale = false FROM unnest($1::uuid[], $2::int2[], $3::uuid[]) AS t (g, p, a)
         WHERE m.group_id = t.g AND m.part = t.p AND m.anchor_id = t.a`,
        [uuidArray(rows, (r) => r.group_id), int2Array(rows, (r) => r.part), uuidArray(rows, (r) => r.anchor_id)],
      );
    };
    const members = rows.map(({ name, anchor_id: anchorId }) => ({ groupId: name, anchorId }));
    return { members, isSilent: first.is_silent, note };
  }

  /**
   * The next members of a sweep of these partitions, at most so many; null: there are none.
   * @param after that of which the page before was: another one is next, if there is one
   */
  async swept(
    db: Queryable,
    parts: readonly number[],
    after: SweepPlace | null,
    limit: number,
  ): Promise<SweptPage | null> {
    const sweep = (after === null ? undefined : await sweepAfter(db, parts, after)) ?? (await sweepAfter(db, parts));
    if (sweep === undefined) return null;
    const { part, id, name } = sweep;
    const rows = await db.query<{ anchor_id: Uuid }>(
      `SELECT anchor_id FROM group_members WHERE group_id = $1 AND part = $2 AND anchor_id > $3
       ORDER BY anchor_id LIMIT $4`,
      [id, part, sweep.after_id ?? LEAST_ID, limit],
    );
    const last = rows.length < limit ? undefined : rows.at(-1)?.anchor_id;
    const note = (tx: Transaction): Promise<void> => advanceSweep(tx, part, id, last);
    const members = rows.map(({ anchor_id: anchorId }) => ({ groupId: name, anchorId }));
    return { members, isSilent: sweep.is_silent, note, place: { part, groupId: id } };
  }

  async #given(tx: Transaction, anchors: readonly AnchorGiven[]): Promise<Map<string, Traits>> {
    const pairs = anchors.flatMap(({ anchorId, part, given }) =>
      [...given.keys()].map((name) => ({ groupId: groupRowId(name), part, anchorId })),
    );
    const rows = await tx.query<{ group_id: Uuid; anchor_id: Uuid; given: Buffer }>(
      `SELECT m.group_id, m.anchor_id, m.given FROM unnest($1::uuid[], $2::int2[], $3::uuid[]) AS t (g, p, a)
       JOIN group_members m ON m.group_id = t.g AND m.part = t.p AND m.anchor_id = t.a`,
      [uuidArray(pairs, (p) => p.groupId), int2Array(pairs, (p) => p.part), uuidArray(pairs, (p) => p.anchorId)],
    );
    return new Map(rows.map((row) => [`${row.group_id} ${row.anchor_id}`, decodeTraits(row.given)]));
  }

  async #givenByAll(tx: Transaction, anchorIds: readonly Uuid[]): Promise<MemberRow[]> {
    return tx.query<MemberRow>(
      `SELECT m.group_id, g.name, m.anchor_id, m.given FROM group_members m JOIN groups g ON g.id = m.group_id
       WHERE m.anchor_id = ANY ($1::uuid[])`,
      [uuidArray(anchorIds, (id) => id)],
    );
  }

  /** What all members gave: page by page, so that their number does not matter. */
  async #recount(tx: Transaction, groupId: Uuid): Promise<Traits> {
    const traits: Traits = new Map();
    let after: readonly [part: number, id: Uuid] = [-1, LEAST_ID];
    for (;;) {
      const rows = await tx.query<{ part: number; anchor_id: Uuid; given: Buffer }>(
        `SELECT part, anchor_id, given FROM group_members WHERE group_id = $1 AND (part, anchor_id) > ($2::int2, $3)
         ORDER BY part, anchor_id LIMIT $4`,
        [groupId, after[0], after[1], MEMBERS_PER_PAGE],
      );
      for (const { given } of rows) joinGiven(traits, decodeTraits(given));
      const last = rows.at(-1);
      if (last === undefined || rows.length < MEMBERS_PER_PAGE) return traits;
      after = [last.part, last.anchor_id];
    }
  }
}

function groupOf(groups: ReadonlyMap<string, Group>, name: string): Group {
  const group = groups.get(name);
  if (group === undefined) throw new Error('a group is named that was not locked');
  return group;
}

/** Locks the groups, those that there are not yet included. By what events call them. */
async function lockGroups(tx: Transaction, names: ReadonlySet<string>): Promise<Map<string, Group>> {
  const sorted = [...names].map((name) => ({ id: groupRowId(name), name })).sort((a, b) => (a.id < b.id ? -1 : 1));
  const ids = uuidArray(sorted, ({ id }) => id);
  await tx.query(
    `INSERT INTO groups (id, name, traits, version)
     SELECT id, name, '', 0 FROM unnest($1::uuid[], $2::text[]) AS t (id, name) ON CONFLICT DO NOTHING`,
    [ids, textArray(sorted, ({ name }) => name)],
  );
  const rows = await tx.query<{ id: Uuid; name: string; traits: Buffer; version: number }>(
    'SELECT id, name, traits, version FROM groups WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE',
    [ids],
  );
  return new Map(
    rows.map(({ id, name, traits, version }) => [name, { id, name, traits: decodeTraits(traits), version }]),
  );
}

/** Whether a group may have lost something that decided one of its traits, or kept another one out. */
function lossesOf(gave: readonly MemberRow[], members: readonly Member[]): (group: Group) => boolean {
  const now = new Map(members.map(({ group, anchorId, given }) => [`${group.id} ${anchorId}`, given]));
  return (group) =>
    gave.some((row) => {
      if (row.group_id !== group.id) return false;
      const after = now.get(`${row.group_id} ${row.anchor_id}`);
      for (const [name, trait] of decodeTraits(row.given)) {
        const kept = after?.get(name);
        if (kept !== undefined && compareCanonical(kept, trait) === 0) {
          if (JSON.stringify(kept.value) === JSON.stringify(trait.value)) continue;
        }
        const standing = group.traits.get(name);
        if (group.traits.size === MAX_GROUP_TRAITS) return true;
        if (standing !== undefined && compareCanonical(standing, trait) === 0) return true;
      }
      return false;
    });
}

async function saveMembers(tx: Transaction, members: readonly Member[]): Promise<void> {
  if (members.length === 0) return;
  await tx.query(
    `INSERT INTO group_members AS m (group_id, part, anchor_id, given, is_stale, is_silent)
     SELECT * FROM unnest($1::uuid[], $2::int2[], $3::uuid[], $4::bytea[], $5::bool[], $6::bool[])
     ON CONFLICT (group_id, part, anchor_id) DO UPDATE SET given = excluded.given, is_stale = excluded.is_stale,
       is_silent = excluded.is_silent AND (m.is_silent OR NOT m.is_stale)`,
    [
      uuidArray(members, (m) => m.group.id),
      int2Array(members, (m) => m.part),
      uuidArray(members, (m) => m.anchorId),
      byteaArray(members, (m) => encodeTraits(m.given)),
      boolArray(members, (m) => m.isStale),
      boolArray(members, (m) => m.isSilent),
    ],
  );
}

/** Writes the groups whose traits changed, and sweeps those of which a value did; whether there are such. */
async function saveGroups(tx: Transaction, saved: readonly SavedGroup[]): Promise<boolean> {
  const changed = saved.filter(({ group, before }) => !encodeTraits(group.traits).equals(encodeTraits(before)));
  if (changed.length === 0) return false;
  const swept = changed.filter(({ group, before }) => !areSameValues(group.traits, before));
  for (const { group } of swept) group.version++;
  const groups = changed.map(({ group }) => group);
  await tx.query(
    `UPDATE groups g SET traits = t.traits, version = t.version
     FROM unnest($1::uuid[], $2::bytea[], $3::int8[]) AS t (id, traits, version) WHERE g.id = t.id`,
    [
      uuidArray(groups, (g) => g.id),
      byteaArray(groups, (g) => encodeTraits(g.traits)),
      int8Array(groups, (g) => g.version),
    ],
  );
  if (swept.length === 0) return false;
  await tx.query(
    `INSERT INTO group_sweeps AS s (part, group_id, version, begun_version, is_silent, forgets)
     SELECT p.part, t.id, t.version, t.version, t.is_silent, t.forgets
     FROM unnest($1::uuid[], $2::int8[], $3::bool[], $4::bool[]) AS t (id, version, is_silent, forgets)
     CROSS JOIN partitions p
     WHERE EXISTS (SELECT FROM group_members m WHERE m.group_id = t.id AND m.part = p.part)
     ON CONFLICT (part, group_id) DO UPDATE SET version = excluded.version, is_silent = s.is_silent AND excluded.is_silent,
       next_is_silent = s.next_is_silent AND excluded.is_silent, next_forgets = s.next_forgets OR excluded.forgets`,
    [
      uuidArray(swept, ({ group }) => group.id),
      int8Array(swept, ({ group }) => group.version),
      boolArray(swept, ({ isSilent }) => isSilent),
      boolArray(swept, ({ forgets }) => forgets),
    ],
  );
  return true;
}

async function sweepAfter(
  db: Queryable,
  parts: readonly number[],
  after: SweepPlace = { part: -1, groupId: LEAST_ID },
): Promise<SweepRow | undefined> {
  const [sweep] = await db.query<SweepRow>(
    `SELECT s.part, s.group_id AS id, g.name, s.after_id, s.is_silent FROM group_sweeps s
     JOIN groups g ON g.id = s.group_id WHERE s.part = ANY ($1::int2[]) AND (s.part, s.group_id) > ($2::int2, $3::uuid)
     ORDER BY s.part, s.group_id LIMIT 1`,
    [parts, after.part, after.groupId],
  );
  return sweep;
}

/** @param last the pass goes on after this member; undefined: it is at its end, and so is the sweep, or the next begins */
async function advanceSweep(tx: Transaction, part: number, groupId: Uuid, last: Uuid | undefined): Promise<void> {
  const which = [part, groupId];
  if (last !== undefined) {
    await tx.query('UPDATE group_sweeps SET after_id = $3 WHERE part = $1 AND group_id = $2', [...which, last]);
    return;
  }
  // One whose group changed meanwhile has a later version than when its pass began.
  await tx.query('DELETE FROM group_sweeps WHERE part = $1 AND group_id = $2 AND version = begun_version', which);
  await tx.query(
    `UPDATE group_sweeps SET after_id = NULL, begun_version = version, is_silent = next_is_silent, next_is_silent = true,
       forgets = next_forgets, next_forgets = false WHERE part = $1 AND group_id = $2`,
    which,
  );
}

/** Nobody is a member of a group of which all events were taken back: then it is not there. */
async function removeEmpty(tx: Transaction, groups: readonly Group[]): Promise<void> {
  const ids = uuidArray(groups, ({ id }) => id);
  await tx.query(
    `WITH gone AS (
       DELETE FROM groups g WHERE g.id = ANY ($1::uuid[])
         AND NOT EXISTS (SELECT FROM group_members m WHERE m.group_id = g.id) RETURNING g.id
     )
     DELETE FROM group_sweeps s USING gone WHERE s.group_id = gone.id`,
    [ids],
  );
}
