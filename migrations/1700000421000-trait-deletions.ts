import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Traits that were deleted everywhere, and how many anchors a change of rules changed. */
export class TraitDeletions1700000421000 implements MigrationInterface {
  readonly name = 'TraitDeletions1700000421000';

  async up(db: QueryRunner): Promise<void> {
    // What was given for the trait until then does not count; the row stays, so that nothing of it comes back later.
    await db.query('CREATE TABLE trait_deletions (name text PRIMARY KEY, deleted_at bigint NOT NULL)');
    await db.query('ALTER TABLE trait_rule_changes ADD COLUMN anchors bigint NOT NULL DEFAULT 0');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE trait_rule_changes DROP COLUMN anchors');
    await db.query('DROP TABLE trait_deletions');
  }
}
