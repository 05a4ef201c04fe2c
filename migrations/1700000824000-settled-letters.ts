import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Under which id the log would keep the event of a refused row, and which load brought it in after all: by them a letter is
 * closed once its row is mended and loaded, and opened again when that load is reverted.
 */
export class SettledLetters1700000824000 implements MigrationInterface {
  readonly name = 'SettledLetters1700000824000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE dead_letters ADD COLUMN dedupe_id uuid, ADD COLUMN settled_load_id uuid');
    // Also tells at once whether a source has any: most loads find that there is nothing to close.
    await db.query(
      `CREATE INDEX dead_letters_open_rows ON dead_letters (source_id, dedupe_id) WHERE state = 'open' AND stage = 'load'`,
    );
    await db.query(
      'CREATE INDEX dead_letters_settled_load ON dead_letters (settled_load_id) WHERE settled_load_id IS NOT NULL',
    );
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP INDEX dead_letters_open_rows');
    await db.query('DROP INDEX dead_letters_settled_load');
    await db.query('ALTER TABLE dead_letters DROP COLUMN dedupe_id, DROP COLUMN settled_load_id');
  }
}
