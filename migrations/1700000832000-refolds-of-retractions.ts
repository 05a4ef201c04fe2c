import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Items that are folded anew know for which retractions: each waits for its own and for no others. */
export class RefoldsOfRetractions1700000832000 implements MigrationInterface {
  readonly name = 'RefoldsOfRetractions1700000832000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(`ALTER TABLE entity_refolds ADD COLUMN retraction_ids uuid[] NOT NULL DEFAULT '{}'`);
    // For which those are that wait now is not known: for all that may have marked them.
    await db.query(
      `UPDATE entity_refolds SET retraction_ids = ARRAY(SELECT id FROM retractions WHERE status <> 'done' ORDER BY id)`,
    );
    await db.query('CREATE INDEX entity_refolds_by_retraction ON entity_refolds USING gin (retraction_ids)');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE entity_refolds DROP COLUMN retraction_ids');
  }
}
