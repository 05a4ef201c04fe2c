import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * How values of traits are taken in, and what is to be folded anew because that changed.
 *
 * A change of rules is a row of `trait_rule_changes`; `installation.trait_rules_version` is the number of the newest. The
 * traits of a partition's anchors are those of `partitions.trait_rules_version`, and beyond, up to `trait_rules_after`,
 * those of `trait_rules_target`.
 */
export class TraitRules1700000420000 implements MigrationInterface {
  readonly name = 'TraitRules1700000420000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
  }

  async down(db: QueryRunner): Promise<void> {
    for (const statement of DOWN) await db.query(statement);
  }
}

const UP = [
  // Only what differs from the rule of a trait without one.
  `ALTER TABLE trait_definitions ADD COLUMN rule jsonb NOT NULL DEFAULT '{}'`,
  // names: whose anchors are concerned; null: all anchors.
  `CREATE TABLE trait_rule_changes (
     version bigint PRIMARY KEY,
     names text[],
     created_at bigint NOT NULL,
     finished_at bigint
   )`,
  `ALTER TABLE installation ADD COLUMN trait_rules_version bigint NOT NULL DEFAULT 0`,
  `ALTER TABLE partitions ADD COLUMN trait_rules_version bigint NOT NULL DEFAULT 0,
                          ADD COLUMN trait_rules_target bigint NOT NULL DEFAULT 0,
                          ADD COLUMN trait_rules_after uuid`,
  // Values of another type than declared, since the rules of the trait changed last.
  `CREATE TABLE trait_conflicts (
     name text PRIMARY KEY,
     kept bigint NOT NULL,
     coerced bigint NOT NULL,
     refused bigint NOT NULL,
     last_at bigint NOT NULL
   )`,
];

const DOWN = [
  'DROP TABLE trait_conflicts',
  `ALTER TABLE partitions DROP COLUMN trait_rules_version, DROP COLUMN trait_rules_target,
                          DROP COLUMN trait_rules_after`,
  'ALTER TABLE installation DROP COLUMN trait_rules_version',
  'DROP TABLE trait_rule_changes',
  'ALTER TABLE trait_definitions DROP COLUMN rule',
];
