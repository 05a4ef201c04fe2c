import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What an online store that outlives this database keeps its entries under; see `online-epoch.ts`. */
export class OnlineEpoch1700000200000 implements MigrationInterface {
  readonly name = 'OnlineEpoch1700000200000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE installation ADD COLUMN online_epoch uuid NOT NULL DEFAULT gen_random_uuid()');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE installation DROP COLUMN online_epoch');
  }
}
