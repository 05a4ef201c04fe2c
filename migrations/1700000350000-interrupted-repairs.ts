import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What repairs need to know of those that were interrupted: which replay took the events of a delivery back and has not
 * accepted them anew, and until when a dead letter is claimed by a replay.
 */
export class InterruptedRepairs1700000350000 implements MigrationInterface {
  readonly name = 'InterruptedRepairs1700000350000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
  }

  async down(db: QueryRunner): Promise<void> {
    for (const statement of DOWN) await db.query(statement);
  }
}

const UP = [
  'ALTER TABLE webhook_deliveries ADD COLUMN taken_back_by uuid',
  // Of few deliveries, and mostly of none.
  `CREATE INDEX webhook_deliveries_taken_back ON webhook_deliveries (source_id, id) WHERE taken_back_by IS NOT NULL`,
  'ALTER TABLE dead_letters ADD COLUMN claimed_until bigint',
];

const DOWN = [
  'ALTER TABLE dead_letters DROP COLUMN claimed_until',
  'DROP INDEX webhook_deliveries_taken_back',
  'ALTER TABLE webhook_deliveries DROP COLUMN taken_back_by',
];
