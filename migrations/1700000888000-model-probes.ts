import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What is found out about a version of a model when it is registered: its inputs and outputs, its sets of operators, and
 * how long it takes. Versions from before have none until their files are registered again.
 */
export class ModelProbes1700000888000 implements MigrationInterface {
  readonly name = 'ModelProbes1700000888000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE models ADD COLUMN probe jsonb');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE models DROP COLUMN probe');
  }
}
