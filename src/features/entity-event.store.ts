import type { EventRow } from '../events/event-row.model.js';
import { byteaArray, int8Array, textArray, uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable, Transaction } from '../platform/postgres.js';

/** How far the log is folded into the items of one view. */
export interface FoldProgress {
  readonly id: number;
  readonly meaning: Uuid;
  /** Events up to here are in. */
  readonly pos: number;
  /** Whether items wait to be folded anew. */
  readonly hasRefolds: boolean;
}

export interface PackedItem {
  readonly key: string;
  readonly state: Buffer;
}

/** An item that is folded anew: its events up to `donePos` are in. */
export interface Refold extends PackedItem {
  readonly donePos: number;
}

/** An event of an item; its row in the log, or nulls where that is gone. */
export type ItemEvent = { readonly key: string; readonly at: number } & {
  readonly [F in keyof EventRow]: EventRow[F] | null;
};

/** Some events of items that are folded anew. */
export interface ItemEvents {
  readonly events: readonly ItemEvent[];
  /** Whether there are no more of any of the items. */
  readonly isWhole: boolean;
}

/** Writes states of items and which events they have. */
export class EntityEventStore {
  progress(db: Queryable): Promise<FoldProgress[]> {
    return db
      .run<FoldProgress>({
        name: 'entity-folds-progress',
        text: `SELECT f.id, f.meaning, f.pos, EXISTS (SELECT FROM entity_refolds r WHERE r.fold_id = f.id) AS "hasRefolds"
               FROM entity_folds f ORDER BY f.id`,
        values: [],
      })
      .then(({ rows }) => rows);
  }

  /**
   * Begins at the start of the log, once all are over that have removed events and did not see these rows yet: what they
   * removed would be read and left in the items (`forgetEntityEvents` takes the same lock in a mode that excludes this one).
   * @param sincePos where history ends
   */
  async begin(tx: Transaction, meanings: readonly Uuid[], sincePos: number): Promise<void> {
    await tx.query('LOCK TABLE entity_folds IN EXCLUSIVE MODE');
    await tx.query(
      `INSERT INTO entity_folds (meaning, pos, since_pos) SELECT m, 0, $2 FROM unnest($1::uuid[]) AS m ORDER BY m
       ON CONFLICT (meaning) DO NOTHING`,
      [uuidArray(meanings, (id) => id), sincePos],
    );
  }

  /** Locks those that are at this position, unless others are at work on them. @returns their ids */
  async lock(tx: Transaction, ids: readonly number[], pos: number): Promise<number[]> {
    const rows = await tx.query<{ id: number }>(
      'SELECT id FROM entity_folds WHERE id = ANY ($1::int4[]) AND pos = $2 ORDER BY id FOR UPDATE SKIP LOCKED',
      [ids, pos],
    );
    return rows.map(({ id }) => id);
  }

  async states(tx: Transaction, foldId: number, keys: readonly string[]): Promise<Map<string, Buffer>> {
    const rows = await tx.query<PackedItem>(
      'SELECT key, state FROM entity_states WHERE fold_id = $1 AND key = ANY ($2::text[])',
      [foldId, keys],
    );
    return new Map(rows.map(({ key, state }) => [key, state]));
  }

  async save(tx: Transaction, foldId: number, items: readonly PackedItem[]): Promise<void> {
    if (items.length === 0) return;
    await tx.query(
      `INSERT INTO entity_states (fold_id, key, state) SELECT $1, i.* FROM unnest($2::text[], $3::bytea[]) AS i
       ON CONFLICT (fold_id, key) DO UPDATE SET state = excluded.state`,
      [foldId, textArray(items, ({ key }) => key), byteaArray(items, ({ state }) => state)],
    );
  }

  async addEvents(
    tx: Transaction,
    foldId: number,
    events: readonly { readonly key: string; readonly pos: number }[],
  ): Promise<void> {
    if (events.length === 0) return;
    await tx.query(
      'INSERT INTO entity_events (fold_id, key, pos) SELECT $1, e.* FROM unnest($2::text[], $3::int8[]) AS e',
      [foldId, textArray(events, ({ key }) => key), int8Array(events, ({ pos }) => pos)],
    );
  }

  async advance(tx: Transaction, ids: readonly number[], pos: number): Promise<void> {
    await tx.query('UPDATE entity_folds SET pos = $2 WHERE id = ANY ($1::int4[])', [ids, pos]);
  }

  /** Has items folded anew whose states cannot be read; a pass that is under way makes them whole, too. */
  async refoldDamaged(tx: Transaction, foldId: number, keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    await tx.query(
      `INSERT INTO entity_refolds (fold_id, key, done_pos, state) SELECT $1, k, 0, ''::bytea
       FROM unnest($2::text[]) AS k ON CONFLICT (fold_id, key) DO NOTHING`,
      [foldId, textArray(keys, (key) => key)],
    );
  }

