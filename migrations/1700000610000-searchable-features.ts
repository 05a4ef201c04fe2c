import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Features by which profiles are found, beside traits. */
export class SearchableFeatures1700000610000 implements MigrationInterface {
  readonly name = 'SearchableFeatures1700000610000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
  }

  async down(db: QueryRunner): Promise<void> {
    for (const statement of DOWN) await db.query(statement);
  }
}

const UP = [
  // Of a feature what it means: defined otherwise it is another field. Null: it is a trait.
  'ALTER TABLE search_fields ADD COLUMN feature text',
  'DROP INDEX search_fields_name',
  'CREATE UNIQUE INDEX search_fields_name ON search_fields (name, (feature IS NULL)) WHERE NOT retired',
];

const DOWN = [
  // The profiles' rows go with their fields, as those of retired ones do.
  'UPDATE search_fields SET retired = true WHERE feature IS NOT NULL',
  'DROP INDEX search_fields_name',
  'CREATE UNIQUE INDEX search_fields_name ON search_fields (name) WHERE NOT retired',
  'ALTER TABLE search_fields DROP COLUMN feature',
];
