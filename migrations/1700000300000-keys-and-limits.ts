import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Keys for browsers, rotation, rates of keys and sources, and sources that can be paused. */
export class KeysAndLimits1700000300000 implements MigrationInterface {
  readonly name = 'KeysAndLimits1700000300000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(`ALTER TABLE api_keys
      ADD COLUMN origins text[] NOT NULL DEFAULT '{}',
      ADD COLUMN rate_per_second int CHECK (rate_per_second > 0),
      ADD COLUMN rotated_from uuid REFERENCES api_keys (id)`);
    await db.query('CREATE INDEX api_keys_source ON api_keys (source_id) WHERE source_id IS NOT NULL');
    await db.query(`ALTER TABLE sources
      ADD COLUMN paused boolean NOT NULL DEFAULT false,
      ADD COLUMN max_events_per_second int CHECK (max_events_per_second > 0)`);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE sources DROP COLUMN paused, DROP COLUMN max_events_per_second');
    await db.query('DROP INDEX api_keys_source');
    await db.query('ALTER TABLE api_keys DROP COLUMN origins, DROP COLUMN rate_per_second, DROP COLUMN rotated_from');
  }
}
