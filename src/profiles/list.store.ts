import type { Queryable, Transaction } from '../platform/postgres.js';
import { listTrait, type ListChange, type ListOrigin, type StoredList } from './list.model.js';

/** Writes lists. */
export class ListStore {
  async save(tx: Transaction, list: Pick<StoredList, 'key' | 'name' | 'description'>, nowMs: number): Promise<void> {
    await tx.query(
      `INSERT INTO lists (key, name, description, created_at) VALUES ($1, $2, $3, $4)
       ON CONFLICT (key) DO UPDATE SET name = excluded.name, description = excluded.description`,
      [list.key, list.name, list.description, nowMs],
    );
  }

  /** @returns the instant of its last change, ms; null: there was none */
  async remove(tx: Transaction, key: string): Promise<number | null> {
    const [row] = await tx.query<{ at: number | null }>('DELETE FROM lists WHERE key = $1 RETURNING changed_at AS at', [
      key,
    ]);
    return row?.at ?? null;
  }

  /**
   * Begins a change, which gets an instant of its own: two milliseconds after the last at least, since a replacement speaks
   * of two instants.
   * @returns the instant, ms; null: there is no such list
   */
  async begin(db: Queryable, key: string, change: ListChange, nowMs: number): Promise<number | null> {
    const [row] = await db.query<{ at: number }>(
      `UPDATE lists SET changed_at = greatest($2::int8, changed_at + 2), last_change = $3::jsonb,
         replaced_at = CASE WHEN $4 THEN greatest($2::int8, changed_at + 2) ELSE replaced_at END
       WHERE key = $1 RETURNING changed_at AS at`,
      [key, nowMs, JSON.stringify(change), change.kind === 'replace'],
    );
    return row?.at ?? null;
  }

  /** Whether the list was removed, or a replacement began, after a change: what the change still says would outlast that. */
  async isOver(db: Queryable, key: string, at: number): Promise<boolean> {
    const rows = await db.query('SELECT FROM lists WHERE key = $1 AND coalesce(replaced_at, 0) <= $2', [key, at]);
    return rows.length === 0;
  }

  /** When a list of this key was removed last, ms; null: never. */
  async removedAt(db: Queryable, key: string): Promise<number | null> {
    const [row] = await db.query<{ at: number }>('SELECT deleted_at AS at FROM trait_deletions WHERE name = $1', [
      listTrait(key),
    ]);
    return row?.at ?? null;
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
