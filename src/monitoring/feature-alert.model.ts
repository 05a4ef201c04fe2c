import type { FeatureExpectation } from '../features/expectation.model.js';
import { durationMs } from '../platform/duration.js';
import type { FeatureDrift } from './feature-drift.model.js';
import type { FeatureStatistics } from '../features/feature-statistics.model.js';

/** By which expectation. */
export const FEATURE_ALERT_KINDS = [
  'min',
  'max',
  'null_share',
  'distinct_min',
  'fresh',
  'psi',
  'ks',
  'steady',
  'steady_live',
] as const;
export type FeatureAlertKind = (typeof FEATURE_ALERT_KINDS)[number];

/** That values of a feature are not as expected. */
export interface FeatureFinding {
  readonly feature: string;
  readonly kind: FeatureAlertKind;
  /** What was found, and what is expected; of `fresh` ages in ms, of `steady` 1 and 0, of `steady_live` how far the mean rank moved. */
  readonly value: number;
  readonly bound: number;
  /** When it began, ms; left out: when it is noticed. */
  readonly since?: number;
}

/** The same as it was noticed. */
export interface FeatureAlert extends FeatureFinding {
  readonly id: number;
  /** ms. */
  readonly since: number;
  /** When it was over, ms; null: it is not. */
  readonly endedAt: number | null;
  /** How many looks found it so. */
  readonly violations: number;
}

/**
 * Where values of a feature are not as expected. What cannot be told is no violation: numbers that too few people have,
 * a day to compare with that is missing.
 */
export function violationsOf(
  expected: FeatureExpectation,
  statistics: FeatureStatistics,
  drift: FeatureDrift | null,
  nowMs: number,
): FeatureFinding[] {
  const { feature, numbers, profiles, nulls, distinct, newestEventAt } = statistics;
  if (profiles === 0) return [];
  const freshMs = expected.fresh === undefined ? undefined : durationMs(expected.fresh);
  const found: FeatureFinding[] = [];
  const demand = (kind: FeatureAlertKind, value: number | null, bound: number | undefined, isLeast = false): void => {
    if (bound === undefined || value === null) return;
    if (isLeast ? value < bound : value > bound) found.push({ feature, kind, value, bound });
  };
  demand('min', numbers?.min ?? null, expected.min, true);
  demand('max', numbers?.max ?? null, expected.max);
  demand('null_share', nulls / profiles, expected.null_share);
  demand('distinct_min', distinct, expected.distinct_min, true);
  demand('fresh', newestEventAt === null ? null : Math.max(0, nowMs - newestEventAt), freshMs);
  demand('psi', drift?.psi ?? null, expected.psi);
  demand('ks', drift?.ks ?? null, expected.ks);
  demand('steady', drift?.meanChanged === true ? 1 : 0, expected.steady === true ? 0 : undefined);
  return found;
}
