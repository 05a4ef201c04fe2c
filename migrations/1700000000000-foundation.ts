import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The tables of the whole loop, in the order data flows.
 *
 * Conventions: times are `bigint` milliseconds UTC. Identifiers, anchors and event sets have ids that are hashes of
 * their content (`hashId`), so rows can be written without a look-up. `pos` is a position in the event log,
 * `seq` one in the change feed; both grow in commit order.
 */
export class Foundation1700000000000 implements MigrationInterface {
  readonly name = 'Foundation1700000000000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP SEQUENCE IF EXISTS publish_version');
    for (const table of TABLES) await db.query(`DROP TABLE IF EXISTS ${table} CASCADE`);
  }
}

const UP = [
  `CREATE TABLE installation (
     only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
     partitions smallint NOT NULL CHECK (partitions BETWEEN 1 AND 1024),
     definitions_version bigint NOT NULL DEFAULT 0,
     created_at bigint NOT NULL
   )`,
  `CREATE TABLE sources (
     id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     key text NOT NULL UNIQUE,
     name text NOT NULL,
     kind text NOT NULL CHECK (kind IN ('http', 'batch')),
     config jsonb NOT NULL DEFAULT '{}',
     created_at bigint NOT NULL
   )`,
  `CREATE TABLE api_keys (
     id uuid PRIMARY KEY,
     name text NOT NULL,
     prefix text NOT NULL,
     key_hash bytea NOT NULL UNIQUE,
     scopes text[] NOT NULL,
     source_id int REFERENCES sources (id),
     created_at bigint NOT NULL,
     expires_at bigint,
     revoked_at bigint,
     last_used_at bigint
   )`,

  // --- event log ---------------------------------------------------------------------------------------------------
  // The one row is locked by every append until it commits: positions are handed out in commit order, without gaps.
  `CREATE TABLE log_head (
     only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
     pos bigint NOT NULL,
     accepted_at bigint NOT NULL
   )`,
  `CREATE TABLE event_log (
     pos bigint PRIMARY KEY,
     accepted_at bigint NOT NULL,
     occurred_at bigint NOT NULL,
     source_id int NOT NULL,
     part smallint NOT NULL,
     rules_version smallint NOT NULL,
     historical boolean NOT NULL,
     anchor_id uuid NOT NULL,
     dedupe_id uuid NOT NULL,
     payload bytea NOT NULL
   )`,
  `CREATE UNIQUE INDEX event_log_dedupe ON event_log (dedupe_id)`,
  `CREATE INDEX event_log_anchor ON event_log (anchor_id, occurred_at)`,
  `CREATE TABLE partitions (
     part smallint PRIMARY KEY,
     applied_pos bigint NOT NULL DEFAULT 0,
     swept_version bigint NOT NULL DEFAULT 0,
     epoch bigint NOT NULL DEFAULT 0,
     holder int
   ) WITH (fillfactor = 10)`,
  `CREATE TABLE dead_letters (
     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     source_id int,
     stage text NOT NULL CHECK (stage IN ('accept', 'load', 'apply')),
     code text NOT NULL,
     reason text NOT NULL,
     message_id text,
     pos bigint,
     load_id uuid,
     row_number bigint,
     received_at bigint NOT NULL,
     payload bytea NOT NULL
   )`,
  `CREATE INDEX dead_letters_source ON dead_letters (source_id, id)`,
  `CREATE UNIQUE INDEX dead_letters_load ON dead_letters (load_id, row_number) WHERE load_id IS NOT NULL`,
  `CREATE UNIQUE INDEX dead_letters_pos ON dead_letters (pos) WHERE pos IS NOT NULL`,
  `CREATE TABLE loads (
     id uuid PRIMARY KEY,
     source_id int NOT NULL REFERENCES sources (id),
     file_hash text NOT NULL,
     file_name text NOT NULL,
     mapping_hash text NOT NULL,
     time_shift_ms bigint NOT NULL,
     emit boolean NOT NULL,
     status text NOT NULL CHECK (status IN ('running', 'done', 'failed')),
     rows_read bigint NOT NULL DEFAULT 0,
     accepted bigint NOT NULL DEFAULT 0,
     duplicates bigint NOT NULL DEFAULT 0,
     refused bigint NOT NULL DEFAULT 0,
     started_at bigint NOT NULL,
     finished_at bigint,
     UNIQUE (source_id, file_hash, mapping_hash)
   )`,

  // --- identity ----------------------------------------------------------------------------------------------------
  // component_id: the raw component (union of all evidence, limits ignored). profile_id: who it stands for now.
  `CREATE TABLE identifiers (
     id uuid PRIMARY KEY,
     ns text NOT NULL,
     value text NOT NULL,
     component_id uuid NOT NULL,
     profile_id uuid NOT NULL,
     first_pos bigint NOT NULL
   )`,
  `CREATE INDEX identifiers_component ON identifiers (component_id)`,
  `CREATE INDEX identifiers_profile ON identifiers (profile_id)`,
  // One row per (set of identifiers, UTC day): the least (occurred_at, source, message) of the events that carry it.
  `CREATE TABLE evidence (
     anchor_id uuid NOT NULL,
     set_id uuid NOT NULL,
     day int NOT NULL,
     occurred_at bigint NOT NULL,
     source_id int NOT NULL,
     message_id text NOT NULL,
     known_at bigint NOT NULL,
     identifier_ids uuid[] NOT NULL,
     PRIMARY KEY (anchor_id, set_id, day)
   )`,
  // Which profile an identifier stood for, from which log position on; what identity as-of questions read.
  `CREATE TABLE assignments (
     identifier_id uuid NOT NULL,
     from_pos bigint NOT NULL,
     from_at bigint NOT NULL,
     profile_id uuid NOT NULL,
     PRIMARY KEY (identifier_id, from_pos)
   )`,

  // --- profiles ----------------------------------------------------------------------------------------------------
  // A profile keeps the part of its component that holds its founding identifier; merged_into makes it an alias.
  `CREATE TABLE profiles (
     id uuid PRIMARY KEY,
     founding_id uuid NOT NULL UNIQUE,
     founded_pos bigint NOT NULL,
     created_at bigint NOT NULL,
     merged_into uuid,
     part smallint NOT NULL
   )`,
  `CREATE INDEX profiles_part ON profiles (part, id)`,
  `CREATE INDEX profiles_merged ON profiles (merged_into) WHERE merged_into IS NOT NULL`,
  // Packed tiles of all features and the traits of one anchor. Nothing that changes is indexed: updates stay in place.
  `CREATE TABLE anchor_states (
     anchor_id uuid PRIMARY KEY,
     part smallint NOT NULL,
     traits bytea NOT NULL,
     state bytea NOT NULL
   ) WITH (fillfactor = 70)`,

  // --- features, models ---------------------------------------------------------------------------------------------
  // A stream is one partial aggregate that one or more features read. Its id is what packed states refer to.
  `CREATE TABLE feature_streams (
     id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     key text NOT NULL UNIQUE,
     created_at bigint NOT NULL
   )`,
  // A new stream counts live events after since_pos; a backfill adds those up to it, chunk by chunk. Partials merge, so
  // the two never have to wait for each other. Ready once done_pos has reached since_pos in every partition.
  `CREATE TABLE stream_backfills (
     stream_id smallint NOT NULL REFERENCES feature_streams (id),
     part smallint NOT NULL,
     since_pos bigint NOT NULL,
     done_pos bigint NOT NULL,
     PRIMARY KEY (stream_id, part)
   )`,
  `CREATE TABLE feature_views (
     name text PRIMARY KEY,
     version int NOT NULL,
     definition jsonb NOT NULL,
     updated_at bigint NOT NULL
   )`,
  `CREATE TABLE feature_services (
     name text PRIMARY KEY,
     version int NOT NULL,
     definition jsonb NOT NULL,
     updated_at bigint NOT NULL
   )`,
  `CREATE TABLE model_blobs (
     digest text PRIMARY KEY,
     bytes bytea NOT NULL
   )`,
  `CREATE TABLE models (
     key text NOT NULL,
     version int NOT NULL,
     digest text NOT NULL REFERENCES model_blobs (digest),
     stage text NOT NULL CHECK (stage IN ('shadow', 'canary', 'active', 'retired')),
     manifest jsonb NOT NULL,
     created_at bigint NOT NULL,
     PRIMARY KEY (key, version)
   )`,
  `CREATE UNIQUE INDEX models_active ON models (key) WHERE stage = 'active'`,

  // --- segments ------------------------------------------------------------------------------------------------------
  `CREATE TABLE segments (
     id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     key text NOT NULL UNIQUE,
     name text NOT NULL,
     description text NOT NULL,
     tags text[] NOT NULL DEFAULT '{}',
     stage text NOT NULL CHECK (stage IN ('draft', 'active', 'archived')),
     version int NOT NULL,
     active_version int,
     activated_definitions_version bigint,
     created_at bigint NOT NULL,
     updated_at bigint NOT NULL
   )`,
  `CREATE TABLE segment_versions (
     segment_id int NOT NULL REFERENCES segments (id),
     version int NOT NULL,
     expression text NOT NULL,
     created_at bigint NOT NULL,
     PRIMARY KEY (segment_id, version)
   )`,
  `CREATE TABLE memberships (
     profile_id uuid NOT NULL,
     segment_id int NOT NULL,
     since bigint NOT NULL,
     version int NOT NULL,
     cause jsonb NOT NULL,
     PRIMARY KEY (profile_id, segment_id)
   )`,
  `CREATE INDEX memberships_segment ON memberships (segment_id, since DESC, profile_id)`,
  // At most one timer a profile: the earliest instant at which time alone can flip one of its segments.
  `CREATE TABLE timers (
     profile_id uuid PRIMARY KEY,
     due_at bigint NOT NULL,
     part smallint NOT NULL,
     sweep bigint
   ) WITH (fillfactor = 70)`,
  `CREATE INDEX timers_due ON timers (due_at)`,

  // Orders the copies of a profile in the online store: taken once a transaction, after its locks.
  `CREATE SEQUENCE publish_version`,
  // Profiles whose copy in the online store may be older than what is committed here: one row a transaction, deleted
  // once they are written through. What a crash leaves behind is written through by whoever finds it.
  `CREATE TABLE publications (
     version bigint PRIMARY KEY,
     created_at bigint NOT NULL,
     profile_ids uuid[] NOT NULL
   )`,

  // --- the feed ------------------------------------------------------------------------------------------------------
  // Locked last by every transaction that writes changes, before they are numbered: gapless, in commit order.
  `CREATE TABLE feed_head (
     only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
     seq bigint NOT NULL
   )`,
  `CREATE TABLE changes (
     seq bigint PRIMARY KEY,
     profile_id uuid NOT NULL,
     segment_id int NOT NULL,
     kind text NOT NULL CHECK (kind IN ('enter', 'leave')),
     at bigint NOT NULL,
     version int NOT NULL,
     cause jsonb NOT NULL
   )`,
  `CREATE INDEX changes_segment ON changes (segment_id, seq)`,
  `CREATE INDEX changes_profile ON changes (profile_id, seq)`,

  // --- first rows -----------------------------------------------------------------------------------------------------
  `INSERT INTO log_head (pos, accepted_at) VALUES (0, 0)`,
  `INSERT INTO feed_head (seq) VALUES (0)`,
  `INSERT INTO installation (partitions, created_at) VALUES (16, (extract(epoch FROM now()) * 1000)::bigint)`,
  `INSERT INTO partitions (part) SELECT generate_series(0, 15)`,
];

const TABLES = [
  'changes',
  'feed_head',
  'publications',
  'timers',
  'memberships',
  'segment_versions',
  'segments',
  'models',
  'model_blobs',
  'feature_services',
  'feature_views',
  'stream_backfills',
  'feature_streams',
  'anchor_states',
  'profiles',
  'assignments',
  'evidence',
  'identifiers',
  'loads',
  'dead_letters',
  'partitions',
  'event_log',
  'log_head',
  'api_keys',
  'sources',
  'installation',
];
