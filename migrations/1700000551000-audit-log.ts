import type { MigrationInterface, QueryRunner } from 'typeorm';

const UP = [
  `CREATE TABLE audit_log (
     -- Without gaps.
     seq bigint PRIMARY KEY,
     -- ms; never falls as seq grows.
     at bigint NOT NULL,
     kind text NOT NULL,
     actor_kind text NOT NULL,
     actor_id text NOT NULL,
     actor_name text NOT NULL,
     operation text NOT NULL,
     fields text[] NOT NULL,
     targets text[] NOT NULL,
     count int NOT NULL,
     outcome text NOT NULL,
     -- Whether the hash needed the secret of the installation.
     keyed boolean NOT NULL,
     -- Of the entry and of the hash before; see src/audit/audit-entry.model.ts.
     hash bytea NOT NULL
   )`,
  'CREATE INDEX audit_log_targets ON audit_log USING gin (targets)',
  'CREATE INDEX audit_log_actor ON audit_log (actor_id, seq)',
  'CREATE INDEX audit_log_at ON audit_log (at)',
  // Its row is locked by whoever appends, which makes the chain one.
  `CREATE TABLE audit_log_head (
     seq bigint NOT NULL,
     at bigint NOT NULL,
     hash bytea NOT NULL
   )`,
  `INSERT INTO audit_log_head VALUES (0, 0, decode(repeat('00', 32), 'hex'))`,
  `CREATE FUNCTION audit_log_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     IF TG_OP = 'DELETE' AND current_setting('weft.audit_log_expiry', true) = 'on' THEN
       RETURN NULL;
     END IF;
     RAISE EXCEPTION 'the audit log is only appended to' USING ERRCODE = 'insufficient_privilege';
   END $$`,
  `CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
   FOR EACH STATEMENT EXECUTE FUNCTION audit_log_refuse()`,
  // The only way to take entries away: from the beginning, and never the last one.
  `CREATE FUNCTION audit_log_expire(last_seq bigint) RETURNS bigint LANGUAGE plpgsql
   SET weft.audit_log_expiry = 'on' AS $$
   DECLARE removed bigint;
   BEGIN
     DELETE FROM audit_log WHERE seq <= last_seq AND seq < (SELECT seq FROM audit_log_head);
     GET DIAGNOSTICS removed = ROW_COUNT;
     RETURN removed;
   END $$`,
];

const DOWN = [
  'DROP FUNCTION audit_log_expire(bigint)',
  'DROP TABLE audit_log',
  'DROP FUNCTION audit_log_refuse()',
  'DROP TABLE audit_log_head',
];

/** Who saw personal data and who changed what: only appended to, each entry chained to the one before. */
export class AuditLog1700000551000 implements MigrationInterface {
  readonly name = 'AuditLog1700000551000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
  }

  async down(db: QueryRunner): Promise<void> {
    for (const statement of DOWN) await db.query(statement);
  }
}
