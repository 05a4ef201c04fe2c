import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * `has_plain_terms`: the model holds values of people as they are, in its frequencies: it was added before these were
 * hashed, or by an installation without a secret. The next erasure hashes them.
 */
export class HashedTerms1700000601000 implements MigrationInterface {
  readonly name = 'HashedTerms1700000601000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE linkage_models ADD COLUMN has_plain_terms boolean NOT NULL DEFAULT true');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE linkage_models DROP COLUMN has_plain_terms');
  }
}
