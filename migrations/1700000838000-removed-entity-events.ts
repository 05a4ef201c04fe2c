import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Which items have in them what a retention removed, and of whom: an erasure finds them by it. */
export class RemovedEntityEvents1700000838000 implements MigrationInterface {
  readonly name = 'RemovedEntityEvents1700000838000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(
      `CREATE TABLE removed_entity_events (
         fold_id int NOT NULL,
         identifier_id uuid NOT NULL,
         key text COLLATE "C" NOT NULL,
         PRIMARY KEY (fold_id, identifier_id, key)
       )`,
    );
    // Both are of people: none of them is to be kept by the planner.
    for (const column of ['identifier_id', 'key']) {
      await db.query(`ALTER TABLE removed_entity_events ALTER COLUMN ${column} SET STATISTICS 0`);
    }
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE removed_entity_events');
  }
}
