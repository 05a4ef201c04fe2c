import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Versions of models that answer for some of the people, and which changes of definitions are of models alone, so that
 * what a sweep changes can be told to be theirs.
 */
export class CanariesOfModels1700000904000 implements MigrationInterface {
  readonly name = 'CanariesOfModels1700000904000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(
      `ALTER TABLE models ADD COLUMN canary_percent int CHECK (canary_percent BETWEEN 1 AND 99),
         ADD CONSTRAINT models_canary_percent CHECK ((stage = 'canary') = (canary_percent IS NOT NULL))`,
    );
    await db.query(`CREATE UNIQUE INDEX models_canary ON models (key) WHERE stage = 'canary'`);
    // The newest version of the definitions that is not one of models alone.
    await db.query('ALTER TABLE installation ADD COLUMN edited_version bigint NOT NULL DEFAULT 0');
    await db.query('UPDATE installation SET edited_version = definitions_version');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE installation DROP COLUMN edited_version');
    await db.query('DROP INDEX models_canary');
    await db.query(`UPDATE models SET stage = 'shadow', canary_percent = NULL WHERE stage = 'canary'`);
    await db.query('ALTER TABLE models DROP CONSTRAINT models_canary_percent, DROP COLUMN canary_percent');
  }
}
