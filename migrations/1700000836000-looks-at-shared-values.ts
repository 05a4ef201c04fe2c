import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * A value that many people share knows how often it was marked to be looked at, so that a look clears no mark that came
 * while it went on, and when the next look may be, after one that was given up.
 */
export class LooksAtSharedValues1700000836000 implements MigrationInterface {
  readonly name = 'LooksAtSharedValues1700000836000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(`ALTER TABLE generic_values ADD COLUMN marks bigint NOT NULL DEFAULT 0,
                                               ADD COLUMN look_at bigint NOT NULL DEFAULT 0`);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE generic_values DROP COLUMN look_at, DROP COLUMN marks');
  }
}
