import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Traits whose values are stored sealed.
 *
 * `trait_rule_changes.resealed` names those that a change began or ceased to seal: of their anchors only the form of the
 * values changes. `search_fields.sealed`: its keys in `profile_search` are HMACs.
 */
export class SealedTraits1700000590000 implements MigrationInterface {
  readonly name = 'SealedTraits1700000590000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE trait_definitions ADD COLUMN sealed boolean NOT NULL DEFAULT false');
    await db.query(`ALTER TABLE trait_rule_changes ADD COLUMN resealed text[] NOT NULL DEFAULT '{}'`);
    await db.query('ALTER TABLE search_fields ADD COLUMN sealed boolean NOT NULL DEFAULT false');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE search_fields DROP COLUMN sealed');
    await db.query('ALTER TABLE trait_rule_changes DROP COLUMN resealed');
    await db.query('ALTER TABLE trait_definitions DROP COLUMN sealed');
  }
}
