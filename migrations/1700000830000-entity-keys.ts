import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Keys of entities by code point, so that a prefix is a range of the index; records that reverts take back. */
export class EntityKeys1700000830000 implements MigrationInterface {
  readonly name = 'EntityKeys1700000830000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE entity_records ALTER COLUMN key TYPE text COLLATE "C"');
    await db.query(
      'ALTER TABLE retractions ADD COLUMN records bigint NOT NULL DEFAULT 0, ADD COLUMN removed_records bigint NOT NULL DEFAULT 0',
    );
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE retractions DROP COLUMN records, DROP COLUMN removed_records');
    await db.query('ALTER TABLE entity_records ALTER COLUMN key TYPE text COLLATE "default"');
  }
}
