import type { MigrationInterface, QueryRunner } from 'typeorm';

const COLUMNS = ['profile_ids', 'identifier_ids'];

/** Records of what is to be written through go within seconds; the planner's samples of them would stay. */
export class PublicationStatistics1700000770000 implements MigrationInterface {
  readonly name = 'PublicationStatistics1700000770000';

  async up(db: QueryRunner): Promise<void> {
    for (const column of COLUMNS) {
      await db.query(`ALTER TABLE publications ALTER COLUMN ${column} SET STATISTICS 0`);
      // Of the same type: nothing is rewritten, and the statistics that there are go.
      await db.query(`ALTER TABLE publications ALTER COLUMN ${column} TYPE uuid[]`);
    }
  }

  async down(db: QueryRunner): Promise<void> {
    for (const column of COLUMNS) {
      await db.query(`ALTER TABLE publications ALTER COLUMN ${column} SET STATISTICS -1`);
    }
  }
}
