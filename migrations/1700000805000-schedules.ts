import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Work that is due by the clock, and what became of it each time. */
export class Schedules1700000805000 implements MigrationInterface {
  readonly name = 'Schedules1700000805000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(
      `CREATE TABLE schedules (
         key text COLLATE "C" PRIMARY KEY,
         kind text NOT NULL,
         job jsonb NOT NULL,
         cron text NOT NULL,
         zone text NOT NULL,
         max_attempts smallint NOT NULL,
         timeout_ms bigint NOT NULL,
         paused boolean NOT NULL DEFAULT false,
         next_due_at bigint,
         created_at bigint NOT NULL
       )`,
    );
    await db.query(
      `CREATE TABLE schedule_runs (
         id uuid PRIMARY KEY,
         schedule_key text COLLATE "C" NOT NULL REFERENCES schedules ON DELETE CASCADE,
         trigger text NOT NULL,
         status text NOT NULL,
         due_at bigint NOT NULL,
         missed integer NOT NULL,
         overlapped integer NOT NULL DEFAULT 0,
         attempts smallint NOT NULL DEFAULT 0,
         not_before bigint NOT NULL,
         started_at bigint,
         finished_at bigint,
         note text,
         result jsonb,
         error_code text,
         error_message text
       )`,
    );
    await db.query('CREATE INDEX schedule_runs_history ON schedule_runs (schedule_key, due_at DESC, id DESC)');
    // A schedule has at most one run that is not over: runs of one schedule never overlap.
    await db.query(
      `CREATE UNIQUE INDEX schedule_runs_open ON schedule_runs (schedule_key) WHERE status IN ('waiting', 'running')`,
    );
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE schedule_runs');
    await db.query('DROP TABLE schedules');
  }
}
