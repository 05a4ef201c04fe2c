import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Payloads are sealed with the keys of all whom they name. Those that were sealed with that of their anchor alone are sealed
 * anew by the chore that seals what was not: it begins again.
 */
export class SealedForAllNamed1700000885000 implements MigrationInterface {
  readonly name = 'SealedForAllNamed1700000885000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('UPDATE installation SET sealed_pos = 0, sealed_letter_id = 0');
  }

  async down(): Promise<void> {
    // What is sealed so cannot be read by former versions: there is no way back but a backup.
  }
}
