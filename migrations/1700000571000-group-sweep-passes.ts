import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * A change of a group does not begin its sweep anew: the pass that is under way goes on, and another one follows it.
 *
 * `begun_version` is the group's version when the pass began. A pass is silent where only loaded history is behind it, and
 * forgets where values went that somebody may wait to be gone. What begins with `next_` is about the pass that follows.
 */
export class GroupSweepPasses1700000571000 implements MigrationInterface {
  readonly name = 'GroupSweepPasses1700000571000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(
      `ALTER TABLE group_sweeps ADD COLUMN begun_version bigint NOT NULL DEFAULT 0,
         ADD COLUMN is_silent boolean NOT NULL DEFAULT false, ADD COLUMN next_is_silent boolean NOT NULL DEFAULT true,
         ADD COLUMN forgets boolean NOT NULL DEFAULT false, ADD COLUMN next_forgets boolean NOT NULL DEFAULT false`,
    );
    await db.query('ALTER TABLE group_members ADD COLUMN is_silent boolean NOT NULL DEFAULT false');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE group_members DROP COLUMN is_silent');
    await db.query(
      `ALTER TABLE group_sweeps DROP COLUMN begun_version, DROP COLUMN is_silent, DROP COLUMN next_is_silent,
         DROP COLUMN forgets, DROP COLUMN next_forgets`,
    );
  }
}
