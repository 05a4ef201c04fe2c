import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Lists of people. Who is on one is told by traits of the profiles, as consents are; here is what it is called. */
export class Lists1700000897000 implements MigrationInterface {
  readonly name = 'Lists1700000897000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE TABLE lists (
        key text PRIMARY KEY,
        name text NOT NULL,
        description text NOT NULL,
        origin jsonb,
        created_at bigint NOT NULL,
        changed_at bigint,
        last_change jsonb
      )`);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE lists');
  }
}
