import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Words on purposes whose events a retention removed: of each anchor, purpose and status the newest, and since when. */
export class RemovedWords1700000765000 implements MigrationInterface {
  readonly name = 'RemovedWords1700000765000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE removed_words');
  }
}

const UP = [
  `CREATE TABLE removed_words (
     anchor_id uuid NOT NULL,
     purpose text NOT NULL,
     is_denial boolean NOT NULL,
     occurred_at bigint NOT NULL,
     source_id int NOT NULL,
     expires_at bigint,
     since bigint NOT NULL,
     PRIMARY KEY (anchor_id, purpose, is_denial)
   )`,
  `ALTER TABLE removed_words ALTER COLUMN occurred_at SET STATISTICS 0, ALTER COLUMN expires_at SET STATISTICS 0,
     ALTER COLUMN since SET STATISTICS 0`,
];
