import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Every version of feature views and services, beside the ones in force. */
export class DefinitionHistory1700000720000 implements MigrationInterface {
  readonly name = 'DefinitionHistory1700000720000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE feature_definition_versions');
  }
}

const UP = [
  // Without a definition: with this version it was removed.
  `CREATE TABLE feature_definition_versions (
     kind text NOT NULL CHECK (kind IN ('view', 'service', 'entity')),
     name text NOT NULL,
     version int NOT NULL,
     definition jsonb,
     at bigint NOT NULL,
     PRIMARY KEY (kind, name, version)
   )`,
  // Of those that stand, the versions before were not kept.
  `INSERT INTO feature_definition_versions (kind, name, version, definition, at)
   SELECT 'view', name, version, definition, updated_at FROM feature_views
   UNION ALL SELECT 'service', name, version, definition, updated_at FROM feature_services`,
];
