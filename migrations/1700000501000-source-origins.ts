import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What is known of where identifiers come from: whether a source is sure of whom it names, and its telephone region. */
export class SourceOrigins1700000501000 implements MigrationInterface {
  readonly name = 'SourceOrigins1700000501000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(
      'ALTER TABLE sources ADD COLUMN authenticated boolean NOT NULL DEFAULT false, ADD COLUMN region text',
    );
    // Files and signed deliveries come from servers; of the tracking API only who made the source can tell.
    await db.query(`UPDATE sources SET authenticated = true WHERE kind <> 'http'`);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE sources DROP COLUMN authenticated, DROP COLUMN region');
  }
}
