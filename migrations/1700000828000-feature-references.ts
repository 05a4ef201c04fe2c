import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How values of features were spread in training sets, for what is served to be compared with. */
export class FeatureReferences1700000828000 implements MigrationInterface {
  readonly name = 'FeatureReferences1700000828000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(`CREATE TABLE feature_references (
      name text COLLATE "C" PRIMARY KEY,
      set_at bigint NOT NULL,
      -- When the training set was begun, ms.
      made_at bigint NOT NULL,
      manifest_sha256 text NOT NULL,
      rows bigint NOT NULL
    )`);
    await db.query(`CREATE TABLE feature_reference_statistics (
      reference text COLLATE "C" NOT NULL REFERENCES feature_references ON DELETE CASCADE,
      feature text COLLATE "C" NOT NULL,
      statistics jsonb NOT NULL,
      sample double precision[],
      PRIMARY KEY (reference, feature)
    )`);
    await db.query('ALTER TABLE feature_drift ADD COLUMN reference text');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE feature_drift DROP COLUMN reference');
    await db.query('DROP TABLE feature_reference_statistics');
    await db.query('DROP TABLE feature_references');
  }
}
