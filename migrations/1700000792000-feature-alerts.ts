import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How far values of features are from what they were, and when they were not as expected; one alert of a kind is open. */
export class FeatureAlerts1700000792000 implements MigrationInterface {
  readonly name = 'FeatureAlerts1700000792000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(`CREATE TABLE feature_alerts (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      feature text NOT NULL,
      kind text NOT NULL,
      since bigint NOT NULL,
      ended_at bigint,
      value double precision NOT NULL,
      bound double precision NOT NULL,
      -- How many looks found it so.
      violations bigint NOT NULL DEFAULT 1
    )`);
    await db.query('CREATE UNIQUE INDEX feature_alerts_open ON feature_alerts (feature, kind) WHERE ended_at IS NULL');
    await db.query(`CREATE TABLE feature_drift (
      feature text PRIMARY KEY,
      computed_at bigint NOT NULL,
      -- The day, in UTC, that values are compared with, ms.
      reference_day bigint NOT NULL,
      psi double precision NOT NULL,
      ks double precision,
      ks_p double precision,
      mean_changed boolean NOT NULL
    )`);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE feature_drift');
    await db.query('DROP TABLE feature_alerts');
  }
}
