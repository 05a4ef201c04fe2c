import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Values that stand for many people. `generic_values` has those that are, or were, or that somebody decided about;
 * `generic_mentions` the anchors whose evidence names one of them beside itself; `generic_suspects` components in which
 * there may be more. `installation.generic_version` grows with each value that becomes one, or is none any more.
 */
export class GenericValues1700000511000 implements MigrationInterface {
  readonly name = 'GenericValues1700000511000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
  }

  async down(db: QueryRunner): Promise<void> {
    for (const statement of DOWN) await db.query(statement);
  }
}

const UP = [
  'ALTER TABLE installation ADD COLUMN generic_version bigint NOT NULL DEFAULT 0',
  `CREATE TABLE generic_values (
     value_id uuid PRIMARY KEY,
     ns text NOT NULL,
     value text NOT NULL,
     is_generic boolean NOT NULL DEFAULT false,
     neighbours bigint NOT NULL DEFAULT 0,
     changed_at bigint NOT NULL,
     is_kept boolean NOT NULL DEFAULT false,
     decided_by text,
     decided_at bigint,
     reason text NOT NULL DEFAULT '',
     is_stale boolean NOT NULL DEFAULT false
   )`,
  'ALTER TABLE generic_values ALTER COLUMN value SET STATISTICS 0',
  'CREATE INDEX generic_values_changed ON generic_values (changed_at, value_id)',
  'CREATE INDEX generic_values_stale ON generic_values (value_id) WHERE is_stale',
  'CREATE TABLE generic_mentions (value_id uuid, anchor_id uuid, PRIMARY KEY (value_id, anchor_id))',
  'CREATE INDEX generic_mentions_anchor ON generic_mentions (anchor_id)',
  `CREATE TABLE generic_suspects (
     component_id uuid PRIMARY KEY,
     news bigint NOT NULL DEFAULT 1,
     due_at bigint NOT NULL DEFAULT 0
   )`,
];

const DOWN = [
  'DROP TABLE generic_suspects',
  'DROP TABLE generic_mentions',
  'DROP TABLE generic_values',
  'ALTER TABLE installation DROP COLUMN generic_version',
];
