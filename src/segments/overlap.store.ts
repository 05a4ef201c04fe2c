import type { Database } from '../platform/postgres.js';
import { SegmentProgressReader } from './segment-progress.reader.js';
import { MAX_KEPT_OVERLAPS, type OverlapRun } from './overlap.model.js';

export interface MeasureAsk {
  readonly nowMs: number;
  /** Memberships that are looked at, about; beyond that those of a part of all people. */
  readonly maxMemberships: number;
}

/** Due so long after the last one, ms, and earlier where another version was activated or tried. */
const EVERY_MS = 60 * 60_000;
const AFTER_CHANGE_MS = 5 * 60_000;
/** For so long it waits for those who have yet to be evaluated by what was activated, ms. */
const LATEST_MS = 24 * 60 * 60_000;
const TIMEOUT_MS = 30 * 60_000;
/** As `uuid_hash_extended` is cut elsewhere: a sample is the same people each time. */
const HASH_RANGE = 2 ** 30;

/** Rows of `segment_overlaps`: what each pair of live segments has in common, shadows held against what is live. */
export class OverlapStore {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /**
   * Measures where that is due and everybody is evaluated by what is live; of several processes one does, and the others do not wait for it.
   * @returns whether it did
   */
  async measureIfDue(ask: MeasureAsk): Promise<boolean> {
    const [run] = await this.#db.query<{ isDue: boolean; isLate: boolean; measuredAt: number | null }>(
      `SELECT coalesce(measured_at <= $1::int8 OR (measured_at <= $2::int8 AND versions <> (${VERSIONS})), true) AS "isDue",
              coalesce(measured_at <= $3::int8, false) AS "isLate",
              measured_at AS "measuredAt"
       FROM segment_overlap_run`,
      [ask.nowMs - EVERY_MS, ask.nowMs - AFTER_CHANGE_MS, ask.nowMs - LATEST_MS],
    );
    if (run?.isDue !== true) return false;
    const { profilesLeft } = await new SegmentProgressReader(this.#db).of([]);
    if (profilesLeft > 0 && !run.isLate) return false;
    return (await this.#measure(ask, run.measuredAt)) !== null;
  }

  /** Measures now, after whoever does already. */
  async measure(ask: MeasureAsk): Promise<OverlapRun> {
    return (await this.#measure(ask)) ?? { measuredAt: ask.nowMs, share: 1, leftOut: 0 };
  }

  /** @param last not where somebody measures now, or did since this instant, ms; undefined: in any case */
  async #measure({ nowMs, maxMemberships }: MeasureAsk, last?: number | null): Promise<OverlapRun | null> {
    return this.#db.transaction(
      async (tx) => {
        const locked =
          last === undefined
            ? await tx.query('SELECT FROM segment_overlap_run FOR UPDATE')
            : await tx.query(
                `SELECT FROM segment_overlap_run WHERE measured_at IS NOT DISTINCT FROM $1::int8 FOR UPDATE SKIP LOCKED`,
                [last],
              );
        if (locked.length === 0) return null;
        // Sets of many kinds are counted: beside the workers, and with memory enough to do it in few passes.
        for (const setting of ["work_mem = '64MB'", 'jit = off']) await tx.execute(`SET LOCAL ${setting}`);
        const [about] = await tx.query<{ rows: number }>(
          `SELECT greatest(reltuples, 0)::float8 AS rows FROM pg_class WHERE oid = 'memberships'::regclass`,
        );
        const cut = Math.max(1, Math.round(Math.min(1, maxMemberships / Math.max(1, about?.rows ?? 0)) * HASH_RANGE));
        const share = cut / HASH_RANGE;
        await tx.execute('DELETE FROM segment_overlaps');
        const [kept] = await tx.query<{ found: number; kept: number }>(MEASURE, [
          share < 1 ? cut : null,
          share,
          MAX_KEPT_OVERLAPS,
        ]);
        const leftOut = (kept?.found ?? 0) - (kept?.kept ?? 0);
        await tx.execute(
          `UPDATE segment_overlap_run
           SET measured_at = $1::int8, share = $2::float8, left_out = $3::int4, versions = (${VERSIONS})`,
          [nowMs, share, leftOut],
        );
        return { measuredAt: nowMs, share, leftOut };
      },
      { timeoutMs: TIMEOUT_MS, statementTimeoutMs: TIMEOUT_MS },
    );
  }
}

/** What is evaluated, as one text: another one once something was activated, archived or tried. */
const VERSIONS = `
  SELECT coalesce(md5(string_agg(concat_ws('.', id, active_version, shadow_version), ',' ORDER BY id)), '')
  FROM segments WHERE stage <> 'archived'`;

/**
 * People are grouped by the set of segments that they are in, in the order of the primary key, so that each set is made once
 * and its pairs are counted once for all who are in just these.
 *
 * $1: of which hashes of ids people are looked at, below it; null: all. $2: the share of all that these are. $3: pairs that
 * are kept.
 */
const MEASURE = `
  WITH evaluated AS MATERIALIZED (
    SELECT id, active_version AS version FROM segments WHERE stage = 'active'
    UNION ALL
    SELECT -id, shadow_version FROM segments
    WHERE stage <> 'archived' AND shadow_version IS NOT NULL AND shadow_version IS DISTINCT FROM active_version
  ), sets AS MATERIALIZED (
    SELECT members, count(*) AS people FROM (
      SELECT array_agg(segment_id) AS members FROM (
        SELECT profile_id, segment_id FROM memberships
        WHERE $1::int8 IS NULL OR (uuid_hash_extended(profile_id, 0) & ${String(HASH_RANGE - 1)}) < $1::int8
        ORDER BY profile_id, segment_id
      ) m GROUP BY profile_id
    ) p GROUP BY members
  ), counts AS MATERIALIZED (
    SELECT a, b, round(sum(people) / $2::float8)::int8 AS people
    FROM sets, unnest(members) AS a, unnest(members) AS b WHERE a <= b GROUP BY a, b
  ), pairs AS MATERIALIZED (
    SELECT a.id AS a, b.id AS b, a.version AS a_version, b.version AS b_version, x.people AS a_size, y.people AS b_size,
           c.people AS common, c.people / greatest(x.people + y.people - c.people, 1)::float8 AS jaccard,
           count(*) OVER () AS found
    FROM counts c
    JOIN counts x ON x.a = c.a AND x.b = c.a
    JOIN counts y ON y.a = c.b AND y.b = c.b
    JOIN evaluated a ON a.id = c.a
    JOIN evaluated b ON b.id = c.b
    WHERE c.a < c.b AND c.b > 0 AND c.a <> -c.b AND c.people > 0
  ), kept AS (
    INSERT INTO segment_overlaps (segment_id, other_id, version, other_version, size, other_size, common, jaccard)
    SELECT CASE WHEN turned THEN b ELSE a END, CASE WHEN turned THEN a ELSE b END,
           CASE WHEN turned THEN b_version ELSE a_version END, CASE WHEN turned THEN a_version ELSE b_version END,
           CASE WHEN turned THEN b_size ELSE a_size END, CASE WHEN turned THEN a_size ELSE b_size END, common, jaccard
    FROM (SELECT *, a > 0 AND b_size < a_size AS turned FROM pairs
          ORDER BY greatest(jaccard, common / greatest(least(a_size, b_size), 1)::float8) DESC, a, b LIMIT $3::int4) p
    RETURNING 1
  )
  SELECT coalesce((SELECT max(found) FROM pairs), 0)::int4 AS found, (SELECT count(*) FROM kept)::int4 AS kept`;
