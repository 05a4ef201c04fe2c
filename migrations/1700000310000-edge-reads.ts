import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What a page in a browser may be told, and the documents that it may ask by.
 *
 * `marks_version` grows with each change of an edge mark, `documents_version` with each change of the stored documents:
 * other processes look at these numbers. Unlike `definitions_version` neither makes anybody evaluate profiles again.
 */
export class EdgeReads1700000310000 implements MigrationInterface {
  readonly name = 'EdgeReads1700000310000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
  }

  async down(db: QueryRunner): Promise<void> {
    for (const statement of DOWN) await db.query(statement);
  }
}

const UP = [
  `ALTER TABLE installation ADD COLUMN marks_version bigint NOT NULL DEFAULT 0,
                            ADD COLUMN documents_version bigint NOT NULL DEFAULT 0`,
  `ALTER TABLE segments ADD COLUMN edge boolean NOT NULL DEFAULT false`,
  `ALTER TABLE models ADD COLUMN edge boolean NOT NULL DEFAULT false`,
  // Traits need no definition: these are the ones of which something is known beside their values.
  `CREATE TABLE trait_definitions (
     name text PRIMARY KEY,
     description text NOT NULL,
     edge boolean NOT NULL,
     updated_at bigint NOT NULL
   )`,
  // id: SHA-256 of the text.
  `CREATE TABLE stored_documents (
     id bytea PRIMARY KEY CHECK (length(id) = 32),
     name text NOT NULL,
     text text NOT NULL,
     created_at bigint NOT NULL
   )`,
];

const DOWN = [
  'DROP TABLE stored_documents',
  'DROP TABLE trait_definitions',
  'ALTER TABLE models DROP COLUMN edge',
  'ALTER TABLE segments DROP COLUMN edge',
  'ALTER TABLE installation DROP COLUMN marks_version, DROP COLUMN documents_version',
];
