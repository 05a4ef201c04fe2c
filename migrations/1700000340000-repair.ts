import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What it takes to repair: dead letters with their raw input, a fix and a state; which load an event is of; and
 * retractions, the work of taking events back.
 *
 * `event_log.load_id` has an index of loaded events only, so that live ones cost nothing by it. Events loaded before
 * this have none, and `loads.is_marked` says so of their load.
 */
export class Repair1700000340000 implements MigrationInterface {
  readonly name = 'Repair1700000340000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
  }

  async down(db: QueryRunner): Promise<void> {
    for (const statement of DOWN) await db.query(statement);
  }
}

const UP = [
  `ALTER TABLE dead_letters
     ADD COLUMN state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'replayed', 'discarded')),
     ADD COLUMN form jsonb,
     ADD COLUMN fix jsonb,
     ADD COLUMN replay_message_id text,
     ADD COLUMN settled_at bigint`,
  'DROP INDEX dead_letters_group',
  'CREATE INDEX dead_letters_group ON dead_letters (state, stage, code, coalesce(source_id, 0), received_at, id)',

  'ALTER TABLE event_log ADD COLUMN load_id uuid',
  'CREATE INDEX event_log_load ON event_log (load_id, anchor_id) WHERE load_id IS NOT NULL',
  `ALTER TABLE loads
     ADD COLUMN mapping text,
     ADD COLUMN is_marked boolean NOT NULL DEFAULT false,
     DROP CONSTRAINT loads_status_check,
     ADD CONSTRAINT loads_status_check CHECK (status IN ('running', 'done', 'failed', 'reverting', 'reverted')),
     DROP CONSTRAINT loads_source_id_file_hash_mapping_hash_key`,
  // A load that was reverted stays on record; its file may be loaded again.
  `CREATE UNIQUE INDEX loads_standing ON loads (source_id, file_hash, mapping_hash) WHERE status <> 'reverted'`,
  'CREATE INDEX loads_started ON loads (started_at, id)',

  `CREATE TABLE retractions (
     id uuid PRIMARY KEY,
     source_id int NOT NULL,
     load_id uuid REFERENCES loads (id),
     status text NOT NULL CHECK (status IN ('running', 'done')),
     events bigint NOT NULL,
     profiles bigint NOT NULL,
     removed bigint NOT NULL DEFAULT 0,
     created_at bigint NOT NULL,
     finished_at bigint
   )`,
  `CREATE INDEX retractions_running ON retractions (created_at, id) WHERE status = 'running'`,
  'CREATE UNIQUE INDEX retractions_load ON retractions (load_id) WHERE load_id IS NOT NULL',
  // The events of a retraction that is not of a whole load; rows go with their events.
  `CREATE TABLE retracted_events (
     retraction_id uuid NOT NULL REFERENCES retractions (id),
     pos bigint NOT NULL,
     PRIMARY KEY (retraction_id, pos)
   )`,
  // Identifiers that may be gone: their entries in the online store are to be taken out, too.
  `ALTER TABLE publications ADD COLUMN identifier_ids uuid[] NOT NULL DEFAULT '{}'`,
];

const DOWN = [
  'ALTER TABLE publications DROP COLUMN identifier_ids',
  'DROP TABLE retracted_events',
  'DROP TABLE retractions',
  'DROP INDEX loads_started',
  'DROP INDEX loads_standing',
  `DELETE FROM loads WHERE status IN ('reverting', 'reverted')`,
  `ALTER TABLE loads
     DROP COLUMN mapping,
     DROP COLUMN is_marked,
     DROP CONSTRAINT loads_status_check,
     ADD CONSTRAINT loads_status_check CHECK (status IN ('running', 'done', 'failed')),
     ADD UNIQUE (source_id, file_hash, mapping_hash)`,
  'DROP INDEX event_log_load',
  'ALTER TABLE event_log DROP COLUMN load_id',
  'DROP INDEX dead_letters_group',
  `ALTER TABLE dead_letters DROP COLUMN state, DROP COLUMN form, DROP COLUMN fix, DROP COLUMN replay_message_id,
                            DROP COLUMN settled_at`,
  'CREATE INDEX dead_letters_group ON dead_letters (stage, code, coalesce(source_id, 0), received_at, id)',
];
