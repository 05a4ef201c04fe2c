import type { Queryable } from '../platform/postgres.js';
import type { ChangeSubscription } from './change-subscription.model.js';

const FIELDS = `key, filter, seq, created_at AS "createdAt", acknowledged_at AS "acknowledgedAt"`;

/** Rows of `change_subscriptions`. */
export class ChangeSubscriptionStore {
  constructor(private readonly db: Queryable) {}

  async count(): Promise<number> {
    const [row] = await this.db.query<{ count: number }>('SELECT count(*)::int8 AS count FROM change_subscriptions');
    return row?.count ?? 0;
  }

  async find(key: string): Promise<ChangeSubscription | null> {
    const [row] = await this.db.query<ChangeSubscription>(`SELECT ${FIELDS} FROM change_subscriptions WHERE key = $1`, [
      key,
    ]);
    return row ?? null;
  }

  /** By key, those after one; null: from the first. */
  async page(afterKey: string | null, limit: number): Promise<ChangeSubscription[]> {
    return this.db.query<ChangeSubscription>(
      `SELECT ${FIELDS} FROM change_subscriptions WHERE key > $1 ORDER BY key LIMIT $2`,
      [afterKey ?? '', limit],
    );
  }

  /** False where there is one of this key. */
  async insert({ key, filter, seq, createdAt }: ChangeSubscription): Promise<boolean> {
    const inserted = await this.db.execute(
      `INSERT INTO change_subscriptions (key, filter, seq, created_at) VALUES ($1, $2::jsonb, $3, $4)
       ON CONFLICT DO NOTHING`,
      [key, JSON.stringify(filter), seq, createdAt],
    );
    return inserted === 1;
  }

  /** Its place stays. Null where there is none of this key. */
  async setFilter(key: string, filter: ChangeSubscription['filter']): Promise<ChangeSubscription | null> {
    const [row] = await this.db.query<ChangeSubscription>(
      `UPDATE change_subscriptions SET filter = $2::jsonb WHERE key = $1 RETURNING ${FIELDS}`,
      [key, JSON.stringify(filter)],
    );
    return row ?? null;
  }

  /** Moves the position on, never back; null where there is none of this key, or the feed does not reach so far. */
  async acknowledge(key: string, seq: number, nowMs: number): Promise<ChangeSubscription | null> {
    const [row] = await this.db.query<ChangeSubscription>(
      `UPDATE change_subscriptions
       SET seq = greatest(seq, $2::int8), acknowledged_at = CASE WHEN seq < $2::int8 THEN $3 ELSE acknowledged_at END
       WHERE key = $1 AND $2::int8 BETWEEN 0 AND (SELECT h.seq FROM feed_head h) RETURNING ${FIELDS}`,
      [key, seq, nowMs],
    );
    return row ?? null;
  }

  /** False where there is none of this key. */
  async remove(key: string): Promise<boolean> {
    return (await this.db.execute('DELETE FROM change_subscriptions WHERE key = $1', [key])) === 1;
  }
}
