import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Names of events and of the fields at their top (`properties.total`; '' stands for the event itself), so that a
 * definition can be asked whether anything ever sent what it names. Of what is in the log already the newest is read.
 */
export class SeenNames1700000001000 implements MigrationInterface {
  readonly name = 'SeenNames1700000001000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('CREATE TABLE seen_names (event text NOT NULL, field text NOT NULL, PRIMARY KEY (event, field))');
    await db.query(FROM_LOG);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE IF EXISTS seen_names');
  }
}

// A payload is a byte of format and a JSON array: the name at 1, properties at 4, traits at 5.
const FROM_LOG = `
  INSERT INTO seen_names (event, field)
  SELECT DISTINCT body ->> 1, names.field
  FROM (SELECT payload FROM event_log ORDER BY pos DESC LIMIT 100000) AS newest
  CROSS JOIN LATERAL (SELECT convert_from(substring(payload FROM 2), 'UTF8')::jsonb AS body) AS decoded
  CROSS JOIN LATERAL (
    SELECT '' AS field
    UNION ALL SELECT 'properties.' || key FROM jsonb_object_keys(body -> 4) AS key WHERE key ~ '^[A-Za-z_][A-Za-z0-9_-]{0,99}$'
    UNION ALL SELECT 'traits.' || key FROM jsonb_object_keys(body -> 5) AS key WHERE key ~ '^[A-Za-z_][A-Za-z0-9_-]{0,99}$'
  ) AS names
  LIMIT 20001`;
