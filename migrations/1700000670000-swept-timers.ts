import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * `is_swept`: what is shown of the profile may be of older definitions until its timer fires, whoever set it. By that it is
 * known when everybody has been evaluated with those in force.
 */
export class SweptTimers1700000670000 implements MigrationInterface {
  readonly name = 'SweptTimers1700000670000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
  }

  async down(db: QueryRunner): Promise<void> {
    for (const statement of DOWN) await db.query(statement);
  }
}

const UP = [
  'ALTER TABLE timers ADD COLUMN is_swept boolean NOT NULL DEFAULT false',
  'UPDATE timers SET is_swept = true WHERE sweep IS NOT NULL',
  'CREATE INDEX timers_swept ON timers (part) WHERE is_swept',
];

const DOWN = ['ALTER TABLE timers DROP COLUMN is_swept'];
