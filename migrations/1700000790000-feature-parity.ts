import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How often features were compared with what the log gives, by day; nothing about anybody. */
export class FeatureParity1700000790000 implements MigrationInterface {
  readonly name = 'FeatureParity1700000790000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(`CREATE TABLE feature_parity (
      feature text NOT NULL,
      -- The beginning of a day in UTC, ms.
      day bigint NOT NULL,
      compared bigint NOT NULL,
      mismatched bigint NOT NULL,
      missing bigint NOT NULL,
      estimated bigint NOT NULL,
      max_delta double precision NOT NULL,
      last_compared_at bigint NOT NULL,
      last_mismatch_at bigint,
      PRIMARY KEY (feature, day)
    )`);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE feature_parity');
  }
}
