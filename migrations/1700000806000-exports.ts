import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What was exported under a name, so that the next export can be of what changed since. */
export class Exports1700000806000 implements MigrationInterface {
  readonly name = 'Exports1700000806000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(
      `CREATE TABLE exports (
         name text COLLATE "C" PRIMARY KEY,
         spec_hash text NOT NULL,
         begun_run integer NOT NULL DEFAULT 0,
         confirmed_run integer NOT NULL DEFAULT 0,
         confirmed_at bigint
       )`,
    );
    // Without a foreign key to profiles: that somebody is gone is told by the next export.
    await db.query(
      `CREATE TABLE export_rows (
         export text COLLATE "C" NOT NULL REFERENCES exports ON DELETE CASCADE,
         profile_id uuid NOT NULL,
         hash bytea,
         pending_hash bytea,
         pending_run integer NOT NULL,
         PRIMARY KEY (export, profile_id)
       )`,
    );
    await db.query('CREATE INDEX export_rows_pending ON export_rows (export, pending_run)');
    await db.query('CREATE INDEX export_rows_profile ON export_rows (profile_id)');
    for (const column of ['hash', 'pending_hash']) {
      await db.query(`ALTER TABLE export_rows ALTER COLUMN ${column} SET STATISTICS 0`);
    }
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE export_rows');
    await db.query('DROP TABLE exports');
  }
}
