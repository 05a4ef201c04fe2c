import type { Queryable } from '../platform/postgres.js';
import {
  STEP_MS,
  type SegmentAlertKind,
  type SegmentPeriod,
  type SegmentStep,
  type StoredSegmentAlert,
} from './segment-history.model.js';

export interface OpenSegmentAlert {
  readonly segmentKey: string;
  readonly kind: SegmentAlertKind;
}

/** Reads what segments were, and when that was unusual. */
export class SegmentHistoryReader {
  constructor(private readonly db: Queryable) {}

  /** Of one segment, by rising start, from an instant on. What is not there is not known. */
  async periods(segmentId: number, step: SegmentStep, fromMs: number): Promise<readonly SegmentPeriod[]> {
    return this.db.query<SegmentPeriod>(
      `SELECT start, size, stayed, entered, exited AS "left", edited FROM segment_periods
       WHERE segment_id = $1::int4 AND step_ms = $2::int8 AND start >= $3::int8 ORDER BY start`,
      [segmentId, STEP_MS[step], fromMs],
    );
  }

  /** Of these segments, the newest first, at most `limit` of each. */
  async alerts(segmentIds: readonly number[], limit: number): Promise<readonly StoredSegmentAlert[]> {
    return this.db.query<StoredSegmentAlert>(
      `SELECT a.* FROM unnest($1::int4[]) AS segment (id) CROSS JOIN LATERAL (
         SELECT segment_id AS "segmentId", kind, since, ended_at AS "endedAt", expected, seen FROM segment_alerts
         WHERE segment_id = segment.id ORDER BY since DESC, id DESC LIMIT $2::int4
       ) a`,
      [segmentIds, limit],
    );
  }

  /** The open ones of all segments, by key. */
  async openAlerts(limit: number): Promise<readonly OpenSegmentAlert[]> {
    return this.db.query<OpenSegmentAlert>(
      `SELECT s.key AS "segmentKey", a.kind FROM segment_alerts a JOIN segments s ON s.id = a.segment_id
       WHERE a.ended_at IS NULL ORDER BY s.key COLLATE "C", a.kind LIMIT $1::int4`,
      [limit],
    );
  }

  /** Whether everything that was accepted before an instant, ms, is applied, so that the feed has all that came of it. */
  async isAppliedUntil(ms: number): Promise<boolean> {
    const [row] = await this.db.query<{ isApplied: boolean }>(
      `SELECT coalesce((
         SELECT accepted_at FROM event_log WHERE pos > (SELECT min(applied_pos) FROM partitions) ORDER BY pos LIMIT 1
       ) >= $1::int8, true) AS "isApplied"`,
      [ms],
    );
    return row?.isApplied === true;
  }
}
