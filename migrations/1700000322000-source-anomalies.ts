import type { MigrationInterface, QueryRunner } from 'typeorm';

/** When a source sent far less or far more than it uses to; one of a kind and source is open at a time. */
export class SourceAnomalies1700000322000 implements MigrationInterface {
  readonly name = 'SourceAnomalies1700000322000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(`CREATE TABLE source_anomalies (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      source_id int NOT NULL,
      kind text NOT NULL CHECK (kind IN ('volume_low', 'volume_high', 'stale')),
      since bigint NOT NULL,
      ended_at bigint,
      expected bigint NOT NULL,
      seen bigint NOT NULL
    )`);
    await db.query(
      'CREATE UNIQUE INDEX source_anomalies_open ON source_anomalies (source_id, kind) WHERE ended_at IS NULL',
    );
    await db.query('CREATE INDEX source_anomalies_source ON source_anomalies (source_id, since)');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE source_anomalies');
  }
}
