import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Erasing people: who is to be erased and how far that is, and who must not come back.
 *
 * `log_head.suppressions` is the version of `suppressions`: an append under another writes nothing (`event-log.postgres`).
 * Columns with what people are, said or did have no statistics: the planner's samples are copies like any other.
 */
export class Erasure1700000450000 implements MigrationInterface {
  readonly name = 'Erasure1700000450000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
    for (const [table, columns] of PERSONAL) {
      for (const [column, type] of columns) {
        await db.query(`ALTER TABLE ${table} ALTER COLUMN ${column} SET STATISTICS 0`);
        // Of the same type: nothing is rewritten, and the statistics that there are go.
        await db.query(`ALTER TABLE ${table} ALTER COLUMN ${column} TYPE ${type}`);
      }
    }
  }

  async down(db: QueryRunner): Promise<void> {
    for (const statement of DOWN) await db.query(statement);
    for (const [table, columns] of PERSONAL) {
      if (table === 'erasure_subjects') continue;
      for (const [column] of columns) await db.query(`ALTER TABLE ${table} ALTER COLUMN ${column} SET STATISTICS -1`);
    }
  }
}

const UP = [
  'ALTER TABLE log_head ADD COLUMN suppressions bigint NOT NULL DEFAULT 0',
  // hash: of an identifier's id, by a key of the installation's secret; the namespace names nobody.
  `CREATE TABLE suppressions (
     hash bytea PRIMARY KEY CHECK (length(hash) = 16),
     ns text NOT NULL,
     created_at bigint NOT NULL
   )`,
  // profile_id: of nobody, once it is done. barrier_pos: what was accepted up to there has to be applied first.
  `CREATE TABLE erasures (
     id uuid PRIMARY KEY,
     profile_id uuid NOT NULL,
     reason text NOT NULL,
     actor text NOT NULL,
     status text NOT NULL CHECK (status IN ('waiting', 'running', 'logical', 'physical', 'failed')),
     barrier_pos bigint NOT NULL,
     events bigint NOT NULL DEFAULT 0,
     rewritten bigint NOT NULL DEFAULT 0,
     letters bigint NOT NULL DEFAULT 0,
     deliveries bigint NOT NULL DEFAULT 0,
     requested_at bigint NOT NULL,
     logical_at bigint,
     compacted_at bigint,
     physical_at bigint
   )`,
  `CREATE INDEX erasures_open ON erasures (requested_at, id) WHERE status <> 'physical'`,
  'CREATE INDEX erasures_requested ON erasures (requested_at, id)',
  // Whom an erasure is of, while it is under way.
  `CREATE TABLE erasure_subjects (
     erasure_id uuid NOT NULL REFERENCES erasures (id),
     identifier_id uuid NOT NULL,
     ns text NOT NULL,
     value text NOT NULL,
     PRIMARY KEY (erasure_id, identifier_id)
   )`,
  `ALTER TABLE retractions ALTER COLUMN source_id DROP NOT NULL, ADD COLUMN erasure_id uuid REFERENCES erasures (id)`,
  'CREATE UNIQUE INDEX retractions_erasure ON retractions (erasure_id) WHERE erasure_id IS NOT NULL',
];

const DOWN = [
  'DELETE FROM retractions WHERE erasure_id IS NOT NULL',
  'ALTER TABLE retractions DROP COLUMN erasure_id, ALTER COLUMN source_id SET NOT NULL',
  'DROP TABLE erasure_subjects, erasures, suppressions',
  'ALTER TABLE log_head DROP COLUMN suppressions',
];

type Column = readonly [name: string, type: string];

const PERSONAL: readonly (readonly [table: string, columns: readonly Column[]])[] = [
  ['event_log', [['payload', 'bytea']]],
  ['identifiers', [['value', 'text']]],
  [
    'evidence',
    [
      ['message_id', 'text'],
      ['identifier_ids', 'uuid[]'],
    ],
  ],
  ['identity_moves', [['identifier_ids', 'uuid[]']]],
  [
    'anchor_states',
    [
      ['traits', 'bytea'],
      ['state', 'bytea'],
    ],
  ],
  [
    'dead_letters',
    [
      ['payload', 'bytea'],
      ['reason', 'text'],
      ['message_id', 'text'],
      ['replay_message_id', 'text'],
      ['form', 'jsonb'],
      ['fix', 'jsonb'],
    ],
  ],
  ['webhook_deliveries', [['sealed', 'bytea']]],
  ['plan_violations', [['samples', 'text[]']]],
  [
    'identity_links',
    [
      ['a_id', 'uuid'],
      ['b_id', 'uuid'],
      ['a_value', 'text'],
      ['b_value', 'text'],
    ],
  ],
  ['identity_revisions', [['input', 'jsonb']]],
  ['erasure_subjects', [['value', 'text']]],
];
