import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Of an erasure of which a step failed: how often, since when, why, and when it is tried again. */
export class ErasuresThatFail1700000866000 implements MigrationInterface {
  readonly name = 'ErasuresThatFail1700000866000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(
      `ALTER TABLE erasures ADD COLUMN failures int NOT NULL DEFAULT 0, ADD COLUMN failing_since bigint,
         ADD COLUMN retry_at bigint, ADD COLUMN failure text`,
    );
    await db.query('CREATE INDEX erasures_failing ON erasures (failing_since) WHERE failures > 0');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP INDEX erasures_failing');
    await db.query(
      'ALTER TABLE erasures DROP COLUMN failures, DROP COLUMN failing_since, DROP COLUMN retry_at, DROP COLUMN failure',
    );
  }
}
