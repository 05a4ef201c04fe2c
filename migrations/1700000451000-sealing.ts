import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How far the events that were logged before payloads were sealed are sealed since: every row up to `sealed_pos` is. */
export class Sealing1700000451000 implements MigrationInterface {
  readonly name = 'Sealing1700000451000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE installation ADD COLUMN sealed_pos bigint NOT NULL DEFAULT 0');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE installation DROP COLUMN sealed_pos');
  }
}
