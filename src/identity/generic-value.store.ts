import type { Identifier } from '../events/event.model.js';
import { STOP_WORKERS } from '../events/partition-lease.model.js';
import { int8Array, textArray, uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import { touchDefinitions } from '../platform/installation.js';
import type { Queryable, Transaction } from '../platform/postgres.js';
import { FORMER_KEPT_MS } from './generic-value.model.js';
import type { Evidence } from './evidence.model.js';
import { isUnique, type IdentityRules } from './identity-rules.model.js';

/** A value that was seen with many others. */
export interface CountedValue extends Identifier {
  readonly neighbours: number;
}

// Who may be a neighbour: identifiers, also generic values that nothing but other people's evidence names; none that is blocked.
const NAMED = `(SELECT id, ns, value FROM identifiers i
    WHERE NOT EXISTS (SELECT FROM generic_values g WHERE g.value_id = i.id AND g.is_blocked)
  UNION ALL SELECT g.value_id, g.ns, g.value FROM generic_values g
    WHERE NOT g.is_blocked AND NOT EXISTS (SELECT FROM identifiers i WHERE i.id = g.value_id))`;

/** Generic values `g` on which anything hangs that names somebody who counts; conditions may follow. */
export const MISPLACED = `SELECT g.value_id AS id FROM generic_values g
  WHERE g.is_generic AND EXISTS (
    SELECT FROM evidence e CROSS JOIN LATERAL unnest(e.identifier_ids) o (id)
    WHERE e.anchor_id = g.value_id AND o.id <> g.value_id
      AND NOT EXISTS (SELECT FROM generic_values other WHERE other.value_id = o.id AND other.is_generic)
  )`;

/** Rows of `generic_values`, and what tells which values are generic. */
export class GenericValueStore {
  /** Notes that there may be generic values in these components that are not known yet. */
  async suspect(tx: Queryable, componentIds: readonly Uuid[]): Promise<void> {
    await tx.query(
      `INSERT INTO generic_suspects AS s (component_id) SELECT unnest($1::uuid[])
       ON CONFLICT (component_id) DO UPDATE SET news = s.news + 1`,
      [uuidArray([...componentIds].sort(), (id) => id)],
    );
  }

  /**
   * The values of a component that were seen with more than `bound` others of unique namespaces.
   * @param without who would be blocked, where only what would be is asked
   */
  async crowdedIn(
    db: Queryable,
    componentId: Uuid,
    rules: IdentityRules,
    bound: number,
    without: readonly Uuid[] = [],
  ): Promise<CountedValue[]> {
    const { condition, values } = uniqueNamespaces(rules, 4);
    return db.query<CountedValue>(
      `SELECT i.id, i.ns, i.value, n.neighbours FROM (
         SELECT v.id, count(DISTINCT u.id) AS neighbours
         FROM identifiers m JOIN evidence e ON e.anchor_id = m.id
         CROSS JOIN LATERAL unnest(e.identifier_ids) v (id) CROSS JOIN LATERAL unnest(e.identifier_ids) u (id)
         JOIN ${NAMED} n ON n.id = u.id
         WHERE m.component_id = $1 AND u.id <> v.id AND u.id <> ALL ($3::uuid[]) AND ${condition}
         GROUP BY v.id HAVING count(DISTINCT u.id) > $2
       ) n JOIN identifiers i ON i.id = n.id ORDER BY n.neighbours DESC, i.id`,
      [componentId, bound, uuidArray(without, (id) => id), ...values],
    );
  }

  /** With how many others of unique namespaces the value was seen. */
  async neighboursOf(db: Queryable, id: Uuid, rules: IdentityRules): Promise<number> {
    const { condition, values } = uniqueNamespaces(rules, 2);
    const [row] = await db.query<{ n: number }>(
      `SELECT count(DISTINCT u.id) AS n FROM (
         SELECT m.id FROM identifiers v JOIN identifiers m ON m.component_id = v.component_id WHERE v.id = $1
         UNION SELECT anchor_id FROM generic_mentions WHERE value_id = $1
       ) a JOIN evidence e ON e.anchor_id = a.id CROSS JOIN LATERAL unnest(e.identifier_ids) u (id)
       JOIN ${NAMED} n ON n.id = u.id
       WHERE $1 = ANY (e.identifier_ids) AND u.id <> $1 AND ${condition}`,
      [id, ...values],
    );
    return row?.n ?? 0;
  }

  /** Of these, those of which somebody decided that they are none. */
  async keptAmong(db: Queryable, ids: readonly Uuid[]): Promise<Set<Uuid>> {
    if (ids.length === 0) return new Set();
    const rows = await db.query<{ id: Uuid }>(
      'SELECT value_id AS id FROM generic_values WHERE value_id = ANY ($1::uuid[]) AND is_kept',
      [uuidArray(ids, (id) => id)],
    );
    return new Set(rows.map(({ id }) => id));
  }

  /** Of these, generic ones on which anything hangs that names somebody who counts, by rising id. */
  async misplacedOn(db: Queryable, ids: readonly Uuid[], limit: number): Promise<Uuid[]> {
    const rows = await db.query<{ id: Uuid }>(
      `${MISPLACED} AND g.value_id = ANY ($1::uuid[]) ORDER BY g.value_id LIMIT $2`,
      [uuidArray(ids, (id) => id), limit],
    );
    return rows.map(({ id }) => id);
  }

  /**
   * Whether events are to be moved away from a generic value of the components of these identifiers: of whoever only
   * those name, no evidence that counts says anything until then, whether or not anybody is at it.
   */
  async areBesideMisplaced(db: Queryable, ids: readonly Uuid[]): Promise<boolean> {
    const rows = await db.query(
      `${MISPLACED} AND g.value_id IN (
         SELECT m.id FROM identifiers m
         WHERE m.component_id IN (SELECT component_id FROM identifiers WHERE id = ANY ($1::uuid[]))
       ) LIMIT 1`,
      [uuidArray(ids, (id) => id)],
    );
    return rows.length > 0;
  }

  /** Generic ones that are blocked on which anything hangs that names somebody who counts: one look at the evidence of each. */
  async misplacedOnBlocked(db: Queryable, limit: number): Promise<Uuid[]> {
    const rows = await db.query<{ id: Uuid }>(`${MISPLACED} AND g.is_blocked ORDER BY g.value_id LIMIT $1`, [limit]);
    return rows.map(({ id }) => id);
  }

  /** Notes that the evidence of these values, or their anchor, may have changed. */
  async markStale(tx: Queryable, ids: readonly Uuid[]): Promise<void> {
    await tx.query('UPDATE generic_values SET is_stale = true, marks = marks + 1 WHERE value_id = ANY ($1::uuid[])', [
      uuidArray(ids, (id) => id),
    ]);
  }

  /** All that many people share are to be counted anew. */
  async markAllStale(tx: Queryable): Promise<void> {
    await tx.query('UPDATE generic_values SET is_stale = true, marks = marks + 1 WHERE is_generic AND NOT is_blocked');
  }

  /** Writes down what somebody decided: that it is none, or nothing any more. */
  async decide(
    tx: Queryable,
    { id, ns, value }: Identifier,
    decision: { readonly isKept: boolean; readonly by: string; readonly reason: string; readonly nowMs: number },
  ): Promise<void> {
    await tx.query(
      `INSERT INTO generic_values AS g (value_id, ns, value, changed_at, is_kept, decided_by, decided_at, reason)
       VALUES ($1, $2, $3, $7, $4, $5, $7, $6)
       ON CONFLICT (value_id) DO UPDATE SET is_kept = $4, decided_by = $5, decided_at = $7, reason = $6, changed_at = $7`,
      [id, ns, value, decision.isKept, decision.by, decision.reason, decision.nowMs],
    );
  }

  /**
   * Makes a value generic, or none, for every worker from now on. Profiles need not be evaluated anew because of that:
   * who is concerned is resolved anew. One that is none any more is moving until what names it is where it belongs.
   * @returns false: nothing is changed, for it would count again with events that belong elsewhere (`#haveMisplaced`)
   */
  async toggle(
    tx: Transaction,
    { id, ns, value, neighbours }: CountedValue,
    { isGeneric, nowMs }: { readonly isGeneric: boolean; readonly nowMs: number },
  ): Promise<boolean> {
    await tx.query(STOP_WORKERS);
    if (!isGeneric && (await this.#haveMisplaced(tx, [id]))) return false;
    await tx.query(
      `INSERT INTO generic_values AS g (value_id, ns, value, is_generic, neighbours, changed_at)
       VALUES ($1, $2, $3, $4, $5, $6)
       ON CONFLICT (value_id) DO UPDATE SET is_generic = $4, is_moving = NOT $4, neighbours = $5, changed_at = $6`,
      [id, ns, value, isGeneric, neighbours, nowMs],
    );
    if (isGeneric) await mention(tx, [id]);
    await tellWorkers(tx);
    return true;
  }

  /** The same for values that rules block: they stand for nobody. */
  async block(tx: Transaction, values: readonly Identifier[], nowMs: number): Promise<void> {
    await tx.query(STOP_WORKERS);
    await tx.query(
      `INSERT INTO generic_values AS g (value_id, ns, value, is_generic, is_blocked, changed_at)
       SELECT id, ns, value, true, true, $4 FROM unnest($1::uuid[], $2::text[], $3::text[]) AS t (id, ns, value)
       ON CONFLICT (value_id) DO UPDATE SET is_generic = true, is_blocked = true, is_moving = false, changed_at = $4`,
      [
        uuidArray(values, ({ id }) => id),
        textArray(values, ({ ns }) => ns),
        textArray(values, ({ value }) => value),
        nowMs,
      ],
    );
    await mention(
      tx,
      values.map(({ id }) => id),
    );
    await tellWorkers(tx);
  }

  /**
   * Takes that back. Those that count again are moving until what names them is where it belongs.
   * @returns false: nothing is changed, for one of them has events that belong elsewhere (`#haveMisplaced`)
   */
  async unblock(
    tx: Transaction,
    values: readonly { readonly id: Uuid; readonly neighbours: number; readonly isGeneric: boolean }[],
    nowMs: number,
  ): Promise<boolean> {
    await tx.query(STOP_WORKERS);
    const ids = values.map(({ id }) => id);
    if (await this.#haveMisplaced(tx, ids)) return false;
    await tx.query(
      `UPDATE generic_values g SET is_blocked = false, neighbours = t.n, is_generic = g.value_id <> ALL ($3::uuid[]),
         is_moving = g.value_id = ANY ($3::uuid[]), is_stale = true, marks = marks + 1, changed_at = $4
       FROM unnest($1::uuid[], $2::int8[]) AS t (id, n) WHERE g.value_id = t.id`,
      [
        uuidArray(ids, (id) => id),
        int8Array(values, ({ neighbours }) => neighbours),
        uuidArray(
          values.filter(({ isGeneric }) => !isGeneric),
          ({ id }) => id,
        ),
        nowMs,
      ],
    );
    await tellWorkers(tx);
    return true;
  }

  /**
   * Whether events that hang on one of these are yet to be moved away. Whom they name is not of its component any more, so
   * it cannot count before they are. To be called with no worker applying events: nothing comes to hang there then.
   */
  async #haveMisplaced(tx: Transaction, ids: readonly Uuid[]): Promise<boolean> {
    return (await this.misplacedOn(tx, ids, 1)).length > 0;
  }

  /** Values that count again, of which not all is moved yet. */
  async moving(db: Queryable, limit: number): Promise<Uuid[]> {
    const rows = await db.query<{ id: Uuid }>(
      'SELECT value_id AS id FROM generic_values WHERE is_moving ORDER BY value_id LIMIT $1',
      [limit],
    );
    return rows.map(({ id }) => id);
  }

  /** Forgets values that nothing names any more, save those of which somebody decided: they may be of one person alone. */
  async forgetUnnamed(tx: Transaction): Promise<void> {
    const isUnnamed = `NOT g.is_kept AND NOT EXISTS (SELECT FROM identifiers i WHERE i.id = g.value_id)
      AND NOT EXISTS (SELECT FROM generic_mentions m WHERE m.value_id = g.value_id)`;
    if ((await tx.query(`SELECT FROM generic_values g WHERE ${isUnnamed} LIMIT 1`)).length === 0) return;
    await tx.query(STOP_WORKERS);
    await tx.query(`DELETE FROM generic_values g WHERE ${isUnnamed}`);
    await tellWorkers(tx);
  }

  /**
   * Forgets values that count again, once all is where it belongs and no process can be left that has not heard of it, nor
   * an event that one accepted; at most `limit`. What somebody decided about stays.
   * @returns how many
   */
  async forgetFormer(db: Queryable, nowMs: number, limit: number): Promise<number> {
    return db.execute(
      `DELETE FROM generic_values WHERE value_id IN (
         SELECT g.value_id FROM generic_values g
         WHERE NOT g.is_generic AND NOT g.is_moving AND NOT g.is_stale AND NOT g.is_kept
           AND g.changed_at < least($1::int8, (
             SELECT accepted_at FROM event_log WHERE pos > (SELECT min(applied_pos) FROM partitions) ORDER BY pos LIMIT 1
           )) - $2::int8
           AND NOT EXISTS (SELECT FROM generic_mentions m WHERE m.value_id = g.value_id)
         LIMIT $3 FOR UPDATE OF g SKIP LOCKED
       )`,
      [nowMs, FORMER_KEPT_MS, limit],
    );
  }

  /** Notes values that count again with the anchors of events that belong to them, so that these are moved. */
  async noteLate(tx: Queryable, pairs: readonly (readonly [value: Uuid, anchor: Uuid])[]): Promise<void> {
    const values = uuidArray(pairs, ([value]) => value);
    await tx.query(
      `INSERT INTO generic_mentions (value_id, anchor_id)
       SELECT DISTINCT * FROM unnest($1::uuid[], $2::uuid[]) AS t (value, anchor) ORDER BY 1, 2 ON CONFLICT DO NOTHING`,
      [values, uuidArray(pairs, ([, anchor]) => anchor)],
    );
    await tx.query(
      `WITH late AS (SELECT value_id FROM generic_values WHERE value_id = ANY ($1::uuid[]) ORDER BY value_id FOR UPDATE)
       UPDATE generic_values g SET is_moving = NOT is_generic, is_stale = true, marks = marks + 1 FROM late WHERE g.value_id = late.value_id`,
      [values],
    );
  }

  /** All that names these values is where it belongs: from here on they are kept as long as `forgetFormer` says. */
  async moved(tx: Queryable, ids: readonly Uuid[], nowMs: number): Promise<void> {
    await tx.query(
      'UPDATE generic_values SET is_moving = false, changed_at = $2 WHERE value_id = ANY ($1::uuid[]) AND is_moving',
      [uuidArray(ids, (id) => id), nowMs],
    );
  }

  /** Anchors whose evidence names one of the values beside themselves, by rising id. */
  async mentions(db: Queryable, ids: readonly Uuid[], limit: number): Promise<Uuid[]> {
    if (ids.length === 0) return [];
    const rows = await db.query<{ id: Uuid }>(
      `SELECT DISTINCT anchor_id AS id FROM generic_mentions WHERE value_id = ANY ($1::uuid[]) ORDER BY anchor_id LIMIT $2`,
      [uuidArray(ids, (id) => id), limit],
    );
    return rows.map((row) => row.id);
  }

  /**
   * Before these rows are all of the anchors' evidence: forgets what the anchors mention, save values that count again and
   * are not moved yet, where a row still names them. Values that were mentioned are to be counted anew.
   * @param movedIds values whose events were moved with it
   */
  async replaceMentions(
    tx: Transaction,
    anchorIds: readonly Uuid[],
    evidence: readonly Evidence[],
    movedIds: readonly Uuid[],
  ): Promise<void> {
    const rows = await tx.query<{ id: Uuid; anchorId: Uuid }>(
      'DELETE FROM generic_mentions WHERE anchor_id = ANY ($1::uuid[]) RETURNING value_id AS id, anchor_id AS "anchorId"',
      [uuidArray(anchorIds, (id) => id)],
    );
    const moved = new Set(movedIds);
    const named = new Set(
      evidence.flatMap(({ anchorId, identifiers }) => identifiers.map(({ id }) => `${id} ${anchorId}`)),
    );
    const standing = rows.filter(({ id, anchorId }) => !moved.has(id) && named.has(`${id} ${anchorId}`));
    if (standing.length > 0) {
      await tx.query(
        `INSERT INTO generic_mentions (value_id, anchor_id)
         SELECT t.* FROM unnest($1::uuid[], $2::uuid[]) AS t (value, anchor)
         JOIN generic_values g ON g.value_id = t.value AND g.is_moving`,
        [uuidArray(standing, ({ id }) => id), uuidArray(standing, ({ anchorId }) => anchorId)],
      );
    }
    const touched = [...new Set([...rows.map(({ id }) => id), ...anchorIds])];
    await tx.query('UPDATE generic_values SET is_stale = true, marks = marks + 1 WHERE value_id = ANY ($1::uuid[])', [
      uuidArray(touched, (id) => id),
    ]);
  }
}

/** Profiles need not be evaluated anew because of it: those that are as the definitions before say are as these say. */
async function tellWorkers(tx: Transaction): Promise<void> {
  await tx.query('UPDATE installation SET generic_version = generic_version + 1');
  const version = await touchDefinitions(tx);
  await tx.query('UPDATE partitions SET swept_version = $1 WHERE swept_version = $1 - 1', [version]);
}

/** Notes the anchors whose evidence names values that have just become generic: all are of their components. */
async function mention(tx: Transaction, ids: readonly Uuid[]): Promise<void> {
  await tx.query(
    `INSERT INTO generic_mentions (value_id, anchor_id)
     SELECT DISTINCT u.id, e.anchor_id
     FROM (SELECT DISTINCT component_id FROM identifiers WHERE id = ANY ($1::uuid[]) OFFSET 0) c
     JOIN identifiers m ON m.component_id = c.component_id JOIN evidence e ON e.anchor_id = m.id
     CROSS JOIN LATERAL unnest(e.identifier_ids) u (id)
     WHERE u.id = ANY ($1::uuid[]) AND u.id <> e.anchor_id ON CONFLICT DO NOTHING`,
    [uuidArray(ids, (id) => id)],
  );
}

/** Notes the anchors of evidence that names generic values. */
export async function saveMentions(tx: Queryable, evidence: readonly Evidence[]): Promise<void> {
  const named = new Map<string, readonly [value: Uuid, anchor: Uuid]>();
  for (const { anchorId, uncounted = [] } of evidence) {
    for (const { id } of uncounted) named.set(`${id} ${anchorId}`, [id, anchorId]);
  }
  if (named.size === 0) return;
  const pairs = [...named.values()];
  await tx.query(
    `INSERT INTO generic_mentions (value_id, anchor_id) SELECT * FROM unnest($1::uuid[], $2::uuid[])
     ON CONFLICT DO NOTHING`,
    [uuidArray(pairs, ([id]) => id), uuidArray(pairs, ([, anchorId]) => anchorId)],
  );
}

/** SQL that is true where `n.ns` is unique. @param first number of its first parameter */
function uniqueNamespaces(
  { namespaces, fallback }: IdentityRules,
  first: number,
): { readonly condition: string; readonly values: readonly unknown[] } {
  const listed = [...namespaces];
  const unique = listed.filter(([, rule]) => isUnique(rule)).map(([ns]) => ns);
  return {
    condition: `(n.ns = ANY ($${String(first)}::text[]) OR ($${String(first + 1)} AND n.ns <> ALL ($${String(first + 2)}::text[])))`,
    values: [unique, isUnique(fallback), listed.map(([ns]) => ns)],
  };
}
