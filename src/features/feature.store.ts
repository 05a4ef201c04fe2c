import type { Transaction } from '../platform/postgres.js';
import type { StoredEntity, StoredFeatureService, StoredFeatureView } from './feature.reader.js';

const TABLES = { view: 'feature_views', service: 'feature_services', entity: 'feature_entities' } as const;
type StoredKind = keyof typeof TABLES;
type StoredDefinition = StoredFeatureView | StoredFeatureService | StoredEntity;

/** Writes feature definitions and gives streams their ids. */
export class FeatureStore {
  /** Puts a version in force and keeps it for ever. */
  async save(tx: Transaction, kind: StoredKind, item: StoredDefinition, nowMs: number): Promise<void> {
    const { name, version, ...definition } = item;
    const values = [name, version, JSON.stringify(definition), nowMs];
    await tx.query(
      `INSERT INTO ${TABLES[kind]} (name, version, definition, updated_at) VALUES ($1, $2, $3::jsonb, $4)
       ON CONFLICT (name) DO UPDATE
         SET version = excluded.version, definition = excluded.definition, updated_at = excluded.updated_at`,
      values,
    );
    await tx.query(
      `INSERT INTO feature_definition_versions (kind, name, version, definition, at)
       VALUES ($5, $1, $2, $3::jsonb, $4)`,
      [...values, kind],
    );
  }

  /** Removes what is in force. The versions stay, and one more says that it was removed. */
  async drop(tx: Transaction, kind: StoredKind, names: readonly string[], nowMs: number): Promise<void> {
    if (names.length === 0) return;
    await tx.query(
      `WITH gone AS (DELETE FROM ${TABLES[kind]} WHERE name = ANY ($1) RETURNING name, version)
       INSERT INTO feature_definition_versions (kind, name, version, at) SELECT $2, name, version + 1, $3 FROM gone`,
      [names, kind, nowMs],
    );
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
