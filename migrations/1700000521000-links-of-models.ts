import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Links that a model made, beside those that people made: a pair may have one of each. */
export class LinksOfModels1700000521000 implements MigrationInterface {
  readonly name = 'LinksOfModels1700000521000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
  }

  async down(db: QueryRunner): Promise<void> {
    for (const statement of DOWN) await db.query(statement);
  }
}

const kinds = (list: string): string[] => [
  'ALTER TABLE identity_revisions DROP CONSTRAINT identity_revisions_kind_check',
  `ALTER TABLE identity_revisions ADD CONSTRAINT identity_revisions_kind_check CHECK (kind IN (${list}))`,
];

const UP = [
  // weight: log2 of the odds by which the model linked them.
  `ALTER TABLE identity_links ADD COLUMN origin text NOT NULL DEFAULT 'person' CHECK (origin IN ('person', 'model')),
     ADD COLUMN model_version text, ADD COLUMN weight float8,
     ADD CONSTRAINT identity_links_of_models CHECK ((origin = 'model') = (model_version IS NOT NULL))`,
  'DROP INDEX identity_links_standing',
  'CREATE UNIQUE INDEX identity_links_standing ON identity_links (kind, a_id, b_id, origin) WHERE removed_at IS NULL',
  ...kinds(`'merge', 'unmerge', 'unlink', 'rules', 'generic', 'apart', 'model'`),
];

const DOWN = [
  `DELETE FROM identity_revisions WHERE kind IN ('apart', 'model')`,
  ...kinds(`'merge', 'unmerge', 'unlink', 'rules', 'generic'`),
  `DELETE FROM identity_links WHERE origin = 'model'`,
  'DROP INDEX identity_links_standing',
  'CREATE UNIQUE INDEX identity_links_standing ON identity_links (kind, a_id, b_id) WHERE removed_at IS NULL',
  `ALTER TABLE identity_links DROP CONSTRAINT identity_links_of_models, DROP COLUMN weight, DROP COLUMN model_version,
     DROP COLUMN origin`,
];
