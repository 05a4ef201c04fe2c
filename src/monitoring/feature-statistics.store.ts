import type { Queryable } from '../platform/postgres.js';
import { STATISTICS_DAY_MS, STATISTICS_KEPT_DAYS, type TalliedFeature } from '../features/feature-statistics.model.js';

/** Rows of `feature_statistics`: the latest of each day. */
export class FeatureStatisticsStore {
  constructor(private readonly db: Queryable) {}

  async save(tallied: readonly TalliedFeature[], nowMs: number): Promise<void> {
    const day = Math.floor(nowMs / STATISTICS_DAY_MS) * STATISTICS_DAY_MS;
    for (const { statistics, sample } of tallied) {
      await this.db.query(
        `INSERT INTO feature_statistics (feature, day, computed_at, statistics, sample)
         VALUES ($1, $2::int8, $3::int8, $4::jsonb, $5::float8[])
         ON CONFLICT (feature, day) DO UPDATE SET computed_at = excluded.computed_at,
           statistics = excluded.statistics, sample = excluded.sample`,
        [statistics.feature, day, nowMs, JSON.stringify(statistics), sample],
      );
    }
  }

  /** Removes what is too old, and what is of features that are no more. */
  async sweep(features: readonly string[], nowMs: number): Promise<void> {
    await this.db.execute('DELETE FROM feature_statistics WHERE day < $1::int8 OR feature <> ALL ($2::text[])', [
      nowMs - STATISTICS_KEPT_DAYS * STATISTICS_DAY_MS,
      features,
    ]);
  }
}
