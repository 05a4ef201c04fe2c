import type { ViolationRule } from '../events/plan-violation.model.js';
import type { Queryable } from '../platform/postgres.js';
import { MAX_VIOLATION_SAMPLES, type ViolationCount } from './violation.model.js';

export interface ViolationFilter {
  readonly sourceId: number;
  /** As `ruleName` says it. */
  readonly event?: string;
  readonly rule?: ViolationRule;
  /** ms; hours that begin then or later. */
  readonly sinceHour: number;
}

/** Reads the counts of violations, as of the last write of each process: some seconds ago. */
export class ViolationReader {
  constructor(private readonly db: Queryable) {}

  /** Those that came most often first. */
  async counts(
    { sourceId, event, rule, sinceHour }: ViolationFilter,
    limit: number,
  ): Promise<readonly ViolationCount[]> {
    return this.db.query<ViolationCount>(
      `SELECT event, rule, path, sum(count)::int8 AS count, min(hour) AS "firstHour", max(hour) AS "lastHour",
              (SELECT coalesce(array_agg(sample), '{}') FROM (
                 SELECT unnest(n.samples) AS sample FROM plan_violations n
                 WHERE n.source_id = $1::int4 AND n.hour >= $2::int8
                   AND (n.event, n.rule, n.path) = (v.event, v.rule, v.path)
                 ORDER BY n.hour DESC LIMIT $6::int4
               ) newest) AS samples
       FROM plan_violations v
       WHERE source_id = $1::int4 AND hour >= $2::int8
         AND ($3::text IS NULL OR event = $3) AND ($4::text IS NULL OR rule = $4)
       GROUP BY event, rule, path ORDER BY sum(count) DESC, event, rule, path LIMIT $5::int4`,
      [sourceId, sinceHour, event ?? null, rule ?? null, limit, MAX_VIOLATION_SAMPLES],
    );
  }
}
