import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * `changes.models`: which versions of models a condition that asks them was decided by, as
 * `[{ "key", "version", "digest" }]`; null where it asks none, and in changes from before.
 */
export class ModelsOfChanges1700000908000 implements MigrationInterface {
  readonly name = 'ModelsOfChanges1700000908000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE changes ADD COLUMN models jsonb');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE changes DROP COLUMN models');
  }
}
