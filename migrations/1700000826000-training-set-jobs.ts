import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Label files that were sent, and the training sets that are made of them; the files are in a folder. */
export class TrainingSetJobs1700000826000 implements MigrationInterface {
  readonly name = 'TrainingSetJobs1700000826000';

  async up(db: QueryRunner): Promise<void> {
    // The one folder that all processes keep the files in tells itself by this id.
    await db.query(
      `CREATE TABLE export_folders (
         is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
         id uuid NOT NULL
       )`,
    );
    await db.query(
      `CREATE TABLE label_files (
         id uuid PRIMARY KEY,
         name text NOT NULL,
         status text NOT NULL,
         stored_as text,
         sha256 text,
         bytes bigint NOT NULL DEFAULT 0,
         row_count bigint NOT NULL DEFAULT 0,
         left_out_rows bigint NOT NULL DEFAULT 0,
         columns text[] NOT NULL DEFAULT '{}',
         created_at bigint NOT NULL,
         expires_at bigint NOT NULL
       )`,
    );
    await db.query('CREATE INDEX label_files_created ON label_files (created_at DESC, id DESC)');
    await db.query(
      `CREATE TABLE training_set_jobs (
         id uuid PRIMARY KEY,
         label_file_id uuid REFERENCES label_files ON DELETE SET NULL,
         spec jsonb NOT NULL,
         status text NOT NULL,
         stop text,
         asked_by text NOT NULL,
         created_at bigint NOT NULL,
         not_before bigint NOT NULL,
         started_at bigint,
         finished_at bigint,
         expires_at bigint,
         attempts smallint NOT NULL DEFAULT 0,
         total_rows bigint,
         done_rows bigint NOT NULL DEFAULT 0,
         events bigint NOT NULL DEFAULT 0,
         bytes bigint,
         sha256 text,
         error_code text,
         error_message text
       )`,
    );
    await db.query('CREATE INDEX training_set_jobs_created ON training_set_jobs (created_at DESC, id DESC)');
    await db.query('CREATE INDEX training_set_jobs_label_file ON training_set_jobs (label_file_id)');
    await db.query(
      `CREATE INDEX training_set_jobs_open ON training_set_jobs (not_before, id)
       WHERE status IN ('waiting', 'running')`,
    );
    await db.query('ALTER TABLE erasures ADD COLUMN exports integer NOT NULL DEFAULT 0');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE erasures DROP COLUMN exports');
    await db.query('DROP TABLE training_set_jobs');
    await db.query('DROP TABLE label_files');
    await db.query('DROP TABLE export_folders');
  }
}
