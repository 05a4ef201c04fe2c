import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How far scheduled runs are. Runs may have been cancelled (`status`). */
export class ProgressOfScheduledRuns1700000923000 implements MigrationInterface {
  readonly name = 'ProgressOfScheduledRuns1700000923000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE schedule_runs ADD COLUMN done bigint, ADD COLUMN total bigint');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE schedule_runs DROP COLUMN total, DROP COLUMN done');
  }
}
