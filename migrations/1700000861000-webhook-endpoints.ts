import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Where changes of the feed are sent, how far each is, and what is yet to be delivered to it. */
export class WebhookEndpoints1700000861000 implements MigrationInterface {
  readonly name = 'WebhookEndpoints1700000861000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(
      `CREATE TABLE webhook_endpoints (
         key text COLLATE "C" PRIMARY KEY,
         origin text NOT NULL,
         target bytea NOT NULL,
         secret bytea NOT NULL,
         former_secret bytea,
         former_until bigint,
         filter jsonb NOT NULL,
         content jsonb NOT NULL,
         settings jsonb NOT NULL,
         paused_at bigint,
         paused_because text,
         seq bigint NOT NULL,
         failures integer NOT NULL DEFAULT 0,
         retry_at bigint,
         error text,
         delivered bigint NOT NULL DEFAULT 0,
         delivered_at bigint,
         created_at bigint NOT NULL
       )`,
    );
    // Changes that were tried in vain, or wait behind such a one of the same profile; nothing of the person.
    await db.query(
      `CREATE TABLE endpoint_deliveries (
         endpoint_key text COLLATE "C" NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
         seq bigint NOT NULL,
         profile_id uuid NOT NULL,
         status text NOT NULL CHECK (status IN ('waiting', 'dead')),
         attempts smallint NOT NULL,
         next_at bigint NOT NULL,
         error text,
         failed_at bigint,
         PRIMARY KEY (endpoint_key, seq)
       )`,
    );
    await db.query(
      `CREATE INDEX endpoint_deliveries_lanes ON endpoint_deliveries (endpoint_key, profile_id, seq)
       WHERE status = 'waiting'`,
    );
    await db.query(
      `CREATE INDEX endpoint_deliveries_dead ON endpoint_deliveries (endpoint_key, seq) WHERE status = 'dead'`,
    );
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE endpoint_deliveries');
    await db.query('DROP TABLE webhook_endpoints');
  }
}
