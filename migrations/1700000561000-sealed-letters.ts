import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Whose key the input of a dead letter is sealed with, and how far those from before are sealed since. */
export class SealedLetters1700000561000 implements MigrationInterface {
  readonly name = 'SealedLetters1700000561000';

  async up(db: QueryRunner): Promise<void> {
    // Of an event of the log its anchor, else of its own; null: it is not sealed.
    await db.query('ALTER TABLE dead_letters ADD COLUMN seal_id uuid');
    await db.query('ALTER TABLE installation ADD COLUMN sealed_letter_id bigint NOT NULL DEFAULT 0');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE installation DROP COLUMN sealed_letter_id');
    await db.query('ALTER TABLE dead_letters DROP COLUMN seal_id');
  }
}
