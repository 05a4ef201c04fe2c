import type { Uuid } from '../../platform/ids.js';
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

export interface DeliveryMark {
  readonly id: number;
  /** Dedupe ids of its events that are to be taken back now, or were and are missing. */
  readonly takenBack: readonly Uuid[];
}

export interface DeliverySummary extends DeliveryCounts {
  readonly deliveries: number;
  readonly bytes: number;
  readonly firstReceivedAt: number | null;
  readonly lastReceivedAt: number | null;
  /** Deliveries whose replay was interrupted: they wait to be replayed. */
  readonly interrupted: number;
}

/** Rows deleted in one statement. */
const MAX_SWEPT = 10_000;

const FIELDS = 'id, received_at AS "receivedAt", sealed';

const TAKEN = 'SELECT * FROM unnest($2::int8[], $3::uuid[]) AS t (delivery_id, dedupe_id)';

function columnsOf(marks: readonly DeliveryMark[]): { ids: number[]; owners: number[]; takenBack: Uuid[] } {
  return {
    ids: marks.map(({ id }) => id),
    owners: marks.flatMap(({ id, takenBack }) => takenBack.map(() => id)),
    takenBack: marks.flatMap(({ takenBack }) => takenBack),
  };
}

/**
 * Rows of `webhook_deliveries`: what webhooks sent lately, sealed.
 *
 * A delivery is marked before events of it are taken out of the log, and until they are in it again. `taken_back_by` says
 * by which replay, the last one; `taken_back_ids` which events that may be, whichever replay took them back. While it is
 * marked it may be the only place where they are, and nothing here deletes it.
 */
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
      `SELECT ${FIELDS} FROM webhook_deliveries
       WHERE source_id = $1 AND received_at >= $2 AND id > $3 ORDER BY id LIMIT $4`,
      [sourceId, sinceMs, afterId, limit],
    );
  }

  /** Those that are marked, whenever they came, after the one with this id. */
  async markedPage(sourceId: number, afterId: number, limit: number): Promise<StoredDelivery[]> {
    return this.db.query<StoredDelivery>(
      `SELECT ${FIELDS} FROM webhook_deliveries
       WHERE source_id = $1 AND taken_back_by IS NOT NULL AND id > $2 ORDER BY id LIMIT $3`,
      [sourceId, afterId, limit],
    );
  }

  /**
   * Marks deliveries for a replay, from now on this one, beside what earlier ones may have taken back of them.
   * @returns what may have been taken back by now of those that are still there, dedupe ids by delivery; null: not known
   */
  async mark(marks: readonly DeliveryMark[], replayId: Uuid): Promise<ReadonlyMap<number, ReadonlySet<Uuid> | null>> {
    const { ids, owners, takenBack } = columnsOf(marks);
    const rows = await this.db.query<{ id: number; takenBack: Uuid[] | null }>(
      `WITH taken AS (${TAKEN})
       UPDATE webhook_deliveries d SET
         taken_back_by = $4,
         taken_back_ids = CASE
           WHEN taken_back_by IS NOT NULL AND taken_back_ids IS NULL THEN NULL
           ELSE ARRAY (
             SELECT unnest(d.taken_back_ids) UNION SELECT t.dedupe_id FROM taken t WHERE t.delivery_id = d.id
           )
         END
       WHERE id = ANY ($1::int8[]) RETURNING id, taken_back_ids AS "takenBack"`,
      [ids, owners, takenBack, replayId],
    );
    return new Map(rows.map((row) => [row.id, row.takenBack === null ? null : new Set(row.takenBack)]));
  }

  /**
   * Keeps the marks of a replay as they are until the transaction ends.
   * @returns whether all of these deliveries are still there and marked by this replay
   */
  async holdMarks(tx: Queryable, ids: readonly number[], replayId: Uuid): Promise<boolean> {
    const rows = await tx.query(
      'SELECT FROM webhook_deliveries WHERE id = ANY ($1::int8[]) AND taken_back_by = $2 ORDER BY id FOR SHARE',
      [ids, replayId],
    );
    return rows.length === new Set(ids).size;
  }

  /** Leaves in the marks of a replay only what is still missing. */
  async narrowMarks(marks: readonly DeliveryMark[], replayId: Uuid): Promise<void> {
    const { ids, owners, takenBack } = columnsOf(marks);
    await this.db.execute(
      `WITH taken AS (${TAKEN})
       UPDATE webhook_deliveries d
       SET taken_back_ids = ARRAY (SELECT t.dedupe_id FROM taken t WHERE t.delivery_id = d.id)
       WHERE id = ANY ($1::int8[]) AND taken_back_by = $4`,
      [ids, owners, takenBack, replayId],
    );
  }

  /** Takes the mark off those that another replay has not marked since. */
  async unmark(ids: readonly number[], replayId: Uuid): Promise<void> {
    await this.db.execute(
      `UPDATE webhook_deliveries SET taken_back_by = NULL, taken_back_ids = NULL
       WHERE id = ANY ($1::int8[]) AND taken_back_by = $2`,
      [ids, replayId],
    );
  }

  async countMarked(sourceId: number): Promise<number> {
    const [row] = await this.db.query<{ count: number }>(
      'SELECT count(*) AS count FROM webhook_deliveries WHERE source_id = $1 AND taken_back_by IS NOT NULL',
      [sourceId],
    );
    return row?.count ?? 0;
  }

  async summary(sourceId: number): Promise<DeliverySummary> {
    const [row] = await this.db.query<DeliverySummary>(
      `SELECT count(*) AS deliveries, coalesce(sum(bytes), 0)::int8 AS bytes,
              coalesce(sum(accepted), 0)::int8 AS accepted, coalesce(sum(duplicates), 0)::int8 AS duplicates,
              coalesce(sum(refused), 0)::int8 AS refused, coalesce(sum(skipped), 0)::int8 AS skipped,
              min(received_at) AS "firstReceivedAt", max(received_at) AS "lastReceivedAt",
              count(taken_back_by) AS interrupted
       FROM webhook_deliveries WHERE source_id = $1`,
      [sourceId],
    );
    if (row === undefined) throw new Error('an aggregate without a row');
    return row;
  }

  /** Deletes what is older than `beforeMs` and not marked, some of it at a time. @returns how many */
  async sweepOld(beforeMs: number): Promise<number> {
    return this.#sweep(
      `SELECT id FROM webhook_deliveries WHERE received_at < $1 AND taken_back_by IS NULL
       ORDER BY received_at LIMIT ${String(MAX_SWEPT)}`,
      beforeMs,
    );
  }

  /**
   * Deletes the oldest that are not marked of each webhook that keeps more than `maxBytes`, some at a time.
   * @returns how many
   */
  async sweepLarge(maxBytes: number): Promise<number> {
    return this.#sweep(
      `SELECT id FROM (
         SELECT id, taken_back_by, sum(bytes) OVER (PARTITION BY source_id ORDER BY id DESC) AS total
         FROM webhook_deliveries
       ) sized WHERE total > $1 AND taken_back_by IS NULL LIMIT ${String(MAX_SWEPT)}`,
      maxBytes,
    );
  }

  /** The mark is looked at twice: a replay may set it between the choice and the deletion. */
  #sweep(chosen: string, bound: number): Promise<number> {
    return this.db.execute(`DELETE FROM webhook_deliveries WHERE id IN (${chosen}) AND taken_back_by IS NULL`, [bound]);
  }
}
