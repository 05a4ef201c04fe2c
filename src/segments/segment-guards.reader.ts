import type { Clock } from '../platform/clock.js';
import type { Queryable } from '../platform/postgres.js';
import type { Warning } from '../platform/warning.js';
import { isShadowed } from './evaluated-versions.js';
import {
  duplicateWarning,
  isDuplicate,
  MIN_PEOPLE_FACTOR,
  ruleFingerprint,
  sameRuleWarning,
  SMALL_FOR_DAYS,
  smallWarning,
} from './guard-segments.js';
import { NEAR_DUPLICATE } from './overlap.model.js';
import { OverlapReader } from './overlap.reader.js';
import { startOf, STEP_MS } from './segment-history.model.js';
import { ruleOf } from './segment-rule.model.js';
import { SegmentReader, type StoredSegment } from './segment.reader.js';
import { shadowIdOf } from './shadow.model.js';

/** Named of one segment. */
const MAX_DUPLICATES = 5;
/** Hours in which nobody measured are overlooked at the beginning, too, up to here. */
const LATEST_FIRST_MS = 12 * STEP_MS.hour;

/** A live segment that has had few members for long. */
export interface SmallSegment {
  readonly segmentId: number;
  /** How many it has had at most in that time. */
  readonly most: number;
}

/** Says of segments that there are too many of them: what is small, and what another one is already. */
export class SegmentGuards {
  /** @param minSize fewer members are few; 0: none are */
  constructor(
    private readonly db: Queryable,
    private readonly clock: Clock,
    readonly minSize: number,
  ) {}

  /**
   * What each is warned of, at its index; archived ones of nothing. Of all of them at once, from what was measured within
   * the last hour or so.
   */
  async warnings(segments: readonly StoredSegment[]): Promise<Warning[][]> {
    const standing = segments.filter(({ stage }) => stage !== 'archived');
    if (standing.length === 0) return segments.map(() => []);
    const ids = standing.flatMap((each) => [
      ...(each.activeVersion === null ? [] : [each.id]),
      ...(isShadowed(each) ? [shadowIdOf(each.id)] : []),
    ]);
    const pairs = await new OverlapReader(this.db).of(ids, NEAR_DUPLICATE, MAX_DUPLICATES);
    const active = await new SegmentReader(this.db).active();
    const keys = new Map(active.map(({ id, key }) => [id, key]));
    const small = new Map((await this.small(ids.filter((id) => id > 0))).map((each) => [each.segmentId, each]));
    const sayers = new Map<string, StoredSegment[]>();
    for (const each of active) {
      if (each.activeRule === null) continue;
      const print = ruleFingerprint(each.activeRule);
      sayers.set(print, [...(sayers.get(print) ?? []), each]);
    }
    return segments.map((segment) => {
      const { id, key, stage } = segment;
      if (stage === 'archived') return [];
      const same = (sayers.get(ruleFingerprint(ruleOf(segment))) ?? []).filter((other) => other.id !== id);
      const told = new Set(same.map((other) => other.id));
      const found = same.slice(0, MAX_DUPLICATES).map((other) => sameRuleWarning(other.key));
      for (const pair of [...(pairs.get(id) ?? []), ...(pairs.get(shadowIdOf(id)) ?? [])]) {
        const otherId = Math.abs(pair.segmentId) === id ? pair.otherId : pair.segmentId;
        const other = keys.get(otherId);
        if (other === undefined || told.has(otherId) || !isDuplicate(pair)) continue;
        told.add(otherId);
        found.push(duplicateWarning(other, pair));
      }
      const few = small.get(id);
      return few === undefined ? found : [...found, smallWarning(key, few.most, this.minSize)];
    });
  }

  /**
   * Which of these live segments have had fewer members than the smallest size at each hour of the last days, and now;
   * none where there are few people at all, and none outside the time in which a segment has members.
   */
  async small(ids: readonly number[]): Promise<SmallSegment[]> {
    if (this.minSize === 0 || ids.length === 0) return [];
    const nowMs = this.clock.now();
    const fromMs = startOf('hour', nowMs) - SMALL_FOR_DAYS * STEP_MS.day;
    return this.db.query<SmallSegment>(
      `WITH known AS MATERIALIZED (
         SELECT segment_id, max(size) AS most FROM segment_periods
         WHERE segment_id = ANY ($1::int4[]) AND step_ms = $2::int8 AND start >= $3::int8 AND size IS NOT NULL
         GROUP BY segment_id HAVING max(size) < $4::int8 AND min(start) <= $7::int8
       )
       SELECT k.segment_id AS "segmentId", greatest(k.most, n.size)::int4 AS most FROM known k
       JOIN segments s ON s.id = k.segment_id AND s.stage = 'active'
       JOIN segment_versions v ON v.segment_id = s.id AND v.version = s.active_version
       CROSS JOIN LATERAL (
         SELECT count(*) AS size FROM (SELECT FROM memberships WHERE segment_id = k.segment_id LIMIT $4::int8) m
       ) n
       WHERE n.size < $4::int8 AND coalesce(v.active_from, 0) <= $3::int8 AND coalesce(v.active_until > $5::int8, true)
         AND (SELECT count(*) FROM (SELECT FROM profiles WHERE merged_into IS NULL LIMIT $6::int8) p) >= $6::int8
       ORDER BY k.segment_id`,
      [ids, STEP_MS.hour, fromMs, this.minSize, nowMs, this.minSize * MIN_PEOPLE_FACTOR, fromMs + LATEST_FIRST_MS],
    );
  }
}
