import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How many values were not compared with the log, as more events are behind them than are read. */
export class TooBigForParity1700000873000 implements MigrationInterface {
  readonly name = 'TooBigForParity1700000873000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE feature_parity ADD COLUMN too_big bigint NOT NULL DEFAULT 0');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE feature_parity DROP COLUMN too_big');
  }
}
