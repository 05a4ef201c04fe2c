import type { MigrationInterface, QueryRunner } from 'typeorm';

/** For how long events of a source are kept, and how far those that are older are removed. */
export class SourceRetention1700000552000 implements MigrationInterface {
  readonly name = 'SourceRetention1700000552000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(`ALTER TABLE sources
      ADD COLUMN retention_ms bigint CHECK (retention_ms > 0),
      ADD COLUMN retention_strict boolean NOT NULL DEFAULT false`);
    // One pass through the log after the other; the totals are of all of them.
    await db.query(`CREATE TABLE source_retention (
      source_id int PRIMARY KEY REFERENCES sources (id),
      retention_ms bigint NOT NULL,
      -- Events that happened before are removed by this pass.
      cutoff_ms bigint NOT NULL,
      -- The log is looked through up to here, and to be so up to there.
      done_pos bigint NOT NULL,
      until_pos bigint NOT NULL,
      -- Of what is being taken back before the pass goes on.
      retraction_id uuid,
      removed_events bigint NOT NULL DEFAULT 0,
      removed_letters bigint NOT NULL DEFAULT 0,
      started_at bigint NOT NULL,
      finished_at bigint
    )`);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE source_retention');
    await db.query('ALTER TABLE sources DROP COLUMN retention_ms, DROP COLUMN retention_strict');
  }
}
