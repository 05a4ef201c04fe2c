import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Rows of the log that work went on without because their bytes cannot be read, 1,000 at most: what met each last, and of
 * which bytes that is so.
 */
export class DamagedRows1700000870000 implements MigrationInterface {
  readonly name = 'DamagedRows1700000870000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(
      `CREATE TABLE damaged_rows (
         pos bigint PRIMARY KEY,
         part smallint NOT NULL,
         work text NOT NULL,
         payload_md5 text NOT NULL,
         noted_at bigint NOT NULL
       )`,
    );
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE damaged_rows');
  }
}
