import type { FeatureStatistics, TalliedFeature } from '../features/feature-statistics.model.js';
import type { Queryable } from '../platform/postgres.js';
import type { StoredDrift } from './feature-alert.reader.js';
import { dayOf, differenceOf, type ReferenceOfFeature } from './feature-drift.model.js';
import type { FeatureReference } from './feature-reference.model.js';

const REFERENCE = 'name, set_at AS "setAt", made_at AS "madeAt", manifest_sha256 AS "manifestSha256", rows';

/** Reads the training sets that what is served is compared with. */
export class FeatureReferenceReader {
  constructor(private readonly db: Queryable) {}

  /** By name. */
  async all(): Promise<readonly FeatureReference[]> {
    return this.db.query<FeatureReference>(`SELECT ${REFERENCE} FROM feature_references ORDER BY name`);
  }

  /** By name. @param after the last one of the page before; null: from the start */
  async page(after: string | null, limit: number): Promise<readonly FeatureReference[]> {
    return this.db.query<FeatureReference>(
      `SELECT ${REFERENCE} FROM feature_references
       WHERE $1::text IS NULL OR name > $1::text ORDER BY name LIMIT $2::int4`,
      [after, limit],
    );
  }

  /** What one has, by name of the feature; empty where there is no such reference. */
  async features(name: string): Promise<ReadonlyMap<string, ReferenceOfFeature>> {
    const rows = await this.db.query<ReferenceOfFeature>(
      `SELECT r.name, r.made_at AS "madeAt", s.statistics, s.sample FROM feature_references r
       JOIN feature_reference_statistics s ON s.reference = r.name WHERE r.name = $1`,
      [name],
    );
    return new Map(rows.map((row) => [row.statistics.feature, row]));
  }

  /**
   * How far the latest statistics of features are from those of the training set, by name of the feature.
   * @param after the last one of the page before; null: from the start
   */
  async drift(name: string, after: string | null, limit: number): Promise<readonly StoredDrift[]> {
    const rows = await this.db.query<ComparedRow>(
      `SELECT r.made_at AS "madeAt", s.statistics AS trained, s.sample AS "trainedSample",
         now.statistics, now.sample, now.computed_at AS "computedAt", coalesce(d.mean_changed, false) AS "meanChanged"
       FROM feature_references r JOIN feature_reference_statistics s ON s.reference = r.name
       CROSS JOIN LATERAL (SELECT statistics, sample, computed_at FROM feature_statistics f
         WHERE f.feature = s.feature ORDER BY day DESC LIMIT 1) now
       LEFT JOIN feature_drift d ON d.feature = s.feature
       WHERE r.name = $1 AND ($2::text IS NULL OR s.feature > $2::text) ORDER BY s.feature LIMIT $3::int4`,
      [name, after, limit],
    );
    return rows.map(({ madeAt, trained, trainedSample, statistics, sample, computedAt, meanChanged }) => ({
      feature: statistics.feature,
      reference: name,
      referenceDay: dayOf(madeAt),
      computedAt,
      ...differenceOf({ statistics: trained, sample: trainedSample }, { statistics, sample }),
      meanChanged,
    }));
  }
}

interface ComparedRow extends TalliedFeature {
  readonly madeAt: number;
  readonly trained: FeatureStatistics;
  readonly trainedSample: readonly number[] | null;
  readonly computedAt: number;
  readonly meanChanged: boolean;
}
