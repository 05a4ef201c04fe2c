import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How values of features are spread over a sample of people, the latest of each day; nothing that is one person's alone. */
export class FeatureStatistics1700000791000 implements MigrationInterface {
  readonly name = 'FeatureStatistics1700000791000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(`CREATE TABLE feature_statistics (
      feature text NOT NULL,
      -- The beginning of a day in UTC, ms.
      day bigint NOT NULL,
      computed_at bigint NOT NULL,
      -- See FeatureStatistics.
      statistics jsonb NOT NULL,
      -- Numbers of some of the people, ascending; null where the feature has none.
      sample double precision[],
      PRIMARY KEY (feature, day)
    )`);
    await db.query(`ALTER TABLE feature_statistics ALTER COLUMN statistics SET STATISTICS 0,
      ALTER COLUMN sample SET STATISTICS 0`);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE feature_statistics');
  }
}
