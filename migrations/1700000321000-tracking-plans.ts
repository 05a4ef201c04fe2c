import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Tracking plans, every version that was ever applied: the newest of a source is in force. And what events violated, by
 * the hour; `event` '' with `path` '' stands for all that are beyond the bound of an hour.
 */
export class TrackingPlans1700000321000 implements MigrationInterface {
  readonly name = 'TrackingPlans1700000321000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(`CREATE TABLE tracking_plans (
      source_id int NOT NULL REFERENCES sources (id),
      version int NOT NULL CHECK (version > 0),
      plan text NOT NULL,
      applied_at bigint NOT NULL,
      applied_by text NOT NULL,
      PRIMARY KEY (source_id, version)
    )`);
    await db.query(`CREATE TABLE plan_violations (
      source_id int NOT NULL,
      hour bigint NOT NULL,
      event text NOT NULL,
      rule text NOT NULL,
      path text NOT NULL,
      count bigint NOT NULL,
      samples text[] NOT NULL,
      PRIMARY KEY (source_id, hour, event, rule, path)
    ) WITH (fillfactor = 70)`);
    await db.query('CREATE INDEX plan_violations_hour ON plan_violations (hour)');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE plan_violations, tracking_plans');
  }
}
