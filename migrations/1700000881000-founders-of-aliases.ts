import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Who founded a living profile stands for it, so the profile is found by its own id. An index by founding identifiers is
 * left for aliases alone: one entry less for each new person, at a random place.
 */
export class FoundersOfAliases1700000881000 implements MigrationInterface {
  readonly name = 'FoundersOfAliases1700000881000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(
      'CREATE UNIQUE INDEX profiles_alias_founder ON profiles (founding_id) WHERE merged_into IS NOT NULL',
    );
    await db.query('ALTER TABLE profiles DROP CONSTRAINT profiles_founding_id_key');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE profiles ADD CONSTRAINT profiles_founding_id_key UNIQUE (founding_id)');
    await db.query('DROP INDEX profiles_alias_founder');
  }
}
