import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * When an identifier was first seen. Most stand for one profile as long as they are known: a row of `assignments` for
 * each of them said nothing that `identifiers` does not, and was a seventh of what a new person took to be written. From
 * now on there are rows of an identifier there from its first move on, the first of them for what it stood for before.
 * Those that were known before have theirs already, and no `first_at`.
 */
export class FirstAssignments1700000876000 implements MigrationInterface {
  readonly name = 'FirstAssignments1700000876000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE identifiers ADD COLUMN first_at bigint');
    // ANALYZE of a table that an erasure left empty keeps what it sampled before.
    for (const column of ['identifier_id', 'profile_id']) {
      await db.query(`ALTER TABLE assignments ALTER COLUMN ${column} SET STATISTICS 0`);
      // Of the same type: nothing is rewritten, and the statistics that there are go.
      await db.query(`ALTER TABLE assignments ALTER COLUMN ${column} TYPE uuid`);
    }
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query(
      `INSERT INTO assignments (identifier_id, from_pos, from_at, profile_id)
       SELECT i.id, i.first_pos, i.first_at, i.profile_id FROM identifiers i
       WHERE i.first_at IS NOT NULL AND NOT EXISTS (SELECT FROM assignments a WHERE a.identifier_id = i.id)`,
    );
    for (const column of ['identifier_id', 'profile_id']) {
      await db.query(`ALTER TABLE assignments ALTER COLUMN ${column} SET STATISTICS -1`);
    }
    await db.query('ALTER TABLE identifiers DROP COLUMN first_at');
  }
}
