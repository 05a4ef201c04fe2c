import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * `unmatched_news`: as of which resolution of a contested component nothing of its members is kept to be compared by a
 * model of record linkage; null: that was not looked at yet.
 */
export class UnmatchedComponents1700000600000 implements MigrationInterface {
  readonly name = 'UnmatchedComponents1700000600000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE contested_components ADD COLUMN unmatched_news bigint');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE contested_components DROP COLUMN unmatched_news');
  }
}
