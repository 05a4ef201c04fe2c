import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Features of items that are computed from events: how far the log is read, states, and which events an item has. */
export class EntityFolds1700000831000 implements MigrationInterface {
  readonly name = 'EntityFolds1700000831000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
  }

  async down(db: QueryRunner): Promise<void> {
    for (const table of ['entity_refolds', 'entity_events', 'entity_states', 'entity_folds']) {
      await db.query(`DROP TABLE ${table}`);
    }
  }
}

const UP = [
  // One row for what one view of an entity means. Events up to `pos` are in; once `since_pos` is reached, all of history.
  `CREATE TABLE entity_folds (
     id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     meaning uuid NOT NULL UNIQUE,
     pos bigint NOT NULL,
     since_pos bigint NOT NULL
   )`,
  `CREATE TABLE entity_states (
     fold_id int NOT NULL,
     key text COLLATE "C" NOT NULL,
     state bytea NOT NULL,
     PRIMARY KEY (fold_id, key)
   )`,
  `CREATE TABLE entity_events (
     fold_id int NOT NULL,
     key text COLLATE "C" NOT NULL,
     pos bigint NOT NULL,
     PRIMARY KEY (fold_id, key, pos)
   )`,
  'CREATE INDEX entity_events_by_pos ON entity_events (pos)',
  // Items that are folded anew: events up to `done_pos` are in `state`.
  `CREATE TABLE entity_refolds (
     fold_id int NOT NULL,
     key text COLLATE "C" NOT NULL,
     done_pos bigint NOT NULL,
     state bytea NOT NULL,
     PRIMARY KEY (fold_id, key)
   )`,
  // Keys are what events said: none of them is to be kept by the planner.
  ...['entity_states', 'entity_events', 'entity_refolds'].map(
    (table) => `ALTER TABLE ${table} ALTER COLUMN key SET STATISTICS 0`,
  ),
  ...['entity_states', 'entity_refolds'].map((table) => `ALTER TABLE ${table} ALTER COLUMN state SET STATISTICS 0`),
];
