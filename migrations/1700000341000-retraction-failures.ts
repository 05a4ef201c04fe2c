import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Retractions that fail: how often in a row, when to try again, and why; `failed` once that was often enough. */
export class RetractionFailures1700000341000 implements MigrationInterface {
  readonly name = 'RetractionFailures1700000341000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
  }

  async down(db: QueryRunner): Promise<void> {
    for (const statement of DOWN) await db.query(statement);
  }
}

const UP = [
  `ALTER TABLE retractions
     ADD COLUMN failures int NOT NULL DEFAULT 0,
     ADD COLUMN retry_at bigint NOT NULL DEFAULT 0,
     ADD COLUMN reason text,
     DROP CONSTRAINT retractions_status_check,
     ADD CONSTRAINT retractions_status_check CHECK (status IN ('running', 'done', 'failed'))`,
];

const DOWN = [
  `UPDATE retractions SET status = 'running' WHERE status = 'failed'`,
  `ALTER TABLE retractions
     DROP COLUMN failures,
     DROP COLUMN retry_at,
     DROP COLUMN reason,
     DROP CONSTRAINT retractions_status_check,
     ADD CONSTRAINT retractions_status_check CHECK (status IN ('running', 'done'))`,
];
