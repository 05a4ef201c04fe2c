import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What the report of a load needs to be right in every run, and an index by which dead letters are counted and paged:
 * each page asks every group of equal stage, code and source for its newest, so no filter leads to a scan.
 */
export class LoadReports1700000100000 implements MigrationInterface {
  readonly name = 'LoadReports1700000100000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(
      `ALTER TABLE loads ADD COLUMN rows_skipped bigint NOT NULL DEFAULT 0,
                         ADD COLUMN identifiers_dropped jsonb NOT NULL DEFAULT '{}'`,
    );
    await db.query(
      'CREATE INDEX dead_letters_group ON dead_letters (stage, code, coalesce(source_id, 0), received_at, id)',
    );
    await db.query('DROP INDEX dead_letters_source');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('CREATE INDEX dead_letters_source ON dead_letters (source_id, id)');
    await db.query('DROP INDEX dead_letters_group');
    await db.query('ALTER TABLE loads DROP COLUMN rows_skipped, DROP COLUMN identifiers_dropped');
  }
}
