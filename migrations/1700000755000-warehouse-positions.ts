import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How far the rows of queries are loaded. */
export class WarehousePositions1700000755000 implements MigrationInterface {
  readonly name = 'WarehousePositions1700000755000';

  async up(db: QueryRunner): Promise<void> {
    // By key of the source, which the first load makes; position: as the other store writes it, a time or a number.
    await db.query(
      `CREATE TABLE warehouse_positions (
         source text NOT NULL,
         query_hash text NOT NULL,
         position text NOT NULL,
         moved_at bigint NOT NULL,
         PRIMARY KEY (source, query_hash)
       )`,
    );
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE warehouse_positions');
  }
}
