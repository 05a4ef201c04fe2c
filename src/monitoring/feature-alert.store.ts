import type { Queryable } from '../platform/postgres.js';
import type { FeatureAlertKind, FeatureFinding } from './feature-alert.model.js';
import type { FeatureDrift } from './feature-drift.model.js';

/** Alerts that are over are kept so long. */
const KEPT_MS = 90 * 86_400_000;

/**
 * Rows of `feature_alerts` and `feature_drift`, as `SourceAnomalyStore` has those of sources: whatever number of processes
 * do the same at once, each begin and end is told to one.
 */
export class FeatureAlertStore {
  constructor(private readonly db: Queryable) {}

  /** Opens what is found or keeps it open; true if it was not open before. */
  async open({ feature, kind, value, bound, since }: FeatureFinding, nowMs: number): Promise<boolean> {
    const [row] = await this.db.query<{ isNew: boolean }>(
      `INSERT INTO feature_alerts AS a (feature, kind, since, value, bound, seen_at)
       VALUES ($1, $2, $6::int8, $4, $5, $3::int8)
       ON CONFLICT (feature, kind) WHERE ended_at IS NULL
       DO UPDATE SET value = excluded.value, bound = excluded.bound, violations = a.violations + 1,
         seen_at = excluded.seen_at
       RETURNING xmax = 0 AS "isNew"`,
      [feature, kind, nowMs, value, bound, since ?? nowMs],
    );
    return row?.isNew === true;
  }

  /**
   * Ends those that are open and not found any more, but for those of live traffic; returns what it ended.
   * @param unseen features that nothing is known of now: theirs stay as they are
   */
  async close(
    found: readonly FeatureFinding[],
    unseen: readonly string[],
    nowMs: number,
  ): Promise<readonly { readonly feature: string; readonly kind: FeatureAlertKind }[]> {
    return this.db.query(
      `UPDATE feature_alerts a SET ended_at = $3::int8 WHERE ended_at IS NULL AND kind <> 'steady_live'
         AND feature <> ALL ($4::text[]) AND NOT EXISTS (
         SELECT FROM unnest($1::text[], $2::text[]) AS f (feature, kind) WHERE f.feature = a.feature AND f.kind = a.kind)
       RETURNING feature, kind`,
      [found.map(({ feature }) => feature), found.map(({ kind }) => kind), nowMs, unseen],
    );
  }

  /** Ends those of live traffic that were found last before an instant, ms, or whose feature is followed no more. */
  async closeLive(
    followed: readonly string[],
    beforeMs: number,
    nowMs: number,
  ): Promise<readonly { readonly feature: string; readonly kind: FeatureAlertKind }[]> {
    return this.db.query(
      `UPDATE feature_alerts SET ended_at = $3::int8 WHERE ended_at IS NULL AND kind = 'steady_live'
         AND (seen_at < $2::int8 OR feature <> ALL ($1::text[])) RETURNING feature, kind`,
      [followed, beforeMs, nowMs],
    );
  }

  async saveDrift(drift: FeatureDrift, nowMs: number): Promise<void> {
    await this.db.query(
      `INSERT INTO feature_drift (feature, computed_at, reference_day, psi, ks, ks_p, mean_changed, reference)
       VALUES ($1, $2::int8, $3::int8, $4, $5, $6, $7, $8)
       ON CONFLICT (feature) DO UPDATE SET computed_at = excluded.computed_at, reference_day = excluded.reference_day,
         psi = excluded.psi, ks = excluded.ks, ks_p = excluded.ks_p, mean_changed = excluded.mean_changed,
         reference = excluded.reference`,
      [drift.feature, nowMs, drift.referenceDay, drift.psi, drift.ks, drift.ksP, drift.meanChanged, drift.reference],
    );
  }

  /** Removes what is over for long, and what is of features that are no more. */
  async sweep(features: readonly string[], nowMs: number): Promise<void> {
    await this.db.execute('DELETE FROM feature_alerts WHERE ended_at < $1::int8', [nowMs - KEPT_MS]);
    await this.db.execute('DELETE FROM feature_drift WHERE feature <> ALL ($1::text[])', [features]);
  }
}
