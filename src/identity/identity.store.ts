import type { Identifier } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import { int4Array, int8Array, textArray, uuidArray } from '../platform/binary-arrays.js';
import type { Queryable, Transaction } from '../platform/postgres.js';
import { addMember, newComponent, NO_PROFILE, type Component, type KnownProfile } from './component.model.js';
import { setIdOf, type Evidence } from './evidence.model.js';
import { countedOf } from './generic-value.model.js';
import type { IdentityRules } from './identity-rules.model.js';
import { saveIdentity, type IdentityWrites } from './save-identity.js';

interface EvidenceOptions {
  readonly rules: IdentityRules;
  readonly perDay: boolean;
  readonly limit: number;
  /** Whom evidence may name beside members; default: nobody. */
  readonly others?: readonly Identifier[];
}

interface ComponentRow {
  readonly id: Uuid;
  readonly ns: string;
  readonly value: string;
  readonly component_id: Uuid;
  readonly profile_id: Uuid;
  readonly first_pos: number;
  readonly first_at: number | null;
  readonly p_id: Uuid | null;
  readonly founded_pos: number;
  readonly created_at: number;
  readonly part: number;
  readonly merged_into: Uuid | null;
  readonly is_contested: boolean;
}

const COMPONENT_FIELDS = `i.id, i.ns, i.value, i.component_id, i.profile_id, i.first_pos, i.first_at,
  coalesce(l.id, a.id) AS p_id, coalesce(l.founded_pos, a.founded_pos) AS founded_pos,
  coalesce(l.created_at, a.created_at) AS created_at, coalesce(l.part, a.part) AS part, a.merged_into`;

/**
 * The profile that identifier `i` founded: a living one is where its founding identifier stands (invariant 1 of
 * `assign-profiles.ts`), so that it takes no index by founding identifiers; of aliases alone there is one.
 *
 * The planner learns late how many aliases there are, and would rather read all of them once, or for each identifier by
 * another index. OFFSET 0 and the wording of `num_nulls`, which is that index's own, leave it this one way.
 */
const FOUNDED = `LEFT JOIN profiles l ON l.id = i.profile_id AND l.founding_id = i.id AND l.merged_into IS NULL
  LEFT JOIN LATERAL (
    SELECT * FROM profiles WHERE founding_id = i.id AND num_nulls(merged_into) = 0 AND l.id IS NULL OFFSET 0
  ) a ON true`;

/**
 * The identifiers asked for. By a parameter itself the planner sees how many they are and plans anew each time, which for
 * the few of a single event takes longer than to read them.
 */
const ASKED = '(SELECT $1::uuid[])::uuid[]';

/** Reads and writes of identifiers, evidence, profiles and assignments, a whole micro-batch at a time. */
export class IdentityStore {
  /** The components that hold any of these identifiers, complete with members and the profiles that they founded. */
  async loadComponents(tx: Transaction, identifierIds: readonly Uuid[]): Promise<Component[]> {
    if (identifierIds.length === 0) return [];
    const { rows } = await tx.run<ComponentRow>({
      name: 'identity-components',
      // OFFSET 0 keeps the planner from turning two index look-ups into a scan of all identifiers.
      text: `SELECT ${COMPONENT_FIELDS}, false AS is_contested
             FROM (SELECT DISTINCT component_id FROM identifiers WHERE id = ANY (${ASKED}) OFFSET 0) c
             JOIN identifiers i ON i.component_id = c.component_id
             ${FOUNDED}`,
      values: [uuidArray(identifierIds, (id) => id)],
    });
    return componentsOf(rows);
  }

  /** The same, but that of contested components nobody is read but these identifiers. */
  async loadStandingComponents(db: Queryable, identifierIds: readonly Uuid[]): Promise<Component[]> {
    if (identifierIds.length === 0) return [];
    const { rows } = await db.run<ComponentRow>({
      name: 'identity-standing-components',
      text: `WITH named AS MATERIALIZED (
               SELECT n.id, n.component_id, k.component_id IS NOT NULL AS is_contested
               FROM identifiers n LEFT JOIN contested_components k ON k.component_id = n.component_id
               WHERE n.id = ANY (${ASKED})
             )
             SELECT ${COMPONENT_FIELDS}, i.is_contested FROM (
               SELECT m.*, false AS is_contested
               FROM (SELECT DISTINCT component_id FROM named WHERE NOT is_contested OFFSET 0) c
               JOIN identifiers m ON m.component_id = c.component_id
               UNION ALL
               SELECT m.*, true FROM named n JOIN identifiers m ON m.id = n.id WHERE n.is_contested
             ) i ${FOUNDED}`,
      values: [uuidArray(identifierIds, (id) => id)],
    });
    return componentsOf(rows);
  }

