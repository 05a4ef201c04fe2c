import type { MigrationInterface, QueryRunner } from 'typeorm';

/** When an alert was found last: those of live traffic are over a while after that. */
export class LiveAlerts1700000829000 implements MigrationInterface {
  readonly name = 'LiveAlerts1700000829000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE feature_alerts ADD COLUMN seen_at bigint');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE feature_alerts DROP COLUMN seen_at');
  }
}
