import { LEAST_ID, type Uuid } from '../platform/ids.js';
import type { Queryable, Transaction } from '../platform/postgres.js';
import type { FoldChange } from './fold-batch.js';
import type { RecomputeStatus } from './recompute.model.js';
import { isShadow } from './shadow.model.js';

/** The one that workers are to be at. */
export interface OpenRecompute {
  readonly id: Uuid;
  readonly status: Extract<RecomputeStatus, 'waiting' | 'running'>;
  readonly isPaused: boolean;
}

/** Where a partition is to be gone on with: profiles with ids above `afterId`. */
export interface RecomputeStretch {
  readonly recomputeId: Uuid;
  readonly part: number;
  readonly afterId: Uuid;
}

export interface NewRecompute {
  readonly id: Uuid;
  /** Who asks, where asking again must not be another one; null: nobody will. */
  readonly requestId: Uuid | null;
  /** Empty: all. */
  readonly segmentIds: readonly number[];
  readonly requestedAt: number;
}

/** Of the parts of the one that is under way. */
const SWEPT = '(SELECT coalesce(sum(swept), 0) FROM segment_recompute_parts p WHERE p.recompute_id = r.id)';

/** Rows of `segment_recomputes` and `segment_recompute_parts`, and the pause of what is done behind live traffic. */
export class RecomputeStore {
  /** The one that is under way, else the one that waits; null: neither. */
  async open(db: Queryable): Promise<OpenRecompute | null> {
    const [row] = await db.query<OpenRecompute>(
      `SELECT id, status, EXISTS (SELECT FROM segment_work_pause) AS "isPaused" FROM segment_recomputes
       WHERE status IN ('waiting', 'running') ORDER BY status LIMIT 1`,
    );
    return row ?? null;
  }

  /**
   * Whether no history is to be read: it rests, and nothing waits for it that may not. What takes events back works with
   * streams that are complete.
   */
  async restsFromHistory(db: Queryable): Promise<boolean> {
    const [row] = await db.query<{ rests: boolean }>(
      `SELECT EXISTS (SELECT FROM segment_work_pause)
          AND NOT EXISTS (SELECT FROM erasures WHERE status IN ('waiting', 'running'))
          AND NOT EXISTS (SELECT FROM retractions WHERE status = 'running') AS rests`,
    );
    return row?.rests === true;
  }

  /**
   * Asks for one. What waits is joined, and so is what this request asked for before; what has begun has evaluated
   * some already, so another one comes after it. The id of the one that answers the request.
   */
  async request(tx: Transaction, { id, requestId, segmentIds, requestedAt }: NewRecompute): Promise<Uuid> {
    // One at a time, so that two at once become one.
    await tx.query('LOCK TABLE segment_recomputes IN SHARE ROW EXCLUSIVE MODE');
    if (requestId !== null) {
      const [known] = await tx.query<{ id: Uuid }>('SELECT id FROM segment_recomputes WHERE $1 = ANY (request_ids)', [
        requestId,
      ]);
      if (known !== undefined) return known.id;
    }
    const asker = requestId ?? NAMELESS;
    const [joined] = await tx.query<{ id: Uuid }>(
      `UPDATE segment_recomputes SET request_ids = array_remove(request_ids, $1::uuid) || $1::uuid,
              segment_ids = CASE WHEN segment_ids = '{}' OR $2::int4[] = '{}' THEN '{}'
                ELSE ARRAY(SELECT DISTINCT x FROM unnest(segment_ids || $2::int4[]) AS u (x) ORDER BY x) END
       WHERE status = 'waiting' RETURNING id`,
      [asker, segmentIds],
    );
    if (joined !== undefined) return joined.id;
    await tx.query(
      `INSERT INTO segment_recomputes (id, status, segment_ids, request_ids, requested_at)
       VALUES ($1, 'waiting', $2, $3, $4)`,
      [id, segmentIds, [asker], requestedAt],
    );
    await tx.query(
      `DELETE FROM segment_recomputes WHERE id IN (
         SELECT id FROM segment_recomputes WHERE status IN ('done', 'cancelled')
         ORDER BY requested_at DESC, id DESC OFFSET $1 LIMIT 1000)`,
      [KEPT_RECOMPUTES],
    );
    return id;
  }

  /** Begins one that waits, in all partitions; false where another worker did, or it is there no more. */
  async begin(tx: Transaction, id: Uuid, nowMs: number): Promise<boolean> {
    const begun = await tx.execute(
      `UPDATE segment_recomputes SET status = 'running', started_at = $2,
              total = (SELECT count(*) FROM profiles WHERE merged_into IS NULL)
       WHERE id = $1 AND status = 'waiting' AND NOT EXISTS (SELECT FROM segment_recomputes WHERE status = 'running')`,
      [id, nowMs],
    );
    if (begun === 0) return false;
    await tx.query(
      `INSERT INTO segment_recompute_parts (part, recompute_id, after_id) SELECT part, $1, $2 FROM partitions
       ON CONFLICT (part) DO UPDATE
         SET recompute_id = excluded.recompute_id, after_id = excluded.after_id, is_done = false, swept = 0`,
      [id, LEAST_ID],
    );
    return true;
  }

