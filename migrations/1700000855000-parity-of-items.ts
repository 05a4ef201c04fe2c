import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Features of items are compared with the log as well: whose a feature is. */
export class ParityOfItems1700000855000 implements MigrationInterface {
  readonly name = 'ParityOfItems1700000855000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(`ALTER TABLE feature_parity ADD COLUMN entity text NOT NULL DEFAULT 'profile'`);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query(`DELETE FROM feature_parity WHERE entity <> 'profile'`);
    await db.query('ALTER TABLE feature_parity DROP COLUMN entity');
  }
}
