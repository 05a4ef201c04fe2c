import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The version of a segment whose members are computed and told to nobody. */
export class ShadowsOfSegments1700000896000 implements MigrationInterface {
  readonly name = 'ShadowsOfSegments1700000896000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE segments ADD COLUMN shadow_version int');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DELETE FROM memberships WHERE segment_id < 0');
    await db.query('ALTER TABLE segments DROP COLUMN shadow_version');
  }
}
