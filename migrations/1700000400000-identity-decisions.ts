import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Decisions by people about who is who, the work that they make, and what moved from one profile to another.
 *
 * `has_identity_links` spares installations without links the look for them; it is part of the definitions, so that all
 * workers agree from when on to look.
 */
export class IdentityDecisions1700000400000 implements MigrationInterface {
  readonly name = 'IdentityDecisions1700000400000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
  }

  async down(db: QueryRunner): Promise<void> {
    for (const statement of DOWN) await db.query(statement);
  }
}

const UP = [
  'ALTER TABLE installation ADD COLUMN has_identity_links boolean NOT NULL DEFAULT false',
  // What is to be resolved anew because of something that is no event, and what came of it.
  `CREATE TABLE identity_revisions (
     id uuid PRIMARY KEY,
     kind text NOT NULL CHECK (kind IN ('merge', 'unmerge', 'unlink', 'rules', 'generic')),
     input jsonb NOT NULL,
     actor text NOT NULL,
     reason text NOT NULL,
     created_at bigint NOT NULL,
     status text NOT NULL CHECK (status IN ('waiting', 'running', 'done', 'failed')),
     failures int NOT NULL DEFAULT 0,
     retry_at bigint NOT NULL DEFAULT 0,
     failure jsonb,
     result jsonb,
     steps_done bigint NOT NULL DEFAULT 0,
     steps_total bigint,
     place text,
     finished_at bigint
   )`,
  `CREATE INDEX identity_revisions_open ON identity_revisions (created_at, id) WHERE status IN ('waiting', 'running')`,
  'CREATE INDEX identity_revisions_created ON identity_revisions (created_at, id)',
  // By namespace and value too, because a link may name somebody who has not been seen yet. a_id < b_id.
  `CREATE TABLE identity_links (
     id uuid PRIMARY KEY,
     kind text NOT NULL CHECK (kind IN ('must', 'cannot')),
     a_id uuid NOT NULL,
     b_id uuid NOT NULL,
     a_ns text NOT NULL,
     a_value text NOT NULL,
     b_ns text NOT NULL,
     b_value text NOT NULL,
     revision_id uuid NOT NULL,
     created_by text NOT NULL,
     created_at bigint NOT NULL,
     reason text NOT NULL,
     removed_by text,
     removed_at bigint,
     removed_revision_id uuid,
     CHECK (a_id < b_id)
   )`,
  'CREATE UNIQUE INDEX identity_links_standing ON identity_links (kind, a_id, b_id) WHERE removed_at IS NULL',
  'CREATE INDEX identity_links_a ON identity_links (a_id)',
  'CREATE INDEX identity_links_b ON identity_links (b_id)',
  'CREATE INDEX identity_links_created ON identity_links (created_at, id)',
  // Identifiers that went over from one profile to another, however that came about.
  `CREATE TABLE identity_moves (
     id uuid PRIMARY KEY,
     kind text NOT NULL CHECK (kind IN ('merge', 'split')),
     from_profile uuid NOT NULL,
     to_profile uuid NOT NULL,
     identifier_ids uuid[] NOT NULL,
     at bigint NOT NULL,
     pos bigint NOT NULL,
     cause text NOT NULL CHECK (cause IN ('event', 'retraction', 'revision')),
     revision_id uuid
   )`,
  'CREATE INDEX identity_moves_from ON identity_moves (from_profile, at)',
  'CREATE INDEX identity_moves_to ON identity_moves (to_profile, at)',
  // Of before: an assignment that follows another one of its identifier is a move.
  `INSERT INTO identity_moves (id, kind, from_profile, to_profile, identifier_ids, at, pos, cause)
   SELECT gen_random_uuid(), CASE WHEN p.merged_into IS NULL THEN 'split' ELSE 'merge' END,
          m.from_profile, m.to_profile, m.identifier_ids, m.at, m.pos, 'event'
   FROM (
     SELECT from_profile, profile_id AS to_profile, array_agg(identifier_id ORDER BY identifier_id) AS identifier_ids,
            min(from_at) AS at, from_pos AS pos
     FROM (
       SELECT identifier_id, profile_id, from_pos, from_at,
              lag(profile_id) OVER (PARTITION BY identifier_id ORDER BY from_pos) AS from_profile
       FROM assignments
     ) a WHERE from_profile IS DISTINCT FROM profile_id AND from_profile IS NOT NULL
     GROUP BY from_profile, profile_id, from_pos
   ) m JOIN profiles p ON p.id = m.from_profile`,
];

const DOWN = [
  'DROP TABLE identity_moves',
  'DROP TABLE identity_links',
  'DROP TABLE identity_revisions',
  'ALTER TABLE installation DROP COLUMN has_identity_links',
];
