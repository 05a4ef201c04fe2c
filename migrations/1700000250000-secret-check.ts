import type { MigrationInterface, QueryRunner } from 'typeorm';

/** By which a process notices that it was given another secret than the others; see `installation-secret.ts`. */
export class SecretCheck1700000250000 implements MigrationInterface {
  readonly name = 'SecretCheck1700000250000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE installation ADD COLUMN secret_check bytea');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE installation DROP COLUMN secret_check');
  }
}