  /** All identifiers of the profiles that these stand for, as a component; null where none of these is known. */
  async loadProfilesOf(tx: Transaction, identifierIds: readonly Uuid[]): Promise<Component | null> {
    const rows = await tx.query<ComponentRow>(
      `SELECT ${COMPONENT_FIELDS}, true AS is_contested
       FROM (SELECT DISTINCT profile_id FROM identifiers WHERE id = ANY ($1::uuid[]) OFFSET 0) c
       JOIN identifiers i ON i.profile_id = c.profile_id
       ${FOUNDED}`,
      [uuidArray(identifierIds, (id) => id)],
    );
    return componentsOf(rows)[0] ?? null;
  }

  /** The components of those that are known. */
  async componentsOf(tx: Transaction, ids: readonly Uuid[]): Promise<Map<Uuid, Uuid>> {
    const rows = await tx.query<{ id: Uuid; componentId: Uuid }>(
      'SELECT id, component_id AS "componentId" FROM identifiers WHERE id = ANY ($1::uuid[])',
      [uuidArray(ids, (id) => id)],
    );
    return new Map(rows.map(({ id, componentId }) => [id, componentId]));
  }

  /** The ids of all identifiers in the components of these, or of any so many of them. */
  async membersAround(tx: Transaction, ids: readonly Uuid[], limit: number | null = null): Promise<Uuid[]> {
    const { rows } = await tx.run<{ id: Uuid }>({
      name: 'identity-members-around',
      text: `SELECT i.id FROM (SELECT DISTINCT component_id FROM identifiers WHERE id = ANY (${ASKED}) OFFSET 0) c
             JOIN identifiers i ON i.component_id = c.component_id LIMIT $2`,
      values: [uuidArray(ids, (id) => id), limit],
    });
    return rows.map((row) => row.id);
  }

  /** The same, but that of contested components nobody is told: their members stay where they are. */
  async standingMembersAround(tx: Transaction, ids: readonly Uuid[]): Promise<Uuid[]> {
    const { rows } = await tx.run<{ id: Uuid }>({
      name: 'identity-standing-members-around',
      text: `SELECT i.id FROM (
               SELECT DISTINCT component_id FROM identifiers n WHERE id = ANY (${ASKED})
                 AND NOT EXISTS (SELECT FROM contested_components k WHERE k.component_id = n.component_id) OFFSET 0
             ) c JOIN identifiers i ON i.component_id = c.component_id`,
      values: [uuidArray(ids, (id) => id)],
    });
    return rows.map((row) => row.id);
  }

  /** Of these rows of evidence, those that stand already, with their keys. */
  async loadWritten(tx: Transaction, evidence: readonly Evidence[]): Promise<Evidence[]> {
    if (evidence.length === 0) return [];
    const rows = await tx.query<{
      n: number;
      occurredAt: number;
      sourceId: number;
      messageId: string;
      knownAt: number;
    }>(
      `SELECT t.n::int4 AS n, e.occurred_at AS "occurredAt", e.source_id AS "sourceId", e.message_id AS "messageId",
              e.known_at AS "knownAt"
       FROM unnest($1::uuid[], $2::uuid[], $3::int4[]) WITH ORDINALITY AS t (anchor_id, set_id, day, n)
       JOIN evidence e ON e.anchor_id = t.anchor_id AND e.set_id = t.set_id AND e.day = t.day`,
      [uuidArray(evidence, (e) => e.anchorId), uuidArray(evidence, (e) => e.setId), int4Array(evidence, (e) => e.day)],
    );
    return rows.flatMap(({ n, knownAt, ...key }): Evidence[] => {
      const row = evidence[n - 1];
      return row === undefined ? [] : [{ ...row, key, knownAt }];
    });
  }

  /**
   * Inserts new identifiers without a profile, in id order, so that two transactions that meet the same new identifier
   * queue up here instead of founding two profiles.
   */
  async makeKnown(
    tx: Transaction,
    incoming: readonly { readonly identifier: Identifier; readonly firstPos: number; readonly firstAt: number }[],
  ): Promise<void> {
    const sorted = [...incoming].sort((a, b) => (a.identifier.id < b.identifier.id ? -1 : 1));
    await tx.run({
      name: 'identity-make-known',
      text: `INSERT INTO identifiers (id, ns, value, component_id, profile_id, first_pos, first_at)
             SELECT id, ns, value, id, $6, pos, at
             FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int8[], $5::int8[]) AS t (id, ns, value, pos, at)
             ON CONFLICT (id) DO NOTHING`,
      values: [
        uuidArray(sorted, (i) => i.identifier.id),
        textArray(sorted, (i) => i.identifier.ns),
        textArray(sorted, (i) => i.identifier.value),
        int8Array(sorted, (i) => i.firstPos),
        int8Array(sorted, (i) => i.firstAt),
        NO_PROFILE,
      ],
    });
  }

