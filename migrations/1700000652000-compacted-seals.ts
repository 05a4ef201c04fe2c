import type { MigrationInterface, QueryRunner } from 'typeorm';

/** `trait_rule_changes.compacted_at`: when what a change sealed was out of the files of the tables, too; ms, null: not yet. */
export class CompactedSeals1700000652000 implements MigrationInterface {
  readonly name = 'CompactedSeals1700000652000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE trait_rule_changes ADD COLUMN compacted_at int8');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE trait_rule_changes DROP COLUMN compacted_at');
  }
}
