import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Moves that decisions make between two events are at one place of the log and one instant; `seq` has their order. */
export class OrderOfMoves1700000585000 implements MigrationInterface {
  readonly name = 'OrderOfMoves1700000585000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE identity_moves ADD COLUMN seq bigint GENERATED ALWAYS AS IDENTITY');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE identity_moves DROP COLUMN seq');
  }
}
