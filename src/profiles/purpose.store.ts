import type { Transaction } from '../platform/postgres.js';
import type { PurposeDefinition } from './purpose.model.js';

/** Writes purposes. */
export class PurposeStore {
  async save(tx: Transaction, { key, ...definition }: PurposeDefinition, nowMs: number): Promise<void> {
    await tx.query(
      `INSERT INTO purposes (key, definition, updated_at) VALUES ($1, $2::jsonb, $3)
       ON CONFLICT (key) DO UPDATE SET definition = excluded.definition, updated_at = excluded.updated_at`,
      [key, JSON.stringify(definition), nowMs],
    );
  }

  async remove(tx: Transaction, keys: readonly string[]): Promise<void> {
    if (keys.length > 0) await tx.query('DELETE FROM purposes WHERE key = ANY ($1)', [keys]);
  }
}
