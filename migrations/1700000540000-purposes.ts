import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What data of people may be used for, and which of it the members of a segment have to allow. */
export class Purposes1700000540000 implements MigrationInterface {
  readonly name = 'Purposes1700000540000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(
      'CREATE TABLE purposes (key text PRIMARY KEY, definition jsonb NOT NULL, updated_at bigint NOT NULL)',
    );
    // A part of what decides membership, and so of a version.
    await db.query(`ALTER TABLE segment_versions ADD COLUMN purposes text[] NOT NULL DEFAULT '{}'`);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE segment_versions DROP COLUMN purposes');
    await db.query('DROP TABLE purposes');
  }
}
