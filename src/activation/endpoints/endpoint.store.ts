import { int4Array, int8Array, textArray, uuidArray } from '../../platform/binary-arrays.js';
import type { Uuid } from '../../platform/ids.js';
import type { Queryable, Transaction } from '../../platform/postgres.js';
import type { Endpoint, EndpointBacklog, FailedDelivery } from './endpoint.model.js';

const FIELDS = `key, origin, filter, content, settings, paused_at AS "pausedAt", paused_because AS "pausedBecause", seq,
  failures, retry_at AS "retryAt", error, delivered, delivered_at AS "deliveredAt", created_at AS "createdAt"`;

const DELIVERY_FIELDS = `d.endpoint_key AS "endpointKey", d.seq, d.profile_id AS "profileId", d.status, d.attempts,
  d.next_at AS "nextAt", d.error, d.failed_at AS "failedAt"`;

/** An endpoint with what it is reached and signed by, sealed. */
export interface StoredEndpoint extends Endpoint {
  readonly target: Buffer;
  readonly secret: Buffer;
  readonly formerSecret: Buffer | null;
  /** Until when signatures by the former secret are sent, too, ms. */
  readonly formerUntil: number | null;
}

const SEALED = `target, secret, former_secret AS "formerSecret", former_until AS "formerUntil"`;

/** What a round of sending came to. */
export interface RoundResult {
  /** Where the round began, by which it is known that nobody else sent meanwhile. */
  readonly fromSeq: number;
  readonly toSeq: number;
  /** Positions that stood among the deliveries and do not any more. */
  readonly done: readonly number[];
  readonly failed: readonly Omit<FailedDelivery, 'endpointKey'>[];
  readonly delivered: number;
  readonly failures: number;
  readonly retryAt: number | null;
  readonly error: string | null;
  /** Null: it is not to be paused. */
  readonly pauseBecause: string | null;
}

/** Rows of `webhook_endpoints` and `endpoint_deliveries`. */
export class EndpointStore {
  constructor(private readonly db: Queryable) {}

  async count(): Promise<number> {
    const [row] = await this.db.query<{ count: number }>('SELECT count(*)::int8 AS count FROM webhook_endpoints');
    return row?.count ?? 0;
  }

  async find(key: string): Promise<StoredEndpoint | null> {
    const [row] = await this.db.query<StoredEndpoint>(
      `SELECT ${FIELDS}, ${SEALED} FROM webhook_endpoints WHERE key = $1`,
      [key],
    );
    return row ?? null;
  }

  /** By key, those after one; null: from the first. */
  async page(afterKey: string | null, limit: number): Promise<Endpoint[]> {
    return this.db.query<Endpoint>(`SELECT ${FIELDS} FROM webhook_endpoints WHERE key > $1 ORDER BY key LIMIT $2`, [
      afterKey ?? '',
      limit,
    ]);
  }

  /** Of each of these endpoints; bounded by what an endpoint may have of either. */
  async backlogs(keys: readonly string[]): Promise<Map<string, EndpointBacklog>> {
    const rows = await this.db.query<EndpointBacklog & { key: string }>(
      `SELECT k.key, count(*) FILTER (WHERE d.status = 'waiting') AS waiting,
              count(*) FILTER (WHERE d.status = 'dead') AS dead
       FROM unnest($1::text[]) AS k (key) LEFT JOIN endpoint_deliveries d ON d.endpoint_key = k.key COLLATE "C"
       GROUP BY k.key`,
      [keys],
    );
    return new Map(rows.map(({ key, waiting, dead }) => [key, { waiting, dead }]));
  }

  /** False where there is one of this key. */
  async insert(endpoint: StoredEndpoint): Promise<boolean> {
    const { key, origin, target, secret, filter, content, settings, seq, createdAt } = endpoint;
    const inserted = await this.db.execute(
      `INSERT INTO webhook_endpoints (key, origin, target, secret, filter, content, settings, seq, created_at)
       VALUES ($1, $2, $3, $4, $5::jsonb, $6::jsonb, $7::jsonb, $8, $9) ON CONFLICT DO NOTHING`,
      [
        ...[key, origin, target, secret, JSON.stringify(filter), JSON.stringify(content), JSON.stringify(settings)],
        ...[seq, createdAt],
      ],
    );
    return inserted === 1;
  }

