import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Components with more evidence than is replayed between two events: they are resolved by the way, step by step
 * (`contested-chore`). `news` grows with each batch that brought one of them something new; once it is
 * `resolved_news`, the component is what a replay of all its evidence gives.
 */
export class ContestedComponents1700000510000 implements MigrationInterface {
  readonly name = 'ContestedComponents1700000510000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
  }

  async down(db: QueryRunner): Promise<void> {
    for (const statement of DOWN) await db.query(statement);
  }
}

const UP = [
  `CREATE TABLE contested_components (
     component_id uuid PRIMARY KEY,
     since bigint NOT NULL,
     news bigint NOT NULL DEFAULT 1,
     resolved_news bigint NOT NULL DEFAULT 0,
     resolved_at bigint,
     evidence_rows bigint,
     groups bigint,
     is_beyond boolean NOT NULL DEFAULT false,
     due_at bigint NOT NULL DEFAULT 0,
     failures int NOT NULL DEFAULT 0,
     failure text
   )`,
  'ALTER TABLE identity_moves DROP CONSTRAINT identity_moves_cause_check',
  `ALTER TABLE identity_moves ADD CONSTRAINT identity_moves_cause_check
     CHECK (cause IN ('event', 'retraction', 'revision', 'contested'))`,
];

const DOWN = [
  `UPDATE identity_moves SET cause = 'revision' WHERE cause = 'contested'`,
  'ALTER TABLE identity_moves DROP CONSTRAINT identity_moves_cause_check',
  `ALTER TABLE identity_moves ADD CONSTRAINT identity_moves_cause_check
     CHECK (cause IN ('event', 'retraction', 'revision'))`,
  'DROP TABLE contested_components',
];
