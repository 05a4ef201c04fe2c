import { PROFILE_ENTITY } from '../features/entity.model.js';
import type { Queryable } from '../platform/postgres.js';
import type { FeatureStatistics, StoredStatistics } from '../features/feature-statistics.model.js';

interface Row {
  readonly statistics: FeatureStatistics;
  readonly computedAt: number;
}

/** Reads how values of features are spread. */
export class FeatureStatisticsReader {
  constructor(private readonly db: Queryable) {}

  /** When the newest were computed, ms; null: never. */
  async newest(): Promise<number | null> {
    const [row] = await this.db.query<{ at: number | null }>('SELECT max(computed_at) AS at FROM feature_statistics');
    return row?.at ?? null;
  }

  /** The latest of a feature; null: none yet. */
  async latest(feature: string): Promise<StoredStatistics | null> {
    const [row] = await this.db.query<Row>(
      `SELECT statistics, computed_at AS "computedAt" FROM feature_statistics WHERE feature = $1
       ORDER BY day DESC LIMIT 1`,
      [feature],
    );
    return row === undefined ? null : storedOf(row);
  }

  /**
   * The latest of each feature, by name.
   * @param features names; null: all
   * @param after the last one of the page before; null: from the start
   */
  async page(
    features: readonly string[] | null,
    after: string | null,
    limit: number,
  ): Promise<readonly StoredStatistics[]> {
    const rows = await this.db.query<Row>(
      `SELECT DISTINCT ON (feature COLLATE "C") statistics, computed_at AS "computedAt" FROM feature_statistics
       WHERE ($1::text[] IS NULL OR feature = ANY ($1::text[]))
         AND ($2::text IS NULL OR feature COLLATE "C" > $2::text COLLATE "C")
       ORDER BY feature COLLATE "C", day DESC LIMIT $3::int4`,
      [features, after, limit],
    );
    return rows.map(storedOf);
  }
}

function storedOf({ statistics, computedAt }: Row): StoredStatistics {
  return { ...statistics, entity: statistics.entity ?? PROFILE_ENTITY, computedAt };
}
