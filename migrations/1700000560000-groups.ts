import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Groups: their traits, what each of their members' anchors gave, and who is still to be told.
 *
 * `version` of a group grows where a value of its traits changes; then its members of each partition are told, up to
 * `group_sweeps.after_id` so far. A row that is stale is a member that knows something else, because it came later.
 */
export class Groups1700000560000 implements MigrationInterface {
  readonly name = 'Groups1700000560000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE group_sweeps, group_members, groups');
  }
}

const UP = [
  // id: a hash of the name, which is what events call it.
  `CREATE TABLE groups (
     id uuid PRIMARY KEY,
     name text NOT NULL,
     traits bytea NOT NULL,
     version bigint NOT NULL
   )`,
  // given: what the anchor's events gave the group.
  `CREATE TABLE group_members (
     group_id uuid NOT NULL,
     part smallint NOT NULL,
     anchor_id uuid NOT NULL,
     given bytea NOT NULL,
     is_stale boolean NOT NULL,
     PRIMARY KEY (group_id, part, anchor_id)
   )`,
  'CREATE INDEX group_members_anchor ON group_members (anchor_id)',
  'CREATE INDEX group_members_stale ON group_members (part) WHERE is_stale',
  `CREATE TABLE group_sweeps (
     part smallint NOT NULL,
     group_id uuid NOT NULL,
     version bigint NOT NULL,
     after_id uuid,
     PRIMARY KEY (part, group_id)
   )`,
  // Copies of what the tables hold are not to be in the planner's samples, see the migration of erasure.
  'ALTER TABLE groups ALTER COLUMN name SET STATISTICS 0, ALTER COLUMN traits SET STATISTICS 0',
  'ALTER TABLE group_members ALTER COLUMN given SET STATISTICS 0',
  // What group calls said before is found by folding all traits anew.
  `INSERT INTO trait_rule_changes (version, names, created_at)
   SELECT trait_rules_version + 1, NULL, (extract(epoch FROM now()) * 1000)::bigint FROM installation
   WHERE EXISTS (SELECT FROM anchor_states)`,
  `UPDATE installation SET trait_rules_version = trait_rules_version + 1 WHERE EXISTS (SELECT FROM anchor_states)`,
];
