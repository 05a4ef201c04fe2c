import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Of those that an item is folded anew for, which have taken what the pass under way had read already. */
export class PassesOverItems1700000842000 implements MigrationInterface {
  readonly name = 'PassesOverItems1700000842000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(`ALTER TABLE entity_refolds ADD COLUMN again_ids uuid[] NOT NULL DEFAULT '{}'`);
  }

  async down(db: QueryRunner): Promise<void> {
    // Without the column one pass is for all: it begins anew.
    await db.query(`UPDATE entity_refolds SET done_pos = 0, state = '' WHERE again_ids <> '{}'`);
    await db.query('ALTER TABLE entity_refolds DROP COLUMN again_ids');
  }
}
