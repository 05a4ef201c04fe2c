import { int8Array, uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { Transaction } from '../platform/postgres.js';

/**
 * What becomes of the items that events name once these leave the log or say something else.
 *
 * - `refolded`: the events are gone, and so is what came of them;
 * - `kept`: the events are gone, and what came of them stays, with whom each event named, for who is erased later;
 * - `rewritten`: the events stay and may name another item, or none.
 *
 * Items that are folded anew note for which retraction, which is not done before they are.
 */
export type EntityEventFate =
  | { readonly kind: 'kept'; readonly named: readonly NamedIn[] }
  | { readonly kind: 'refolded' | 'rewritten'; readonly retractionId: Uuid };

/** An event, and the identifier of somebody in it. */
export interface NamedIn {
  readonly pos: number;
  readonly identifierId: Uuid;
}

// A pass over an item that is under way is finished first: it counts for an event that it has not reached, and what it has
// read already is for the pass behind it. Nobody moves `done_pos` while the rows of the folds are held.
const AGAIN = `INSERT INTO entity_refolds AS r (fold_id, key, done_pos, state, retraction_ids, again_ids)
  SELECT t.fold_id, t.key, 0, ''::bytea, ARRAY[$2::uuid],
    CASE WHEN min(t.pos) <= min(p.done_pos) THEN ARRAY[$2::uuid] ELSE '{}' END
  FROM touched t LEFT JOIN entity_refolds p ON p.fold_id = t.fold_id AND p.key = t.key
  GROUP BY t.fold_id, t.key ORDER BY 1, 2
  ON CONFLICT (fold_id, key) DO UPDATE SET retraction_ids = array_remove(r.retraction_ids, $2::uuid) || $2::uuid,
    again_ids = CASE WHEN excluded.again_ids = '{}' THEN r.again_ids
                     ELSE array_remove(r.again_ids, $2::uuid) || $2::uuid END`;

const STATEMENTS: Readonly<Record<EntityEventFate['kind'], string>> = {
  refolded: `WITH touched AS (DELETE FROM entity_events WHERE pos = ANY ($1::int8[]) RETURNING fold_id, key, pos) ${AGAIN}`,
  kept: `WITH gone AS (DELETE FROM entity_events WHERE pos = ANY ($1::int8[]) RETURNING fold_id, key, pos)
    INSERT INTO removed_entity_events (fold_id, identifier_id, key)
    SELECT DISTINCT g.fold_id, n.identifier_id, g.key
    FROM gone g JOIN unnest($2::int8[], $3::uuid[]) AS n (pos, identifier_id) USING (pos)
    ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING`,
  rewritten: `WITH touched AS (SELECT fold_id, key, pos FROM entity_events WHERE pos = ANY ($1::int8[])) ${AGAIN}`,
};

/**
 * Has the items of these events folded anew. To be called in the transaction that changes the log, after the change:
 * who folds events into items holds the rows that are locked here, so that what was read before is in the index by now.
 */
export async function forgetEntityEvents(
  tx: Transaction,
  positions: readonly number[],
  fate: EntityEventFate,
): Promise<void> {
  if (positions.length === 0) return;
  // A statement of its own: the next one has to see what was written while this waited.
  const folds = await tx.query('SELECT id FROM entity_folds ORDER BY id FOR SHARE');
  if (folds.length === 0) return;
  const at = int8Array(positions, (pos) => pos);
  await tx.query(
    STATEMENTS[fate.kind],
    fate.kind === 'kept' ? [at, ...columnsOf(fate.named)] : [at, fate.retractionId],
  );
}

function columnsOf(named: readonly NamedIn[]): [Buffer, Buffer] {
  return [int8Array(named, ({ pos }) => pos), uuidArray(named, ({ identifierId }) => identifierId)];
}

/** Items of one statement. */
const MAX_MARKED = 10_000;

/**
 * Has items folded anew that hold what came of events of an erased person which a retention removed; some at a time. To be
 * called once the log has no event of the person: then none is added.
 */
export async function forgetRemovedEvents(
  tx: Transaction,
  { erasureId, retractionId }: { readonly erasureId: Uuid; readonly retractionId: Uuid },
): Promise<void> {
  const folds = await tx.query('SELECT id FROM entity_folds ORDER BY id FOR SHARE');
  if (folds.length === 0) return;
  await tx.query(
    `WITH touched AS (
       DELETE FROM removed_entity_events WHERE ctid = ANY (ARRAY(
         SELECT r.ctid FROM erasure_subjects s CROSS JOIN entity_folds f
         JOIN removed_entity_events r ON r.fold_id = f.id AND r.identifier_id = s.identifier_id
         WHERE s.erasure_id = $1 LIMIT ${String(MAX_MARKED)}
       ))
       -- A pass that has read anything may have read the event before it was removed.
       RETURNING fold_id, key, 1::int8 AS pos
     ) ${AGAIN}`,
    [erasureId, retractionId],
  );
}
