import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What profiles are found by: the values of searchable traits, and when what is known of a profile changed last.
 *
 * `installation.search_version` grows with each trait that becomes searchable. The profiles of a partition are in the
 * index for all fields up to `partitions.search_version`, and beyond, up to `search_after`, for those of `search_target`.
 */
export class ProfileSearch1700000530000 implements MigrationInterface {
  readonly name = 'ProfileSearch1700000530000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
  }

  async down(db: QueryRunner): Promise<void> {
    for (const statement of DOWN) await db.query(statement);
  }
}

const UP = [
  'ALTER TABLE trait_definitions ADD COLUMN searchable boolean NOT NULL DEFAULT false',
  // A retired one is no longer written, and goes with its last row of profile_search.
  `CREATE TABLE search_fields (
     id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     name text NOT NULL,
     since_version bigint NOT NULL,
     retired boolean NOT NULL DEFAULT false
   )`,
  'CREATE UNIQUE INDEX search_fields_name ON search_fields (name) WHERE NOT retired',
  // key: bytes in the order of the values, see search-key.model.ts. Rows of living profiles only.
  `CREATE TABLE profile_search (
     profile_id uuid NOT NULL,
     field_id int NOT NULL,
     key bytea NOT NULL,
     PRIMARY KEY (field_id, key, profile_id)
   )`,
  'CREATE INDEX profile_search_profile ON profile_search (profile_id, field_id)',
  'ALTER TABLE profile_search ALTER COLUMN key SET STATISTICS 0',
  `CREATE TABLE search_builds (
     version bigint PRIMARY KEY,
     profiles_total bigint NOT NULL,
     profiles_done bigint NOT NULL DEFAULT 0,
     created_at bigint NOT NULL,
     finished_at bigint
   )`,
  'ALTER TABLE installation ADD COLUMN search_version bigint NOT NULL DEFAULT 0',
  `ALTER TABLE partitions ADD COLUMN search_version bigint NOT NULL DEFAULT 0,
                          ADD COLUMN search_target bigint NOT NULL DEFAULT 0,
                          ADD COLUMN search_after uuid`,
  'CREATE INDEX profiles_created ON profiles (created_at, id) WHERE merged_into IS NULL',
  // For beginnings of values; whole ones are found by the hash that is their id.
  'CREATE INDEX identifiers_value ON identifiers (ns, value COLLATE "C")',
];

const DOWN = [
  'DROP INDEX identifiers_value',
  'DROP INDEX profiles_created',
  `ALTER TABLE partitions DROP COLUMN search_version, DROP COLUMN search_target, DROP COLUMN search_after`,
  'ALTER TABLE installation DROP COLUMN search_version',
  'DROP TABLE search_builds',
  'DROP TABLE profile_search',
  'DROP TABLE search_fields',
  'ALTER TABLE trait_definitions DROP COLUMN searchable',
];
