import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Work that somebody asked for once and that is done behind the rest, with what came of it for as long as that is kept. */
export class BackgroundJobs1700000922000 implements MigrationInterface {
  readonly name = 'BackgroundJobs1700000922000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE background_jobs');
  }
}

const UP = [
  `CREATE TABLE background_jobs (
     id uuid PRIMARY KEY,
     kind text NOT NULL,
     job jsonb NOT NULL,
     asked_by text NOT NULL,
     status text NOT NULL CHECK (status IN ('waiting', 'running', 'done', 'failed', 'cancelled')),
     requested_at bigint NOT NULL,
     attempts int NOT NULL DEFAULT 0,
     not_before bigint NOT NULL,
     started_at bigint,
     finished_at bigint,
     done bigint,
     total bigint,
     note text,
     result jsonb,
     error_code text,
     error_message text
   )`,
  `CREATE INDEX background_jobs_open ON background_jobs (not_before, id) WHERE status IN ('waiting', 'running')`,
  'CREATE INDEX background_jobs_requested ON background_jobs (requested_at, id)',
  'CREATE INDEX background_jobs_finished ON background_jobs (finished_at) WHERE finished_at IS NOT NULL',
];