  /** Of these partitions the first that is not done. */
  async next(db: Queryable, recomputeId: Uuid, parts: readonly number[]): Promise<RecomputeStretch | null> {
    const [row] = await db.query<RecomputeStretch>(
      `SELECT recompute_id AS "recomputeId", part, after_id AS "afterId" FROM segment_recompute_parts
       WHERE recompute_id = $1 AND part = ANY ($2::int2[]) AND NOT is_done ORDER BY part LIMIT 1`,
      [recomputeId, parts],
    );
    return row ?? null;
  }

  /** Notes that these follow, rising; `isLast`: nobody follows them. */
  async advance(
    tx: Transaction,
    { recomputeId, part }: RecomputeStretch,
    ids: readonly Uuid[],
    isLast: boolean,
  ): Promise<void> {
    await tx.query(
      `UPDATE segment_recompute_parts
       SET after_id = $3, is_done = $4, swept = swept + $5
       WHERE recompute_id = $1 AND part = $2`,
      // Nobody's id is kept for longer than it is needed.
      [recomputeId, part, isLast ? LEAST_ID : ids.at(-1), isLast, ids.length],
    );
  }

  /**
   * Everybody of a partition is evaluated because definitions changed, by what began after this one was asked for:
   * whoever is left need not be evaluated twice.
   */
  async cover(tx: Transaction, recomputeId: Uuid, part: number): Promise<void> {
    await tx.query(
      `UPDATE segment_recompute_parts q SET is_done = true, after_id = $3, swept = q.swept + (
         SELECT count(*) FROM profiles p WHERE p.part = q.part AND p.id > q.after_id AND p.merged_into IS NULL)
       WHERE q.recompute_id = $1 AND q.part = $2 AND NOT q.is_done`,
      [recomputeId, part, LEAST_ID],
    );
  }

  /** Ends it once everybody was evaluated; true if that is so now. */
  async finish(db: Queryable, id: Uuid, nowMs: number): Promise<boolean> {
    const finished = await db.execute(
      `UPDATE segment_recomputes r SET status = 'done', finished_at = $2, swept = ${SWEPT}
       WHERE id = $1 AND status = 'running'
         AND NOT EXISTS (SELECT FROM segment_recompute_parts p WHERE p.recompute_id = r.id AND NOT p.is_done)
         AND NOT EXISTS (SELECT FROM timers WHERE sweep = 0) AND NOT EXISTS (SELECT FROM timers WHERE is_swept)`,
      [id, nowMs],
    );
    return finished > 0;
  }

  /**
   * Cancels what is not over; whoever was evaluated stays so. Where one request does not want it any more, only what
   * nobody else asked for. How many were cancelled.
   */
  async cancel(tx: Transaction, requestId: Uuid | null, nowMs: number): Promise<number> {
    await tx.query('LOCK TABLE segment_recomputes IN SHARE ROW EXCLUSIVE MODE');
    if (requestId !== null) {
      await tx.query(
        `UPDATE segment_recomputes SET request_ids = array_remove(request_ids, $1::uuid)
         WHERE status IN ('waiting', 'running') AND cardinality(request_ids) > 1 AND $1::uuid = ANY (request_ids)
         RETURNING id`,
        [requestId],
      );
    }
    const cancelled = await tx.query<{ id: Uuid }>(
      `UPDATE segment_recomputes r SET status = 'cancelled', finished_at = $2, swept = ${SWEPT}
       WHERE status IN ('waiting', 'running') AND ($1::uuid IS NULL OR request_ids = ARRAY[$1::uuid]) RETURNING id`,
      [requestId, nowMs],
    );
    await tx.query('UPDATE segment_recompute_parts SET is_done = true, after_id = $2 WHERE recompute_id = ANY ($1)', [
      cancelled.map(({ id }) => id),
      LEAST_ID,
    ]);
    return cancelled.length;
  }

  /** False where it rests already. */
  async pause(db: Queryable, nowMs: number): Promise<boolean> {
    const paused = await db.execute(
      'INSERT INTO segment_work_pause (is_paused, since) VALUES (true, $1) ON CONFLICT DO NOTHING',
      [nowMs],
    );
    return paused > 0;
  }

  /** False where it does not rest. */
  async resume(tx: Transaction, nowMs: number): Promise<boolean> {
    const [pause] = await tx.query<{ since: number }>('DELETE FROM segment_work_pause RETURNING since');
    if (pause === undefined) return false;
    await tx.query(
      `UPDATE segment_recomputes SET paused_ms = paused_ms + greatest(0, $1::int8 - greatest($2::int8, started_at))
       WHERE status = 'running'`,
      [nowMs, pause.since],
    );
    return true;
  }

  /** Counts what it changed; to be called before the feed is locked. */
  async note(tx: Transaction, changes: readonly FoldChange[]): Promise<void> {
    const segmentIds = changes.flatMap(({ cause, segmentId }) =>
      cause.kind === 'recompute' && !isShadow(segmentId) ? [segmentId] : [],
    );
    if (segmentIds.length === 0) return;
    await tx.query(
      `UPDATE segment_recomputes SET changes = changes + (
         SELECT count(*) FROM unnest($1::int4[]) AS u (id) WHERE segment_ids = '{}' OR u.id = ANY (segment_ids))
       WHERE id = (SELECT recompute_id FROM segment_recompute_parts LIMIT 1)`,
      [segmentIds],
    );
  }
}

/** All who will not ask again: each wants what they asked for, however often it is withdrawn by others. */
const NAMELESS = LEAST_ID;

const KEPT_RECOMPUTES = 100;
