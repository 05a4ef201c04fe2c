import type { MigrationInterface, QueryRunner } from 'typeorm';

/** When a version was promoted last, so that a promotion can be taken back. Null: never, or before this was kept. */
export class PromotionsOfModels1700000890000 implements MigrationInterface {
  readonly name = 'PromotionsOfModels1700000890000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE models ADD COLUMN promoted_at bigint');
    // What is active now was promoted at some time; the first promotion from now on can be taken back to it.
    await db.query("UPDATE models SET promoted_at = created_at WHERE stage = 'active'");
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE models DROP COLUMN promoted_at');
  }
}
