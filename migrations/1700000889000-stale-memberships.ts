import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Segments of which it could not be said whether a profile is in them, because a model gave no answer. Such a profile
 * always has a timer: it is evaluated again at the next step of scores.
 */
export class StaleMemberships1700000889000 implements MigrationInterface {
  readonly name = 'StaleMemberships1700000889000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE timers ADD COLUMN stale int4[]');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE timers DROP COLUMN stale');
  }
}
