import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A key by which cursors hide ids that would tell whoever guesses an identifier that they guessed right. */
export class CursorKey1700000591000 implements MigrationInterface {
  readonly name = 'CursorKey1700000591000';

  async up(db: QueryRunner): Promise<void> {
    // 244 random bits of the server's own.
    await db.query(
      `ALTER TABLE installation ADD COLUMN cursor_key bytea NOT NULL
         DEFAULT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())`,
    );
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE installation DROP COLUMN cursor_key');
  }
}
