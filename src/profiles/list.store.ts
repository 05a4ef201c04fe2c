import type { Queryable, Transaction } from '../platform/postgres.js';
import type { ListChange, ListOrigin, StoredList } from './list.model.js';

/** Writes lists. */
export class ListStore {
  async save(tx: Transaction, list: Pick<StoredList, 'key' | 'name' | 'description'>, nowMs: number): Promise<void> {
    await tx.query(
      `INSERT INTO lists (key, name, description, created_at) VALUES ($1, $2, $3, $4)
       ON CONFLICT (key) DO UPDATE SET name = excluded.name, description = excluded.description`,
      [list.key, list.name, list.description, nowMs],
    );
  }

  async remove(tx: Transaction, key: string): Promise<void> {
    await tx.query('DELETE FROM lists WHERE key = $1', [key]);
  }

  /**
   * Begins a change, which gets an instant of its own: two milliseconds after the last at least, since a replacement speaks
   * of two instants.
   * @returns the instant, ms; null: there is no such list
   */
  async begin(db: Queryable, key: string, change: ListChange, nowMs: number): Promise<number | null> {
    const [row] = await db.query<{ at: number }>(
      `UPDATE lists SET changed_at = greatest($2::int8, changed_at + 2), last_change = $3::jsonb
       WHERE key = $1 RETURNING changed_at AS at`,
      [key, nowMs, JSON.stringify(change)],
    );
    return row?.at ?? null;
  }

  /** Whether a replacement was the last to begin, after a change, so that what the change still says would outlast it. */
  async isReplaced(db: Queryable, key: string, at: number): Promise<boolean> {
    const rows = await db.query(
      `SELECT FROM lists WHERE key = $1 AND changed_at > $2 AND last_change ->> 'kind' = 'replace'`,
      [key, at],
    );
    return rows.length > 0;
  }

  /** Says how a change ended, unless a later one has begun. */
  async settle(db: Queryable, key: string, at: number, change: ListChange): Promise<void> {
    await db.query('UPDATE lists SET last_change = $3::jsonb WHERE key = $1 AND changed_at = $2', [
      key,
      at,
      JSON.stringify(change),
    ]);
  }

  async setOrigin(db: Queryable, key: string, origin: ListOrigin | null): Promise<void> {
    await db.query('UPDATE lists SET origin = $2::jsonb WHERE key = $1', [
      key,
      origin === null ? null : JSON.stringify(origin),
    ]);
  }
}
