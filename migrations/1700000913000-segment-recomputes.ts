import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Everybody evaluated anew because somebody asked for it, how far that is in each partition, and whether evaluating anew
 * and reading history rest. Timers that do it have 0 as the version of the definitions that asked (`sweep`).
 */
export class SegmentRecomputes1700000913000 implements MigrationInterface {
  readonly name = 'SegmentRecomputes1700000913000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
  }

  async down(db: QueryRunner): Promise<void> {
    for (const statement of DOWN) await db.query(statement);
  }
}

const UP = [
  `CREATE TABLE segment_recomputes (
     id uuid PRIMARY KEY,
     status text NOT NULL CHECK (status IN ('waiting', 'running', 'done', 'cancelled')),
     segment_ids int[] NOT NULL,
     request_ids uuid[] NOT NULL,
     requested_at bigint NOT NULL,
     started_at bigint,
     finished_at bigint,
     paused_ms bigint NOT NULL DEFAULT 0,
     total bigint,
     swept bigint NOT NULL DEFAULT 0,
     changes bigint NOT NULL DEFAULT 0
   )`,
  // One that is under way, and one that begins after it.
  `CREATE UNIQUE INDEX segment_recomputes_open ON segment_recomputes (status) WHERE status IN ('waiting', 'running')`,
  'CREATE INDEX segment_recomputes_requested ON segment_recomputes (requested_at, id)',
  // Of the latest that has begun: profiles up to `after_id` have their timers.
  `CREATE TABLE segment_recompute_parts (
     part smallint PRIMARY KEY,
     recompute_id uuid NOT NULL,
     after_id uuid NOT NULL,
     is_done boolean NOT NULL DEFAULT false,
     swept bigint NOT NULL DEFAULT 0
   )`,
  // One row while it rests, else none.
  `CREATE TABLE segment_work_pause (
     is_paused boolean PRIMARY KEY DEFAULT true CHECK (is_paused),
     since bigint NOT NULL
   )`,
  // What is live is found past what is evaluated anew, and the other way round; each timer stands in one of the two.
  'CREATE INDEX timers_live ON timers (due_at) WHERE sweep IS NULL',
  'CREATE INDEX timers_bulk ON timers (due_at) WHERE sweep IS NOT NULL',
  'DROP INDEX timers_due',
];

const DOWN = [
  'CREATE INDEX timers_due ON timers (due_at)',
  'DROP INDEX timers_bulk',
  'DROP INDEX timers_live',
  'DROP TABLE segment_work_pause',
  'DROP TABLE segment_recompute_parts',
  'DROP TABLE segment_recomputes',
];
