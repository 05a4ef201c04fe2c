import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Rules of who is who, every version that was ever applied: the newest is in force. Version 1 are the built-in ones, and
 * no row. `log_head.identity_rules` is the version in force: events that were normalised by another are not appended
 * (`event-log.postgres`).
 */
export class IdentityRules1700000500000 implements MigrationInterface {
  readonly name = 'IdentityRules1700000500000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(`CREATE TABLE identity_rules (
      version smallint PRIMARY KEY CHECK (version > 1),
      rules text NOT NULL,
      applied_at bigint NOT NULL,
      applied_by text NOT NULL
    )`);
    await db.query('ALTER TABLE log_head ADD COLUMN identity_rules smallint NOT NULL DEFAULT 1');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE log_head DROP COLUMN identity_rules');
    await db.query('DROP TABLE identity_rules');
  }
}
