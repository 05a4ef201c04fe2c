import type { Queryable } from '../../platform/postgres.js';

/** What became of a delivery. */
export interface DeliveryCounts {
  readonly accepted: number;
  readonly duplicates: number;
  readonly refused: number;
  readonly skipped: number;
}

export interface NewDelivery extends DeliveryCounts {
  readonly sourceId: number;
  readonly receivedAt: number;
  readonly sealed: Buffer;
}

export interface StoredDelivery {
  readonly id: number;
  readonly receivedAt: number;
  readonly sealed: Buffer;
}

export interface DeliverySummary extends DeliveryCounts {
  readonly deliveries: number;
  readonly bytes: number;
  readonly firstReceivedAt: number | null;
  readonly lastReceivedAt: number | null;
}

/** Rows deleted in one statement. */
const MAX_SWEPT = 10_000;

/** Rows of `webhook_deliveries`: what webhooks sent lately, sealed. */
export class WebhookDeliveryStore {
  constructor(private readonly db: Queryable) {}

  async insert(delivery: NewDelivery): Promise<void> {
    const { sourceId, receivedAt, accepted, duplicates, refused, skipped, sealed } = delivery;
    await this.db.execute(
      `INSERT INTO webhook_deliveries (source_id, received_at, bytes, accepted, duplicates, refused, skipped, sealed)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
      [sourceId, receivedAt, sealed.length, accepted, duplicates, refused, skipped, sealed],
    );
  }

  /** Those received at `sinceMs` or later, after the one with this id, in the order in which they came. */
  async page(sourceId: number, sinceMs: number, afterId: number, limit: number): Promise<StoredDelivery[]> {
    return this.db.query<StoredDelivery>(
      `SELECT id, received_at AS "receivedAt", sealed FROM webhook_deliveries
       WHERE source_id = $1 AND received_at >= $2 AND id > $3 ORDER BY id LIMIT $4`,
      [sourceId, sinceMs, afterId, limit],
    );
  }

  async summary(sourceId: number): Promise<DeliverySummary> {
    const [row] = await this.db.query<DeliverySummary>(
      `SELECT count(*) AS deliveries, coalesce(sum(bytes), 0)::int8 AS bytes,
              coalesce(sum(accepted), 0)::int8 AS accepted, coalesce(sum(duplicates), 0)::int8 AS duplicates,
              coalesce(sum(refused), 0)::int8 AS refused, coalesce(sum(skipped), 0)::int8 AS skipped,
              min(received_at) AS "firstReceivedAt", max(received_at) AS "lastReceivedAt"
       FROM webhook_deliveries WHERE source_id = $1`,
      [sourceId],
    );
    if (row === undefined) throw new Error('an aggregate without a row');
    return row;
  }

  /** Deletes what is older than `beforeMs`, some of it at a time. @returns how many */
  async sweepOld(beforeMs: number): Promise<number> {
    return this.db.execute(
      `DELETE FROM webhook_deliveries WHERE id IN (
         SELECT id FROM webhook_deliveries WHERE received_at < $1 ORDER BY received_at LIMIT ${String(MAX_SWEPT)}
       )`,
      [beforeMs],
    );
  }

  /** Deletes the oldest of each webhook that keeps more than `maxBytes`, some at a time. @returns how many */
  async sweepLarge(maxBytes: number): Promise<number> {
    return this.db.execute(
      `DELETE FROM webhook_deliveries WHERE id IN (
         SELECT id FROM (
           SELECT id, sum(bytes) OVER (PARTITION BY source_id ORDER BY id DESC) AS total FROM webhook_deliveries
         ) sized WHERE total > $1 LIMIT ${String(MAX_SWEPT)}
       )`,
      [maxBytes],
    );
  }
}
