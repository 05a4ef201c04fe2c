import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Which events of a marked delivery may have been taken back, so that a replay that goes on with it can tell whether they
 * are in the log again.
 */
export class TakenBackMessages1700000452000 implements MigrationInterface {
  readonly name = 'TakenBackMessages1700000452000';

  async up(db: QueryRunner): Promise<void> {
    // Dedupe ids. Null in a delivery that was marked before this column was there: any of its events.
    await db.query('ALTER TABLE webhook_deliveries ADD COLUMN taken_back_ids uuid[]');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE webhook_deliveries DROP COLUMN taken_back_ids');
  }
}
