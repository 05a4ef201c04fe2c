import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What versions of models said of live traffic, by hour; a row for each process that asked them. */
export class ScoresByHour1700000905000 implements MigrationInterface {
  readonly name = 'ScoresByHour1700000905000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(
      `CREATE TABLE model_score_hours (
         key text NOT NULL,
         version int NOT NULL,
         start bigint NOT NULL,
         process uuid NOT NULL,
         answered bigint NOT NULL,
         unanswered bigint NOT NULL,
         scored bigint NOT NULL,
         total float8 NOT NULL,
         sample float8[] NOT NULL,
         classes jsonb NOT NULL,
         missing jsonb NOT NULL,
         PRIMARY KEY (key, version, start, process)
       )`,
    );
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE model_score_hours');
  }
}
