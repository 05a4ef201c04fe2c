import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Cursors of the feed that are kept here for whoever reads it, and changes by what made them. */
export class ChangeSubscriptions1700000860000 implements MigrationInterface {
  readonly name = 'ChangeSubscriptions1700000860000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(
      `CREATE TABLE change_subscriptions (
         key text COLLATE "C" PRIMARY KEY,
         filter jsonb NOT NULL,
         seq bigint NOT NULL,
         created_at bigint NOT NULL,
         acknowledged_at bigint
       )`,
    );
    await db.query(`CREATE INDEX changes_cause ON changes ((cause ->> 'kind'), seq)`);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP INDEX changes_cause');
    await db.query('DROP TABLE change_subscriptions');
  }
}
