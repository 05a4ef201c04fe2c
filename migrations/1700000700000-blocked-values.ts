import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * `generic_values.is_blocked`: the value stands for nobody because rules block it, however many share it. `is_moving`: it
 * counts again, and events that named it are still to be moved to where they belong by that.
 */
export class BlockedValues1700000700000 implements MigrationInterface {
  readonly name = 'BlockedValues1700000700000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
  }

  async down(db: QueryRunner): Promise<void> {
    for (const statement of DOWN) await db.query(statement);
  }
}

const UP = [
  `ALTER TABLE generic_values ADD COLUMN is_blocked boolean NOT NULL DEFAULT false,
     ADD COLUMN is_moving boolean NOT NULL DEFAULT false`,
  'CREATE INDEX generic_values_moving ON generic_values (value_id) WHERE is_moving',
];

const DOWN = ['ALTER TABLE generic_values DROP COLUMN is_moving, DROP COLUMN is_blocked'];
