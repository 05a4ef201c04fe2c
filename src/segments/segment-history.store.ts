import type { Database } from '../platform/postgres.js';
import {
  KEPT_PERIODS,
  SEGMENT_STEPS,
  startOf,
  STEP_MS,
  type SegmentAlert,
  type SegmentAlertKind,
  type SegmentStep,
} from './segment-history.model.js';

/** Changes of the feed that are counted by one statement. */
const MAX_COUNTED = 100_000;
/** Segments that are measured by one statement: each reads the entries of all their members. */
const MAX_SAMPLED = 20;
const STEPS = SEGMENT_STEPS.map((step) => STEP_MS[step]);
const DAY_MS = STEP_MS.day;

/** Rows of `segment_periods` and `segment_alerts`. Any number of processes may do the same at once. */
export class SegmentHistoryStore {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /**
   * Counts what the feed has that is not counted yet, each change once, at the instant at which it became true.
   * @returns false where there is more
   */
  async count(nowMs: number): Promise<boolean> {
    return this.#db.transaction(async (tx) => {
      const [place] = await tx.query<{ from: number; head: number }>(
        'SELECT p.seq AS "from", h.seq AS head FROM segment_count_place p, feed_head h FOR UPDATE OF p',
      );
      if (place === undefined || place.from >= place.head) return true;
      const to = Math.min(place.head, place.from + MAX_COUNTED);
      await tx.query(
        `INSERT INTO segment_periods AS p (segment_id, step_ms, start, entered, exited, edited)
         SELECT c.segment_id, t.step, c.at - c.at % t.step, count(*) FILTER (WHERE c.kind = 'enter'),
                count(*) FILTER (WHERE c.kind = 'leave'),
                count(*) FILTER (WHERE c.cause ->> 'kind' IN ('edit', 'model', 'recompute') AND c.cause ->> 'pos' IS NULL)
         FROM changes c, unnest($3::int8[], $4::int8[]) AS t (step, kept_from)
         WHERE c.seq > $1::int8 AND c.seq <= $2::int8 AND c.at >= t.kept_from
         GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
         ON CONFLICT (segment_id, step_ms, start) DO UPDATE SET entered = p.entered + excluded.entered,
           exited = p.exited + excluded.exited, edited = p.edited + excluded.edited`,
        [place.from, to, STEPS, SEGMENT_STEPS.map((step) => keptFrom(step, nowMs))],
      );
      await tx.query('UPDATE segment_count_place SET seq = $1::int8', [to]);
      return to === place.head;
    });
  }

  /**
   * Measures active segments that nobody has measured yet in the present period, some of them.
   * @returns how many
   */
  async sample(step: SegmentStep, nowMs: number): Promise<number> {
    const start = startOf(step, nowMs);
    const rows = await this.#db.query<{ id: number }>(
      `SELECT id FROM segments s WHERE stage = 'active' AND NOT EXISTS (
         SELECT FROM segment_periods p
         WHERE p.segment_id = s.id AND p.step_ms = $1::int8 AND p.start = $2::int8 AND p.sampled_seq IS NOT NULL
       ) ORDER BY id LIMIT $3::int4`,
      [STEP_MS[step], start, MAX_SAMPLED],
    );
    if (rows.length === 0) return 0;
    await this.#db.execute(
      // The members and the end of the feed are of one snapshot.
      `INSERT INTO segment_periods AS p (segment_id, step_ms, start, size, stayed, sampled_seq)
       SELECT s.id, $2::int8, $3::int8, n.size, (n.size - e.entered)::int4, h.seq
       FROM unnest($1::int4[]) AS s (id)
       CROSS JOIN feed_head h
       CROSS JOIN LATERAL (SELECT count(*)::int4 AS size FROM memberships WHERE segment_id = s.id) n
       LEFT JOIN segment_periods b ON b.segment_id = s.id AND b.step_ms = $2::int8 AND b.start = $3::int8 - $2::int8
       LEFT JOIN LATERAL (
         SELECT count(DISTINCT c.profile_id) AS entered FROM changes c
         JOIN memberships m ON m.segment_id = c.segment_id AND m.profile_id = c.profile_id
         WHERE c.segment_id = s.id AND c.seq > b.sampled_seq AND c.kind = 'enter'
       ) e ON b.sampled_seq IS NOT NULL
       ON CONFLICT (segment_id, step_ms, start) DO UPDATE
         SET size = excluded.size, stayed = excluded.stayed, sampled_seq = excluded.sampled_seq
         WHERE p.sampled_seq IS NULL`,
      [rows.map(({ id }) => id), STEP_MS[step], start],
    );
    return rows.length;
  }

  /** Keeps an alert open, with what is expected and seen by now; true if it was not open before. */
  async open(segmentId: number, { kind, since, expected, seen }: SegmentAlert): Promise<boolean> {
    const [row] = await this.#db.query<{ isNew: boolean }>(
      `INSERT INTO segment_alerts AS a (segment_id, kind, since, expected, seen)
       VALUES ($1::int4, $2::text, $3::int8, $4::int8, $5::int8)
       ON CONFLICT (segment_id, kind) WHERE ended_at IS NULL
       DO UPDATE SET expected = excluded.expected, seen = excluded.seen
       RETURNING xmax = 0 AS "isNew"`,
      [segmentId, kind, since, expected, seen],
    );
    return row?.isNew === true;
  }

  /** Ends those of these kinds that are open and not among these; returns what it ended. */
  async close(
    kinds: readonly SegmentAlertKind[],
    standing: readonly { readonly segmentId: number; readonly kind: SegmentAlertKind }[],
    nowMs: number,
  ): Promise<readonly { readonly segmentId: number; readonly kind: SegmentAlertKind }[]> {
    return this.#db.query(
      `UPDATE segment_alerts a SET ended_at = $3::int8
       WHERE ended_at IS NULL AND kind = ANY ($4::text[]) AND NOT EXISTS (
         SELECT FROM unnest($1::int4[], $2::text[]) AS f (segment_id, kind)
         WHERE f.segment_id = a.segment_id AND f.kind = a.kind)
       RETURNING segment_id AS "segmentId", kind`,
      [standing.map(({ segmentId }) => segmentId), standing.map(({ kind }) => kind), nowMs, kinds],
    );
  }

  /** Removes what is kept no longer. */
  async sweep(nowMs: number): Promise<void> {
    for (const step of SEGMENT_STEPS) {
      await this.#db.execute('DELETE FROM segment_periods WHERE step_ms = $1::int8 AND start < $2::int8', [
        STEP_MS[step],
        keptFrom(step, nowMs),
      ]);
    }
    await this.#db.execute('DELETE FROM segment_alerts WHERE ended_at < $1::int8', [nowMs - KEPT_PERIODS.day * DAY_MS]);
  }
}

/** The beginning of the first period that is kept, ms. */
function keptFrom(step: SegmentStep, nowMs: number): number {
  return startOf(step, nowMs) - (KEPT_PERIODS[step] - 1) * STEP_MS[step];
}
