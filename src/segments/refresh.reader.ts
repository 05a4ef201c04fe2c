import type { Queryable } from '../platform/postgres.js';
import { MIN_JUDGED_MEMBERS, UNSTABLE_FOR_MS, type SegmentRefresh } from './refresh.model.js';

/** A live segment that kept few of its members. */
export interface UnstableSegment {
  readonly segmentId: number;
  readonly key: string;
  /** When that was measured, ms. */
  readonly since: number;
  /** Who would be in it or is. */
  readonly either: number;
  /** Who would be in it and is. */
  readonly both: number;
}

const COLUMNS = `r.id, r.segment_id AS "segmentId", r.kind, r.measured_at AS "measuredAt", r.version_before AS "versionBefore",
  r.version, r.models, r.before, r.entered, r.exited AS "left", r.share, r.adjusted_rand AS "adjustedRand"`;

/** Of each live segment the refresh that was measured last. */
const LATEST = `segments s CROSS JOIN LATERAL (
    SELECT * FROM segment_refreshes WHERE segment_id = s.id ORDER BY id DESC LIMIT 1
  ) r WHERE s.stage = 'active'`;

/** Reads how many of their members segments kept when what decides changed. */
export class RefreshReader {
  constructor(private readonly db: Queryable) {}

  /** Of one segment, the newest first, of those before `beforeId`. */
  page(segmentId: number, beforeId: number, limit: number): Promise<SegmentRefresh[]> {
    const sql = `SELECT ${COLUMNS} FROM segment_refreshes r WHERE segment_id = $1::int4 AND id < $2::int8
                 ORDER BY id DESC LIMIT $3::int4`;
    return this.db.query<SegmentRefresh>(sql, [segmentId, beforeId, limit]);
  }

  /** Of each live segment the latest, by key. */
  latest(): Promise<(SegmentRefresh & { readonly key: string })[]> {
    return this.db.query(`SELECT ${COLUMNS}, s.key FROM ${LATEST} ORDER BY s.key COLLATE "C"`);
  }

  /** Those that came through their latest refresh with a smaller Jaccard index, within the last days. */
  unstable(minJaccard: number, nowMs: number): Promise<UnstableSegment[]> {
    return this.db.query<UnstableSegment>(
      `SELECT s.id AS "segmentId", s.key, r.measured_at AS since, r.before + r.entered AS either, r.before - r.exited AS both
       FROM ${LATEST} AND r.before >= $1::int8 AND r.measured_at > $2::int8
         AND r.before - r.exited < $3::float8 * (r.before + r.entered)
       ORDER BY s.id`,
      [MIN_JUDGED_MEMBERS, nowMs - UNSTABLE_FOR_MS, minJaccard],
    );
  }
}
