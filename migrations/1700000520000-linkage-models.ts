import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Models of record linkage by their content, and what profiles are compared by: of each, the values that the active model
 * reads, the blocks that these put it in, and the pairs that weigh enough.
 *
 * Everything but the models themselves can be worked out anew from profiles and the active model. What names or describes
 * somebody has no statistics: the planner's samples are copies like any other.
 */
export class LinkageModels1700000520000 implements MigrationInterface {
  readonly name = 'LinkageModels1700000520000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
    for (const [table, columns] of PERSONAL) {
      for (const column of columns) await db.query(`ALTER TABLE ${table} ALTER COLUMN ${column} SET STATISTICS 0`);
    }
  }

  async down(db: QueryRunner): Promise<void> {
    for (const statement of DOWN) await db.query(statement);
  }
}

const UP = [
  // mapping: where the columns of a record are from; it and the thresholds (log2 of odds) are those of the last activation.
  `CREATE TABLE linkage_models (
     version text PRIMARY KEY CHECK (version ~ '^[0-9a-f]{64}$'),
     name text NOT NULL,
     content text NOT NULL,
     status text NOT NULL CHECK (status IN ('added', 'active', 'retired')),
     mapping jsonb,
     link_threshold float8 NOT NULL,
     review_threshold float8 NOT NULL,
     added_at bigint NOT NULL,
     added_by text NOT NULL,
     activated_at bigint,
     activated_by text,
     CHECK (status = 'added' OR mapping IS NOT NULL)
   )`,
  `CREATE UNIQUE INDEX linkage_models_active ON linkage_models (status) WHERE status = 'active'`,
  'CREATE INDEX linkage_models_added ON linkage_models (added_at, version)',
  // How far the comparison of all profiles by the active model is. components_skipped: they have too much evidence.
  `CREATE TABLE matching_state (
     only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
     phase text NOT NULL CHECK (phase IN ('idle', 'keying', 'scoring', 'live')),
     place uuid,
     components_done bigint NOT NULL DEFAULT 0,
     components_total bigint,
     started_at bigint,
     finished_at bigint
   )`,
  `INSERT INTO matching_state (phase) VALUES ('idle')`,
  // Identifiers of whom something changed that the active model may read.
  `CREATE TABLE matching_work (
     identifier_id uuid PRIMARY KEY,
     is_forced boolean NOT NULL
   )`,
  // A person as evidence and people's decisions have them, without what models linked; id: of one of the identifiers.
  `CREATE TABLE matching_records (
     id uuid PRIMARY KEY,
     record_values text NOT NULL,
     is_scored boolean NOT NULL
   )`,
  'CREATE INDEX matching_records_unscored ON matching_records (id) WHERE NOT is_scored',
  `CREATE TABLE matching_members (
     identifier_id uuid PRIMARY KEY,
     record_id uuid NOT NULL REFERENCES matching_records (id) ON DELETE CASCADE
   )`,
  'CREATE INDEX matching_members_record ON matching_members (record_id)',
  // rule: its number in the model.
  `CREATE TABLE matching_keys (
     key bytea NOT NULL,
     record_id uuid NOT NULL REFERENCES matching_records (id) ON DELETE CASCADE,
     rule smallint NOT NULL,
     PRIMARY KEY (key, record_id)
   )`,
  'CREATE INDEX matching_keys_record ON matching_keys (record_id)',
  // Blocks with too many records for all of their pairs to be compared.
  `CREATE TABLE matching_large_blocks (
     key bytea PRIMARY KEY,
     rule smallint NOT NULL
   )`,
  `CREATE TABLE matching_pairs (
     a_id uuid NOT NULL REFERENCES matching_records (id) ON DELETE CASCADE,
     b_id uuid NOT NULL REFERENCES matching_records (id) ON DELETE CASCADE,
     weight float8 NOT NULL,
     PRIMARY KEY (a_id, b_id),
     CHECK (a_id < b_id)
   )`,
  'CREATE INDEX matching_pairs_b ON matching_pairs (b_id)',
  // Pairs of which it is to be looked whether they are to be linked.
  `CREATE TABLE matching_link_work (
     a_id uuid NOT NULL,
     b_id uuid NOT NULL,
     PRIMARY KEY (a_id, b_id)
   )`,
  `CREATE TABLE identity_reviews (
     id uuid PRIMARY KEY,
     a_id uuid NOT NULL,
     b_id uuid NOT NULL,
     version text NOT NULL,
     weight float8 NOT NULL,
     status text NOT NULL CHECK (status IN ('open', 'merged', 'kept_apart', 'skipped')),
     opened_at bigint NOT NULL,
     decided_at bigint,
     decided_by text,
     reason text,
     UNIQUE (a_id, b_id)
   )`,
  'CREATE INDEX identity_reviews_status ON identity_reviews (status, weight, id)',
  'CREATE INDEX identity_reviews_b ON identity_reviews (b_id)',
];

const DOWN = [
  'DROP TABLE identity_reviews, matching_link_work, matching_pairs, matching_large_blocks, matching_keys',
  'DROP TABLE matching_members, matching_records, matching_work, matching_state, linkage_models',
];

const PERSONAL: readonly (readonly [table: string, columns: readonly string[]])[] = [
  ['linkage_models', ['content']],
  ['matching_work', ['identifier_id']],
  ['matching_records', ['id', 'record_values']],
  ['matching_members', ['identifier_id', 'record_id']],
  ['matching_keys', ['key', 'record_id']],
  ['matching_large_blocks', ['key']],
  ['matching_pairs', ['a_id', 'b_id']],
  ['matching_link_work', ['a_id', 'b_id']],
  ['identity_reviews', ['a_id', 'b_id']],
];
