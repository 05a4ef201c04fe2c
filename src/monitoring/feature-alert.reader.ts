import type { Queryable } from '../platform/postgres.js';
import type { FeatureAlert } from './feature-alert.model.js';
import type { DayOfFeature, FeatureDrift } from './feature-drift.model.js';

/** The same as it was computed. */
export interface StoredDrift extends FeatureDrift {
  /** ms. */
  readonly computedAt: number;
}

const DRIFT = `feature, reference, computed_at AS "computedAt", reference_day AS "referenceDay", psi, ks, ks_p AS "ksP",
  mean_changed AS "meanChanged"`;

/** Reads where features are not as expected, and how far they are from what they were. */
export class FeatureAlertReader {
  constructor(private readonly db: Queryable) {}

  /**
   * The newest first.
   * @param before the id of the last one of the page before; null: from the newest
   */
  async page(onlyOpen: boolean, before: number | null, limit: number): Promise<readonly FeatureAlert[]> {
    return this.db.query<FeatureAlert>(
      `SELECT id, feature, kind, since, ended_at AS "endedAt", value, bound, violations FROM feature_alerts
       WHERE ($1::bool IS FALSE OR ended_at IS NULL) AND ($2::int8 IS NULL OR id < $2::int8)
       ORDER BY id DESC LIMIT $3::int4`,
      [onlyOpen, before, limit],
    );
  }

  /** Those that are not over, the oldest first. */
  async open(limit: number): Promise<readonly Pick<FeatureAlert, 'feature' | 'kind'>[]> {
    return this.db.query<Pick<FeatureAlert, 'feature' | 'kind'>>(
      'SELECT feature, kind FROM feature_alerts WHERE ended_at IS NULL ORDER BY id LIMIT $1::int4',
      [limit],
    );
  }

  /** By name of the feature. @param after the last one of the page before; null: from the start */
  async drift(after: string | null, limit: number): Promise<readonly StoredDrift[]> {
    return this.db.query<StoredDrift>(
      `SELECT ${DRIFT} FROM feature_drift WHERE ($1::text IS NULL OR feature COLLATE "C" > $1::text COLLATE "C")
       ORDER BY feature COLLATE "C" LIMIT $2::int4`,
      [after, limit],
    );
  }

  /** The days of several features within a stretch of time, by feature and rising day. @param fromMs @param toMs inclusive */
  async daysBetween(features: readonly string[], fromMs: number, toMs: number): Promise<readonly DayOfFeature[]> {
    return this.db.query<DayOfFeature>(
      `SELECT day, statistics, sample FROM feature_statistics
       WHERE feature = ANY ($1::text[]) AND day BETWEEN $2::int8 AND $3::int8 ORDER BY feature COLLATE "C", day`,
      [features, fromMs, toMs],
    );
  }

  /** What is kept of a feature, by rising day. */
  async days(feature: string): Promise<readonly DayOfFeature[]> {
    return this.db.query<DayOfFeature>(
      'SELECT day, statistics, sample FROM feature_statistics WHERE feature = $1 ORDER BY day',
      [feature],
    );
  }
}