  /** Locks these in id order and says which there are: one that was taken back meanwhile is gone. */
  async lock(tx: Transaction, ids: readonly Uuid[]): Promise<Set<Uuid>> {
    const { rows } = await tx.run<{ id: Uuid }>({
      name: 'identity-lock',
      text: 'SELECT id FROM identifiers WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE',
      values: [uuidArray(ids, (id) => id)],
    });
    return new Set(rows.map(({ id }) => id));
  }

  /**
   * The evidence of each component, as the database knows them, that a replay needs: of each set the least row, or of
   * each set and day where `perDay`. At most `limit` rows of each.
   */
  async loadEvidence(
    tx: Transaction,
    components: readonly Component[],
    { rules, perDay, limit, others = [] }: EvidenceOptions,
  ): Promise<Map<Component, Evidence[]>> {
    if (components.length === 0) return new Map();
    const { rows } = await tx.run<{
      component_id: Uuid;
      anchor_id: Uuid;
      set_id: Uuid;
      day: number;
      occurred_at: number;
      source_id: number;
      message_id: string;
      known_at: number;
      identifier_ids: Uuid[];
    }>({
      name: 'identity-evidence',
      text: `SELECT c.id AS component_id, e.* FROM unnest($1::uuid[]) AS c (id) CROSS JOIN LATERAL (
               SELECT DISTINCT ON (e.set_id, CASE WHEN $2 THEN e.day END)
                      e.anchor_id, e.set_id, e.day, e.occurred_at, e.source_id, e.message_id, e.known_at, e.identifier_ids
               FROM identifiers i JOIN evidence e ON e.anchor_id = i.id
               WHERE i.component_id = c.id
               ORDER BY e.set_id, CASE WHEN $2 THEN e.day END, e.occurred_at, e.source_id, e.message_id COLLATE "C"
               LIMIT $3
             ) e`,
      values: [uuidArray(components, (component) => component.id), perDay, limit],
    });
    const byId = new Map(components.map((component) => [component.id, component]));
    const evidence = new Map(components.map((component) => [component, [] as Evidence[]]));
    for (const row of rows) {
      const component = byId.get(row.component_id);
      if (component === undefined) continue;
      evidence.get(component)?.push({
        anchorId: row.anchor_id,
        setId: row.set_id,
        day: row.day,
        key: { occurredAt: row.occurred_at, sourceId: row.source_id, messageId: row.message_id },
        knownAt: row.known_at,
        ...countedIn(
          row.identifier_ids,
          others.length === 0 ? component.members : withOthers(component, others),
          rules,
        ),
      });
    }
    return evidence;
  }

  save(tx: Transaction, writes: IdentityWrites): Promise<void> {
    return saveIdentity(tx, writes);
  }
}

function withOthers({ members }: Component, others: readonly Identifier[]): ReadonlyMap<Uuid, Identifier> {
  return new Map([...others.map((other): [Uuid, Identifier] => [other.id, other]), ...members]);
}

function componentsOf(rows: readonly ComponentRow[]): Component[] {
  const components = new Map<Uuid, Component>();
  for (const row of rows) {
    let component = components.get(row.component_id);
    if (component === undefined) {
      components.set(row.component_id, (component = newComponent(row.component_id, false)));
      component.isContested = row.is_contested;
    }
    addMember(component, {
      id: row.id,
      ns: row.ns,
      value: row.value,
      componentId: row.component_id,
      profileId: row.profile_id,
      firstPos: row.first_pos,
      firstAt: row.first_at,
      founded: foundedIn(row),
    });
  }
  return [...components.values()];
}

function foundedIn(row: ComponentRow): KnownProfile | null {
  if (row.p_id === null) return null;
  return {
    id: row.p_id,
    foundingId: row.id,
    foundedPos: row.founded_pos,
    createdAt: row.created_at,
    part: row.part,
    mergedInto: row.merged_into,
  };
}

/**
 * Whom a row of evidence counts for; those that count not need not be of the component, and have no names here. Neither
 * need those that count again and are not moved yet: the row is one of the others, as another set, so that an event that
 * brings all of them is news.
 */
export function countedIn(
  ids: readonly Uuid[],
  members: ReadonlyMap<Uuid, Identifier>,
  rules: IdentityRules,
): Pick<Evidence, 'identifiers' | 'uncounted'> & Partial<Pick<Evidence, 'setId'>> {
  const isAway = (id: Uuid): boolean => rules.generics?.former?.has(id) === true && !members.has(id);
  const here = ids.some(isAway) ? ids.filter((id) => !isAway(id)) : ids;
  const named = here.map((id) => members.get(id) ?? { id, ns: '', value: '' });
  const { counted, uncounted } = countedOf(named, rules);
  if (counted.some(({ ns }) => ns === '')) throw new Error('evidence names an identifier outside its component');
  const identifiers = counted.map(({ id, ns, value }) => ({ id, ns, value }));
  const row = uncounted === undefined ? { identifiers } : { identifiers, uncounted };
  return here === ids ? row : { ...row, setId: setIdOf(named) };
}
