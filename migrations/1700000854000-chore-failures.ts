import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What workers do beside batches and could not do: since when, how often, and why. */
export class ChoreFailures1700000854000 implements MigrationInterface {
  readonly name = 'ChoreFailures1700000854000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(
      `CREATE TABLE chore_failures (
         chore text PRIMARY KEY,
         failures int NOT NULL,
         since bigint NOT NULL,
         failed_at bigint NOT NULL,
         reason text NOT NULL
       )`,
    );
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE chore_failures');
  }
}
