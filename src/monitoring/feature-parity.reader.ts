import type { Queryable } from '../platform/postgres.js';
import { PARITY_DAY_MS, type ParityRecord } from './feature-parity.model.js';

/** Reads what came of comparing served features with what the log gives. */
export class FeatureParityReader {
  constructor(private readonly db: Queryable) {}

  /**
   * Over the last days, today included, by name of the feature.
   * @param after the last one of the page before; null: from the start
   */
  async page(nowMs: number, days: number, after: string | null, limit: number): Promise<readonly ParityRecord[]> {
    const sinceMs = (Math.floor(nowMs / PARITY_DAY_MS) - days + 1) * PARITY_DAY_MS;
    return this.db.query<ParityRecord>(
      `SELECT feature, (array_agg(entity ORDER BY day DESC))[1] AS entity, sum(compared)::int8 AS compared, sum(mismatched)::int8 AS mismatched,
              sum(missing)::int8 AS missing, sum(estimated)::int8 AS estimated, max(max_delta) AS "maxDelta", sum(too_big)::int8 AS "tooBig",
              max(last_compared_at) AS "lastComparedAt", max(last_mismatch_at) AS "lastMismatchAt"
       FROM feature_parity WHERE day >= $1::int8 AND ($2::text IS NULL OR feature COLLATE "C" > $2::text COLLATE "C")
       GROUP BY feature ORDER BY feature COLLATE "C" LIMIT $3::int4`,
      [sinceMs, after, limit],
    );
  }
}
