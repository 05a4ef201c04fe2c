import type { Uuid } from '../platform/ids.js';
import type { Queryable, Transaction } from '../platform/postgres.js';
import { GENERIC_RETRY_MS, SUSPECT_PAUSE_MS } from './generic-value.model.js';
import { MISPLACED } from './generic-value.store.js';

/** A component that may have generic values which are not known yet, and how often that was noted. */
interface Suspect {
  readonly id: Uuid;
  readonly news: number;
}

/** A value whose evidence, or whose anchor, may have changed, and how often that was noted. */
interface Stale {
  readonly id: Uuid;
  readonly marks: number;
}

/**
 * What is to be looked at for values that many people share: components (`generic_suspects`) and known values
 * (`generic_values.is_stale`). What came up during a look is looked at again, and what died in one, too: a look is
 * cleared after all that comes of it is written, and clears no more than it had seen.
 */
export class GenericLookStore {
  /** The next component to look at; null if there is none. */
  async nextSuspect(db: Queryable, nowMs: number): Promise<Suspect | null> {
    const [row] = await db.query<Suspect>(
      `SELECT component_id AS id, news FROM generic_suspects WHERE news > 0 AND due_at <= $1 ORDER BY due_at, component_id LIMIT 1`,
      [nowMs],
    );
    return row ?? null;
  }

  /** Notes that all was looked at that `news` stands for, in `tookMs`. */
  async cleared(
    db: Queryable,
    { id, news }: Suspect,
    { nowMs, tookMs }: { readonly nowMs: number; readonly tookMs: number },
  ): Promise<void> {
    await db.query('UPDATE generic_suspects SET news = news - $2, due_at = $3 WHERE component_id = $1', [
      id,
      news,
      nowMs + Math.max(SUSPECT_PAUSE_MS, 20 * tookMs),
    ]);
    await db.query('DELETE FROM generic_suspects s WHERE news <= 0 AND due_at <= $1 AND component_id <> $2', [
      nowMs,
      id,
    ]);
  }

  /** The next value to look at; null if there is none that is due. */
  async nextStale(db: Queryable, nowMs: number): Promise<Stale | null> {
    const [row] = await db.query<Stale>(
      `SELECT value_id AS id, marks FROM generic_values WHERE is_stale AND look_at <= $1 ORDER BY value_id LIMIT 1`,
      [nowMs],
    );
    return row ?? null;
  }

  /** Notes that the value was looked at, unless it was marked again since. */
  async looked(db: Queryable, { id, marks }: Stale): Promise<void> {
    await db.query('UPDATE generic_values SET is_stale = false, look_at = 0 WHERE value_id = $1 AND marks = $2', [
      id,
      marks,
    ]);
  }

  /** Has the value looked at again after a while: what came of the last look was given up. */
  async putOff(tx: Transaction, id: Uuid, nowMs: number): Promise<void> {
    const at = nowMs + GENERIC_RETRY_MS;
    const known = await tx.execute(
      'UPDATE generic_values SET is_stale = true, marks = marks + 1, look_at = $2 WHERE value_id = $1',
      [id, at],
    );
    if (known > 0) return;
    await tx.query(
      `INSERT INTO generic_suspects AS s (component_id, due_at) SELECT component_id, $2 FROM identifiers WHERE id = $1
       ON CONFLICT (component_id) DO UPDATE SET news = s.news + 1, due_at = greatest(s.due_at, excluded.due_at)`,
      [id, at],
    );
  }

  /**
   * Marks generic values on which events hang that belong elsewhere, though nobody was told: whom these events name waits
   * for it. Of those that rules block while nobody is at carrying out rules. At most `limit`.
   * @returns how many
   */
  async markMisplaced(db: Queryable, limit: number): Promise<number> {
    return db.execute(
      `UPDATE generic_values SET is_stale = true, marks = marks + 1 WHERE value_id IN (
         ${MISPLACED} AND NOT g.is_stale AND NOT (g.is_blocked AND EXISTS (
           SELECT FROM identity_revisions WHERE status IN ('waiting', 'running') AND kind = 'rules'
         )) AND NOT EXISTS (
           SELECT FROM identity_revisions r WHERE r.kind = 'generic' AND r.status IN ('waiting', 'running')
             AND r.input -> 'ids' ? g.value_id::text
         ) LIMIT $1
       )`,
      [limit],
    );
  }
}
