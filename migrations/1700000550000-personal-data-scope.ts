import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Traits that are personal data, and the scope by which personal data is shown as it is. */
export class PersonalDataScope1700000550000 implements MigrationInterface {
  readonly name = 'PersonalDataScope1700000550000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE trait_definitions ADD COLUMN pii boolean NOT NULL DEFAULT false');
    // Keys that could read until now saw everything unmasked: what is built on them goes on (ADR 34).
    await db.query(
      `UPDATE api_keys SET scopes = array_append(scopes, 'pii')
       WHERE 'read' = ANY (scopes) AND NOT scopes && ARRAY['admin', 'pii']`,
    );
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query(`UPDATE api_keys SET scopes = array_remove(scopes, 'pii')`);
    await db.query('ALTER TABLE trait_definitions DROP COLUMN pii');
  }
}