  /** What is left out stays. */
  async update(
    key: string,
    { origin, target, filter, content, settings }: Partial<Omit<StoredEndpoint, 'key'>>,
  ): Promise<void> {
    const json = (value: unknown): string | null => (value === undefined ? null : JSON.stringify(value));
    await this.db.execute(
      `UPDATE webhook_endpoints SET origin = coalesce($2, origin), target = coalesce($3, target),
              filter = coalesce($4::jsonb, filter), content = coalesce($5::jsonb, content),
              settings = coalesce($6::jsonb, settings), failures = 0, retry_at = NULL
       WHERE key = $1`,
      [key, origin ?? null, target ?? null, json(filter), json(content), json(settings)],
    );
  }

  async pause(key: string, nowMs: number): Promise<void> {
    await this.db.execute(
      'UPDATE webhook_endpoints SET paused_at = $2, paused_because = NULL WHERE key = $1 AND paused_at IS NULL',
      [key, nowMs],
    );
  }

  /** @param because why Weft does so */
  async pauseBecause(key: string, because: string, nowMs: number): Promise<void> {
    await this.db.execute(
      'UPDATE webhook_endpoints SET paused_at = $2, paused_because = $3 WHERE key = $1 AND paused_at IS NULL',
      [key, nowMs, because],
    );
  }

  /** What waits to be tried again is tried at once. */
  async resume(key: string, nowMs: number): Promise<void> {
    await this.db.execute(
      `WITH resumed AS (
         UPDATE webhook_endpoints SET paused_at = NULL, paused_because = NULL, failures = 0, retry_at = NULL
         WHERE key = $1 RETURNING key
       )
       UPDATE endpoint_deliveries d SET next_at = $2 FROM resumed r
       WHERE d.endpoint_key = r.key AND d.status = 'waiting' AND d.next_at > $2`,
      [key, nowMs],
    );
  }

  async replaceSecret(key: string, secret: Buffer, formerUntil: number | null): Promise<void> {
    await this.db.execute(
      `UPDATE webhook_endpoints SET secret = $2, former_until = $3,
              former_secret = CASE WHEN $3::int8 IS NULL THEN NULL ELSE secret END
       WHERE key = $1`,
      [key, secret, formerUntil],
    );
  }

  /** With its deliveries. */
  async remove(key: string): Promise<void> {
    await this.db.execute('DELETE FROM webhook_endpoints WHERE key = $1', [key]);
  }

  // --- deliveries ---------------------------------------------------------------------------------------------------

  /** Changes of these endpoints that are not delivered, the oldest first, those after a position. */
  async undelivered(key: string, afterSeq: number, limit: number): Promise<FailedDelivery[]> {
    return this.db.query<FailedDelivery>(
      `SELECT ${DELIVERY_FIELDS} FROM endpoint_deliveries d WHERE d.endpoint_key = $1 AND d.seq > $2
       ORDER BY d.seq LIMIT $3`,
      [key, afterSeq, limit],
    );
  }

  /**
   * Of each profile whose first waiting change is due, the waiting changes, in order.
   * @param limit of changes; a profile's last ones may be left out
   */
  async due(key: string, nowMs: number, limit: number): Promise<FailedDelivery[]> {
    return this.db.query<FailedDelivery>(
      `WITH heads AS (
         SELECT DISTINCT ON (profile_id) profile_id, next_at, seq FROM endpoint_deliveries
         WHERE endpoint_key = $1 AND status = 'waiting' ORDER BY profile_id, seq
       ), first AS (SELECT * FROM heads WHERE next_at <= $2 ORDER BY seq LIMIT $3)
       SELECT ${DELIVERY_FIELDS} FROM first h JOIN endpoint_deliveries d
         ON d.endpoint_key = $1 AND d.profile_id = h.profile_id AND d.status = 'waiting'
       ORDER BY h.seq, d.seq LIMIT $3`,
      [key, nowMs, limit],
    );
  }

  /** The first waiting changes of profiles, whenever they are due; those that were tried least come first. */
  async probes(key: string, limit: number): Promise<FailedDelivery[]> {
    return this.db.query<FailedDelivery>(
      `SELECT * FROM (
         SELECT DISTINCT ON (d.profile_id) ${DELIVERY_FIELDS} FROM endpoint_deliveries d
         WHERE d.endpoint_key = $1 AND d.status = 'waiting' ORDER BY d.profile_id, d.seq
       ) h ORDER BY h.attempts, h.seq LIMIT $2`,
      [key, limit],
    );
  }

