import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Sources that are webhooks, their secrets, and what they delivered within the last days. Secrets and deliveries are
 * sealed by the secret of the installation: neither can be read from the database or a backup of it alone.
 */
export class Webhooks1700000330000 implements MigrationInterface {
  readonly name = 'Webhooks1700000330000';

  async up(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE sources DROP CONSTRAINT sources_kind_check');
    await db.query(
      `ALTER TABLE sources ADD CONSTRAINT sources_kind_check CHECK (kind IN ('http', 'batch', 'webhook'))`,
    );
    await db.query(`
      CREATE TABLE webhooks (
        source_id int PRIMARY KEY REFERENCES sources (id),
        adapter text NOT NULL,
        options jsonb NOT NULL,
        created_at bigint NOT NULL
      )`);
    await db.query(`
      CREATE TABLE webhook_secrets (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        source_id int NOT NULL REFERENCES webhooks (source_id),
        purpose text NOT NULL CHECK (purpose IN ('signing', 'verify')),
        sealed bytea NOT NULL,
        created_at bigint NOT NULL,
        expires_at bigint
      )`);
    await db.query('CREATE INDEX webhook_secrets_source ON webhook_secrets (source_id, id)');
    await db.query(`
      CREATE TABLE webhook_deliveries (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        source_id int NOT NULL REFERENCES webhooks (source_id),
        received_at bigint NOT NULL,
        bytes int NOT NULL,
        accepted int NOT NULL,
        duplicates int NOT NULL,
        refused int NOT NULL,
        skipped int NOT NULL,
        sealed bytea NOT NULL
      )`);
    // Random bytes: trying to compress them costs and gains nothing.
    await db.query('ALTER TABLE webhook_deliveries ALTER COLUMN sealed SET STORAGE EXTERNAL');
    await db.query('CREATE INDEX webhook_deliveries_source ON webhook_deliveries (source_id, id) INCLUDE (bytes)');
    await db.query('CREATE INDEX webhook_deliveries_received ON webhook_deliveries (received_at)');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE webhook_deliveries');
    await db.query('DROP TABLE webhook_secrets');
    await db.query('DROP TABLE webhooks');
    await db.query(`UPDATE sources SET kind = 'http' WHERE kind = 'webhook'`);
    await db.query('ALTER TABLE sources DROP CONSTRAINT sources_kind_check');
    await db.query(`ALTER TABLE sources ADD CONSTRAINT sources_kind_check CHECK (kind IN ('http', 'batch'))`);
  }
}
