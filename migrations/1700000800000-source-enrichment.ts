import type { MigrationInterface, QueryRunner } from 'typeorm';

/** `enrichment`: what is found out about the events of a source when they are accepted; null: nothing. */
export class SourceEnrichment1700000800000 implements MigrationInterface {
  readonly name = 'SourceEnrichment1700000800000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE sources ADD COLUMN enrichment jsonb');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE sources DROP COLUMN enrichment');
  }
}