  /** When a waiting change is due next, ms; null: none waits. */
  async nextDueAt(key: string): Promise<number | null> {
    const [row] = await this.db.query<{ at: number | null }>(
      `SELECT min(next_at) AS at FROM (
         SELECT DISTINCT ON (profile_id) next_at FROM endpoint_deliveries
         WHERE endpoint_key = $1 AND status = 'waiting' ORDER BY profile_id, seq
       ) h`,
      [key],
    );
    return row?.at ?? null;
  }

  /** Of these profiles, those of whom a change waits. */
  async waitingProfiles(key: string, profileIds: readonly Uuid[]): Promise<Set<Uuid>> {
    const rows = await this.db.query<{ id: Uuid }>(
      `SELECT DISTINCT profile_id AS id FROM endpoint_deliveries
       WHERE endpoint_key = $1 AND status = 'waiting' AND profile_id = ANY ($2::uuid[])`,
      [key, uuidArray([...profileIds], (id) => id)],
    );
    return new Set(rows.map(({ id }) => id));
  }

  /** Lets dead changes be tried again, at once. @param seqs null: all of them. Returns how many. */
  async revive(key: string, seqs: readonly number[] | null, nowMs: number): Promise<number> {
    return this.db.execute(
      `UPDATE endpoint_deliveries SET status = 'waiting', attempts = 0, next_at = $3
       WHERE endpoint_key = $1 AND status = 'dead' AND ($2::int8[] IS NULL OR seq = ANY ($2))`,
      [key, seqs, nowMs],
    );
  }

  /** Gives dead changes up for good. Returns how many. */
  async discard(key: string, seqs: readonly number[] | null): Promise<number> {
    return this.db.execute(
      `DELETE FROM endpoint_deliveries
       WHERE endpoint_key = $1 AND status = 'dead' AND ($2::int8[] IS NULL OR seq = ANY ($2))`,
      [key, seqs],
    );
  }

  /** False where the endpoint is gone, or somebody else moved it: then nothing is written. */
  async finishRound(tx: Transaction, key: string, result: RoundResult, nowMs: number): Promise<boolean> {
    const { fromSeq, toSeq, done, failed, delivered, failures, retryAt, error, pauseBecause } = result;
    const moved = await tx.execute(
      `UPDATE webhook_endpoints SET seq = $3, delivered = delivered + $4, failures = $5, retry_at = $6, error = $7,
              delivered_at = CASE WHEN $4::int8 > 0 THEN $8 ELSE delivered_at END,
              paused_at = CASE WHEN $9::text IS NULL THEN paused_at ELSE coalesce(paused_at, $8) END,
              paused_because = coalesce($9, paused_because)
       WHERE key = $1 AND seq = $2`,
      [key, fromSeq, toSeq, delivered, failures, retryAt, error, nowMs, pauseBecause],
    );
    if (moved === 0) return false;
    if (done.length > 0) {
      await tx.execute('DELETE FROM endpoint_deliveries WHERE endpoint_key = $1 AND seq = ANY ($2::int8[])', [
        key,
        int8Array([...done], (seq) => seq),
      ]);
    }
    if (failed.length > 0) {
      await tx.execute(
        `INSERT INTO endpoint_deliveries (endpoint_key, seq, profile_id, status, attempts, next_at, error, failed_at)
         SELECT $1, seq, profile_id, status, attempts, next_at, error, failed_at
         FROM unnest($2::int8[], $3::uuid[], $4::text[], $5::int4[], $6::int8[], $7::text[], $8::int8[])
           AS t (seq, profile_id, status, attempts, next_at, error, failed_at)
         ON CONFLICT (endpoint_key, seq) DO UPDATE SET status = excluded.status, attempts = excluded.attempts,
           next_at = excluded.next_at, error = excluded.error, failed_at = excluded.failed_at`,
        [
          key,
          int8Array(failed, (each) => each.seq),
          uuidArray(failed, (each) => each.profileId),
          textArray(failed, (each) => each.status),
          int4Array(failed, (each) => each.attempts),
          int8Array(failed, (each) => each.nextAt),
          failed.map((each) => each.error),
          failed.map((each) => each.failedAt),
        ],
      );
    }
    return true;
  }
}
