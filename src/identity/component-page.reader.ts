import { uuidArray } from '../platform/binary-arrays.js';
import { LEAST_ID, type Uuid } from '../platform/ids.js';
import type { Identifier } from '../events/event.model.js';
import type { Queryable } from '../platform/postgres.js';
import type { BlockedTest } from './blocked-patterns.js';
import type { ComponentSizes } from './rules-preview.model.js';
import { isReached, type RulesReach } from './rules-reach.model.js';

/** Components whose identifiers are counted at a time, to see whether they are reached. */
const MAX_COUNTED = 2_000;
/** Identifiers that are looked at at a time, to see whether they are blocked. */
const MAX_TESTED = 20_000;
/** Pairs of a value that counts again and a component that it was seen in, at most. */
export const MAX_MENTIONS = 100_000;

/** Components by rising id. A component bears the id of one of its members. */
export interface ComponentPage {
  readonly ids: readonly Uuid[];
  /** Components that were looked at for them. */
  readonly looked: number;
  /** Of their identifiers those that are blocked, where anything else is of the component. */
  readonly blocked: readonly Identifier[];
  /** Where the next page begins; null: there is none. */
  readonly place: Uuid | null;
}

interface ComponentPageInput {
  readonly place: Uuid | null;
  readonly limit: number;
  /** Null: all are reached. */
  readonly reach: RulesReach | null;
  /** Null: nobody is looked at for what is blocked. */
  readonly isBlocked: BlockedTest | null;
  /** Components that are reached, too; default: none. */
  readonly also?: { has(id: Uuid): boolean };
}

/**
 * The components after a place that a change of the rules reaches. A page may have fewer than `limit`, even none, and not
 * be the last: so many are looked at and no more.
 */
export async function componentPage(
  db: Queryable,
  { place, limit, reach, isBlocked, also }: ComponentPageInput,
): Promise<ComponentPage> {
  if (reach === null) {
    const ids = await componentsAfter(db, place, limit);
    const blocked = isBlocked === null ? new Map<Uuid, Identifier[]>() : await blockedIn(db, ids, isBlocked);
    const next = ids.length < limit ? null : (ids.at(-1) ?? null);
    return { ids, looked: ids.length, blocked: [...blocked.values()].flat(), place: next };
  }
  const looked = await componentsAfter(db, place, MAX_COUNTED);
  const counts = await countsOf(db, looked);
  const found = isBlocked === null ? new Map<Uuid, Identifier[]>() : await blockedIn(db, looked, isBlocked);
  const ids: Uuid[] = [];
  const blocked: Identifier[] = [];
  for (const [i, id] of looked.entries()) {
    const own = found.get(id) ?? [];
    if (own.length > 0 || also?.has(id) === true || isReached(counts.get(id) ?? new Map<string, number>(), reach))
      ids.push(id);
    blocked.push(...own);
    if (ids.length === limit) return { ids, looked: i + 1, blocked, place: id };
  }
  const next = looked.length < MAX_COUNTED ? null : (looked.at(-1) ?? null);
  return { ids, looked: looked.length, blocked, place: next };
}

/**
 * Identifiers that are blocked, by component. Those that are a component by themselves join nobody, and are none of them.
 * @param joined components that are to be part of others
 */
