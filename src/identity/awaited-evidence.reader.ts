import type { Identifier } from '../events/event.model.js';
import { uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import type { Component } from './component.model.js';
import { setIdOf, type Evidence } from './evidence.model.js';
import { inAnchorOrder } from './generic-value.model.js';
import type { IdentityRules } from './identity-rules.model.js';

/** A row of evidence that hangs on a generic value. */
interface AwaitedRow extends Pick<Evidence, 'day' | 'key' | 'knownAt'> {
  readonly ids: readonly Uuid[];
}

interface AwaitedOptions {
  readonly rules: IdentityRules;
  /** More rows than these are not looked at, of a component as of all. */
  readonly maxRows: number;
}

/**
 * Adds what is known of members whom no evidence that counts names, but events that hang on a generic value and are yet to
 * be moved to them. Without it they would be resolved away, and be somebody else once their events are theirs again. These
 * rows are as they will be once their events hang where they belong, but for members of other components: with those they
 * are joined when the events are moved.
 *
 * @param evidence that counts, by component
 * @returns all evidence, by component; null: more than is looked at
 */
export async function withAwaited(
  db: Queryable,
  evidence: ReadonlyMap<Component, readonly Evidence[]>,
  { rules, maxRows }: AwaitedOptions,
): Promise<Map<Component, readonly Evidence[] | null>> {
  const found = new Map<Component, Evidence[] | null>();
  const componentOf = new Map<Uuid, Component>();
  for (const [component, rows] of evidence) {
    const isTooMuch = rows.length > maxRows;
    found.set(component, isTooMuch ? null : [...rows]);
    if (isTooMuch || (rules.generics?.ids.size ?? 0) === 0) continue;
    const named = new Set(rows.flatMap(({ identifiers }) => identifiers.map(({ id }) => id)));
    for (const id of component.members.keys()) {
      if (!named.has(id) && rules.generics?.ids.has(id) !== true) componentOf.set(id, component);
    }
  }
  const awaited = await awaitedRows(db, [...componentOf.keys()], maxRows + 1);
  if (awaited.length > maxRows) {
    for (const component of componentOf.values()) found.set(component, null);
    return found;
  }
  for (const { ids, ...row } of awaited) {
    for (const component of new Set(ids.flatMap((id) => componentOf.get(id) ?? []))) {
      const identifiers = countingMembers(ids, component, rules);
      const anchorId = identifiers[0]?.id ?? component.id;
      const day = identifiers.length === 1 ? 0 : row.day;
      found.get(component)?.push({ ...row, anchorId, setId: setIdOf(identifiers), day, identifiers });
    }
  }
  for (const [component, rows] of found) if (rows !== null && rows.length > maxRows) found.set(component, null);
  return found;
}

/** In the order that evidence has them. */
function countingMembers(ids: readonly Uuid[], { members }: Component, rules: IdentityRules): readonly Identifier[] {
  const counting = ids.flatMap((id) => (rules.generics?.ids.has(id) === true ? [] : (members.get(id) ?? [])));
  return inAnchorOrder(
    counting.map(({ id, ns, value }) => ({ id, ns, value })),
    rules,
  );
}

/**
 * The evidence that hangs on generic values and names one of these beside them, the least row of each set. One look at the
 * evidence of each generic value.
 */
async function awaitedRows(db: Queryable, ids: readonly Uuid[], limit: number): Promise<AwaitedRow[]> {
  if (ids.length === 0) return [];
  const rows = await db.query<Omit<AwaitedRow, 'key'> & AwaitedRow['key']>(
    `SELECT DISTINCT ON (e.set_id) e.identifier_ids AS ids, e.day, e.known_at AS "knownAt",
            e.occurred_at AS "occurredAt", e.source_id AS "sourceId", e.message_id AS "messageId"
     FROM generic_values g JOIN evidence e ON e.anchor_id = g.value_id
     WHERE g.is_generic AND cardinality(e.identifier_ids) > 1
       AND EXISTS (SELECT FROM unnest(e.identifier_ids) o (id) WHERE o.id = ANY ($1::uuid[]))
     ORDER BY e.set_id, e.occurred_at, e.source_id, e.message_id COLLATE "C" LIMIT $2`,
    [uuidArray(ids, (id) => id), limit],
  );
  return rows.map(({ occurredAt, sourceId, messageId, ...row }) => ({
    ...row,
    key: { occurredAt, sourceId, messageId },
  }));
}
