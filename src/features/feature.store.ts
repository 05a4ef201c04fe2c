import type { Transaction } from '../platform/postgres.js';
import type { StoredFeatureService, StoredFeatureView } from './feature.reader.js';

/** Writes feature definitions and gives streams their ids. */
export class FeatureStore {
  async saveView(tx: Transaction, view: StoredFeatureView, nowMs: number): Promise<void> {
    const { name, version, ...definition } = view;
    await tx.query(
      `INSERT INTO feature_views (name, version, definition, updated_at) VALUES ($1, $2, $3::jsonb, $4)
       ON CONFLICT (name) DO UPDATE
         SET version = excluded.version, definition = excluded.definition, updated_at = excluded.updated_at`,
      [name, version, JSON.stringify(definition), nowMs],
    );
  }

  async saveService(tx: Transaction, service: StoredFeatureService, nowMs: number): Promise<void> {
    const { name, version, description, features } = service;
    await tx.query(
      `INSERT INTO feature_services (name, version, definition, updated_at) VALUES ($1, $2, $3::jsonb, $4)
       ON CONFLICT (name) DO UPDATE
         SET version = excluded.version, definition = excluded.definition, updated_at = excluded.updated_at`,
      [name, version, JSON.stringify({ description, features }), nowMs],
    );
  }

  async dropViews(tx: Transaction, names: readonly string[]): Promise<void> {
    await tx.query('DELETE FROM feature_views WHERE name = ANY ($1)', [names]);
  }

  async dropServices(tx: Transaction, names: readonly string[]): Promise<void> {
    await tx.query('DELETE FROM feature_services WHERE name = ANY ($1)', [names]);
  }

  /**
   * Gives an id to every stream that has none and retires those that nothing reads any more. Ids are never reused:
   * packed states refer to them, and one that comes back has missed what happened meanwhile.
   */
  async syncStreams(tx: Transaction, keys: readonly string[], nowMs: number): Promise<void> {
    // Workers that register or fold history into a stream that goes have finished, or find it gone.
    await tx.query('LOCK TABLE stream_backfills IN SHARE ROW EXCLUSIVE MODE');
    await tx.query(
      'DELETE FROM stream_backfills WHERE stream_id IN (SELECT id FROM feature_streams WHERE key <> ALL ($1::text[]))',
      [keys],
    );
    await tx.query('DELETE FROM feature_streams WHERE key <> ALL ($1::text[])', [keys]);
    await tx.query(
      `INSERT INTO feature_streams (key, created_at)
       SELECT key, $2 FROM unnest($1::text[]) AS t (key)
       WHERE NOT EXISTS (SELECT FROM feature_streams s WHERE s.key = t.key)
       ORDER BY key`,
      [keys, nowMs],
    );
  }
}
