import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What features are about beside people, and the records of it. */
export class Entities1700000795000 implements MigrationInterface {
  readonly name = 'Entities1700000795000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE entity_records');
    await db.query('DROP TABLE feature_entities');
  }
}

const UP = [
  `CREATE TABLE feature_entities (
     name text PRIMARY KEY,
     version int NOT NULL,
     definition jsonb NOT NULL,
     updated_at bigint NOT NULL
   )`,
  // Properties as JSON text: they are read whole, and may hold what jsonb refuses, as U+0000.
  `CREATE TABLE entity_records (
     entity text NOT NULL,
     key text NOT NULL,
     source_id int NOT NULL REFERENCES sources (id),
     name text NOT NULL,
     message_id text COLLATE "C" NOT NULL,
     occurred_at bigint NOT NULL,
     accepted_at bigint NOT NULL,
     properties text NOT NULL,
     load_id uuid,
     PRIMARY KEY (entity, source_id, message_id)
   )`,
  'CREATE INDEX entity_records_by_key ON entity_records (entity, key, source_id, name, occurred_at)',
  'CREATE INDEX entity_records_by_age ON entity_records (entity, occurred_at)',
  'CREATE INDEX entity_records_by_load ON entity_records (load_id) WHERE load_id IS NOT NULL',
  'ALTER TABLE entity_records ALTER COLUMN properties SET STATISTICS 0',
];
