import type { MigrationInterface, QueryRunner } from 'typeorm';

/** When a list was replaced last, so that no change from before it says more, whatever began since. */
export class ReplacedLists1700000914000 implements MigrationInterface {
  readonly name = 'ReplacedLists1700000914000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE lists ADD COLUMN replaced_at bigint');
    await db.query(`UPDATE lists SET replaced_at = changed_at WHERE last_change ->> 'kind' = 'replace'`);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE lists DROP COLUMN replaced_at');
  }
}