export async function blockedIn(
  db: Queryable,
  componentIds: readonly Uuid[],
  isBlocked: BlockedTest,
  joined?: { has(id: Uuid): boolean },
): Promise<Map<Uuid, Identifier[]>> {
  const blocked = new Map<Uuid, Identifier[]>();
  const values = [uuidArray(componentIds, (id) => id)];
  let after: Uuid | null = LEAST_ID;
  while (after !== null && componentIds.length > 0) {
    const rows: (Identifier & { readonly componentId: Uuid; readonly isAlone: boolean })[] = await db.query(
      `SELECT i.id, i.ns, i.value, i.component_id AS "componentId",
              i.id = i.component_id AND NOT EXISTS (
                SELECT FROM identifiers o WHERE o.component_id = i.component_id AND o.id <> i.id
              ) AS "isAlone"
       FROM identifiers i WHERE i.component_id = ANY ($1::uuid[]) AND i.id > $2 ORDER BY i.id LIMIT $3`,
      [...values, after, MAX_TESTED],
    );
    for (const { id, ns, value, componentId, isAlone } of rows) {
      if ((isAlone && joined?.has(componentId) !== true) || !isBlocked(ns, value)) continue;
      blocked.set(componentId, [...(blocked.get(componentId) ?? []), { id, ns, value }]);
    }
    after = rows.length < MAX_TESTED ? null : (rows.at(-1)?.id ?? null);
  }
  return blocked;
}

/** A value that is generic, or was, and a component that it was seen in. */
export interface NamedValue {
  readonly valueId: Uuid;
  readonly componentId: Uuid;
}

/** Components whose evidence names one of these values, and those that they are of. */
export async function componentsNaming(db: Queryable, valueIds: readonly Uuid[], limit: number): Promise<NamedValue[]> {
  if (valueIds.length === 0) return [];
  return db.query<NamedValue>(
    `SELECT DISTINCT m.value_id AS "valueId", i.component_id AS "componentId"
     FROM generic_mentions m JOIN identifiers i ON i.id = m.anchor_id WHERE m.value_id = ANY ($1::uuid[])
     UNION SELECT id, component_id FROM identifiers WHERE id = ANY ($1::uuid[]) LIMIT $2`,
    [uuidArray(valueIds, (id) => id), limit],
  );
}

/** Components by rising id, after a place. */
export async function componentsAfter(db: Queryable, place: Uuid | null, limit: number): Promise<Uuid[]> {
  const rows = await db.query<{ id: Uuid }>(
    'SELECT id FROM identifiers WHERE id > $1 AND component_id = id ORDER BY id LIMIT $2',
    [place ?? LEAST_ID, limit],
  );
  return rows.map(({ id }) => id);
}

/** Distinct values of each component, by namespace. */
async function countsOf(db: Queryable, ids: readonly Uuid[]): Promise<Map<Uuid, Map<string, number>>> {
  const rows = await db.query<{ id: Uuid; ns: string; n: number }>(
    `SELECT component_id AS id, ns, count(*) AS n FROM identifiers
     WHERE component_id = ANY ($1::uuid[]) GROUP BY component_id, ns`,
    [uuidArray(ids, (id) => id)],
  );
  const counts = new Map<Uuid, Map<string, number>>();
  for (const { id, ns, n } of rows) {
    const of = counts.get(id) ?? new Map<string, number>();
    counts.set(id, of.set(ns, n));
  }
  return counts;
}

export async function sizesOf(db: Queryable, ids: readonly Uuid[]): Promise<ComponentSizes> {
  const [row] = await db.query<ComponentSizes>(
    `SELECT count(*) AS identifiers, count(DISTINCT i.profile_id) AS profiles, coalesce(sum(e.n), 0)::int8 AS "evidenceRows"
     FROM identifiers i CROSS JOIN LATERAL (SELECT count(*) AS n FROM evidence e WHERE e.anchor_id = i.id) e
     WHERE i.component_id = ANY ($1::uuid[])`,
    [uuidArray(ids, (id) => id)],
  );
  return row ?? { identifiers: 0, profiles: 0, evidenceRows: 0 };
}

/** About how many there are: one for each profile, which is nearly true, by the statistics of the database. */
export async function estimateComponents(db: Queryable): Promise<number | null> {
  const [row] = await db.query<{ n: number }>(
    `SELECT greatest(reltuples, 0)::int8 AS n FROM pg_class WHERE oid = 'profiles'::regclass`,
  );
  return row === undefined || row.n === 0 ? null : row.n;
}