  /** Items that wait to be folded anew, by key, from this one on; where there is none, from the first. */
  async refolds(tx: Transaction, foldId: number, fromKey: string, limit: number): Promise<Refold[]> {
    const found = await tx.query<Refold>(
      `SELECT key, done_pos AS "donePos", state FROM entity_refolds
       WHERE fold_id = $1 AND key >= $2 COLLATE "C" ORDER BY key LIMIT $3`,
      [foldId, fromKey, limit],
    );
    return found.length > 0 || fromKey === '' ? found : this.refolds(tx, foldId, '', limit);
  }

  /**
   * Events of these items after where each is, item after item and by position: at most so many, and of so many bytes, but
   * one at least. Of the log no more rows are read than these, however many events the items have.
   * @param refolds by key
   */
  async eventsOf(
    tx: Transaction,
    foldId: number,
    refolds: readonly Refold[],
    { maxEvents, maxBytes }: { readonly maxEvents: number; readonly maxBytes: number },
  ): Promise<ItemEvents> {
    const rows = await tx.query<ItemEvent & { readonly total: number }>(
      `SELECT key, at, pos, accepted_at, occurred_at, source_id, part, historical, anchor_id, payload, total FROM (
         SELECT i.ord, i.key, i.at, l.*, count(*) OVER () AS total,
           sum(coalesce(octet_length(l.payload), 0)) OVER (ORDER BY i.ord, i.at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
             AS bytes_before
         FROM (
           SELECT a.ord, a.key, e.pos AS at FROM unnest($2::text[], $3::int8[]) WITH ORDINALITY AS a (key, done, ord)
           CROSS JOIN LATERAL (
             SELECT pos FROM entity_events WHERE fold_id = $1 AND key = a.key COLLATE "C" AND pos > a.done
             ORDER BY pos LIMIT $4
           ) e ORDER BY a.ord, e.pos LIMIT $4
         ) i LEFT JOIN LATERAL (
           SELECT pos, accepted_at, occurred_at, source_id, part, historical, anchor_id, payload
           FROM event_log WHERE pos = i.at AND NOT EXISTS (SELECT FROM dead_letters d WHERE d.pos = i.at)
         ) l ON true
       ) r WHERE coalesce(bytes_before, 0) < $5 ORDER BY ord, at`,
      [foldId, textArray(refolds, ({ key }) => key), int8Array(refolds, ({ donePos }) => donePos), maxEvents, maxBytes],
    );
    const total = rows[0]?.total ?? 0;
    return { events: rows, isWhole: rows.length === total && total < maxEvents };
  }

  /** Takes events out of items that they do not name any more. */
  async removeEvents(
    tx: Transaction,
    foldId: number,
    events: readonly { readonly key: string; readonly pos: number }[],
  ): Promise<void> {
    if (events.length === 0) return;
    await tx.query(
      `DELETE FROM entity_events e USING unnest($2::text[], $3::int8[]) AS g (key, pos)
       WHERE e.fold_id = $1 AND e.key = g.key COLLATE "C" AND e.pos = g.pos`,
      [foldId, textArray(events, ({ key }) => key), int8Array(events, ({ pos }) => pos)],
    );
  }

  /**
   * Ends the passes over these items; those of which more was taken meanwhile wait for another.
   * @param items whole ones; those without a state have no events
   */
  async finishRefolds(tx: Transaction, foldId: number, items: readonly PackedItem[]): Promise<void> {
    const keys = items.map(({ key }) => key);
    const emptied = items.filter(({ state }) => state.length === 0).map(({ key }) => key);
    await this.save(
      tx,
      foldId,
      items.filter(({ state }) => state.length > 0),
    );
    await tx.query('DELETE FROM entity_states WHERE fold_id = $1 AND key = ANY ($2::text[])', [foldId, emptied]);
    await tx.query(`DELETE FROM entity_refolds WHERE fold_id = $1 AND key = ANY ($2::text[]) AND again_ids = '{}'`, [
      foldId,
      keys,
    ]);
    await tx.query(
      `UPDATE entity_refolds SET done_pos = 0, state = '', retraction_ids = again_ids, again_ids = '{}'
       WHERE fold_id = $1 AND key = ANY ($2::text[])`,
      [foldId, keys],
    );
  }

  async advanceRefold(tx: Transaction, foldId: number, { key, donePos, state }: Refold): Promise<void> {
    await tx.query('UPDATE entity_refolds SET done_pos = $3, state = $4 WHERE fold_id = $1 AND key = $2', [
      foldId,
      key,
      donePos,
      state,
    ]);
  }

  /** Removes what nobody reads any more, at most `limit` rows of each kind; the row of its progress goes last. */
  async drop(tx: Transaction, foldId: number, limit: number): Promise<void> {
    let removed = 0;
    for (const table of ['entity_events', 'entity_states', 'entity_refolds', 'removed_entity_events']) {
      removed += await tx.execute(
        `DELETE FROM ${table} WHERE ctid IN (SELECT ctid FROM ${table} WHERE fold_id = $1 LIMIT $2)`,
        [foldId, limit],
      );
    }
    if (removed === 0) await tx.query('DELETE FROM entity_folds WHERE id = $1', [foldId]);
  }
}
