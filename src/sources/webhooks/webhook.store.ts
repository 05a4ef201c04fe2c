import type { Database, Queryable } from '../../platform/postgres.js';
import type { SecretPurpose, Webhook, WebhookOptions } from './webhook.model.js';

export interface SealedSecret {
  readonly purpose: SecretPurpose;
  readonly sealed: Buffer;
  readonly createdAt: number;
  /** ms; null: until it is replaced. */
  readonly expiresAt: number | null;
}

/** A webhook with its secrets, the newest first; expired ones may be among them. */
export interface StoredWebhook extends Webhook {
  readonly secrets: readonly SealedSecret[];
}

export interface ListedWebhook extends Webhook {
  /** Deliveries whose replay was interrupted: they wait to be replayed. */
  readonly interruptedDeliveries: number;
}

const FIELDS = `s.id AS "sourceId", s.key, w.adapter, w.options, w.created_at AS "createdAt"`;

/** Rows of `webhooks` and `webhook_secrets`. */
export class WebhookStore {
  constructor(private readonly db: Database) {}

  /** False where the source is a webhook already. */
  async insert(webhook: Webhook, secrets: readonly SealedSecret[]): Promise<boolean> {
    const { sourceId, adapter, options, createdAt } = webhook;
    return this.db.transaction(async (tx) => {
      const added = await tx.query(
        `INSERT INTO webhooks (source_id, adapter, options, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING RETURNING source_id`,
        [sourceId, adapter, JSON.stringify(options), createdAt],
      );
      if (added.length === 0) return false;
      for (const secret of secrets) await insertSecret(tx, sourceId, secret);
      return true;
    });
  }

  async find(key: string): Promise<StoredWebhook | null> {
    const [webhook] = await this.db.query<Webhook>(
      `SELECT ${FIELDS} FROM webhooks w JOIN sources s ON s.id = w.source_id WHERE s.key = $1`,
      [key],
    );
    if (webhook === undefined) return null;
    const secrets = await this.db.query<SealedSecret>(
      `SELECT purpose, sealed, created_at AS "createdAt", expires_at AS "expiresAt" FROM webhook_secrets
       WHERE source_id = $1 ORDER BY id DESC`,
      [webhook.sourceId],
    );
    return { ...webhook, secrets };
  }

  /** By key, those after one. @param limit null: all */
  async page(afterKey: string | null, limit: number | null): Promise<ListedWebhook[]> {
    return this.db.query<ListedWebhook>(
      `SELECT ${FIELDS}, (
         SELECT count(*) FROM webhook_deliveries d WHERE d.source_id = w.source_id AND d.taken_back_by IS NOT NULL
       ) AS "interruptedDeliveries"
       FROM webhooks w JOIN sources s ON s.id = w.source_id
       WHERE $1::text IS NULL OR s.key COLLATE "C" > $1 ORDER BY s.key COLLATE "C" LIMIT $2`,
      [afterKey, limit],
    );
  }

  async setOptions(sourceId: number, options: WebhookOptions): Promise<void> {
    await this.db.execute('UPDATE webhooks SET options = $2 WHERE source_id = $1', [sourceId, JSON.stringify(options)]);
  }

  /** The one in force goes on until `overlapUntil`; any older one ends now. */
  async replaceSecret(sourceId: number, secret: SealedSecret, overlapUntil: number): Promise<void> {
    const { purpose, createdAt } = secret;
    await this.db.transaction(async (tx) => {
      await tx.query('SELECT FROM webhooks WHERE source_id = $1 FOR UPDATE', [sourceId]);
      await tx.execute(`DELETE FROM webhook_secrets WHERE source_id = $1 AND purpose = $2 AND expires_at IS NOT NULL`, [
        sourceId,
        purpose,
      ]);
      if (overlapUntil > createdAt) {
        await tx.execute('UPDATE webhook_secrets SET expires_at = $3 WHERE source_id = $1 AND purpose = $2', [
          sourceId,
          purpose,
          overlapUntil,
        ]);
      } else {
        await tx.execute('DELETE FROM webhook_secrets WHERE source_id = $1 AND purpose = $2', [sourceId, purpose]);
      }
      await insertSecret(tx, sourceId, secret);
    });
  }

  async deleteExpiredSecrets(nowMs: number): Promise<void> {
    await this.db.execute('DELETE FROM webhook_secrets WHERE expires_at <= $1', [nowMs]);
  }
}

async function insertSecret(tx: Queryable, sourceId: number, secret: SealedSecret): Promise<void> {
  const { purpose, sealed, createdAt, expiresAt } = secret;
  await tx.execute(
    'INSERT INTO webhook_secrets (source_id, purpose, sealed, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)',
    [sourceId, purpose, sealed, createdAt, expiresAt],
  );
}
