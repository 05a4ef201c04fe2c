import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How often events of anchors of a partition were moved to or from other anchors. */
export class MovedEvents1700000820000 implements MigrationInterface {
  readonly name = 'MovedEvents1700000820000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE partitions ADD COLUMN moves bigint NOT NULL DEFAULT 0');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE partitions DROP COLUMN moves');
  }
}
