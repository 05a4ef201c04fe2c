import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Whoever receives a label file says so again and again, so that one that nobody receives any more is known soon. */
export class HeardUploads1700000844000 implements MigrationInterface {
  readonly name = 'HeardUploads1700000844000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE label_files ADD COLUMN heard_at bigint');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE label_files DROP COLUMN heard_at');
  }
}
