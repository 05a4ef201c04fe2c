import type { FeatureExpectation } from '../features/expectation.model.js';
import { MAX_TOP_VALUES, type FeatureStatistics, type TalliedFeature } from '../features/feature-statistics.model.js';
import { differenceOf, type DayOfFeature, type Difference } from './feature-drift.model.js';

/** Numbers that days are compared by, when they are put together. */
const MAX_SAMPLE = 4_096;
/** Above it a change is a great one, where nothing else is said: N. Siddiqi, "Credit Risk Scorecards", 2006. */
export const DEFAULT_MAX_PSI = 0.25;
/** Below it there is none, by the same. */
const LEAST_CHANGE = 0.1;

/** `drifted`: beyond a threshold; `some`: less, but more than chance by the usual reading; `untold`: nothing to compare. */
export type DriftVerdict = 'drifted' | 'some' | 'stable' | 'untold';

/** How one feature compares between two samples of people. */
export interface WindowDrift extends Partial<Difference> {
  readonly feature: string;
  readonly verdict: DriftVerdict;
  /** Values on either side, those missing included; 0: none. */
  readonly referenceValues: number;
  readonly values: number;
  /** The thresholds; null: none. */
  readonly maxPsi: number;
  readonly maxKs: number | null;
}

/** Thresholds that are asked for; what is left out is as the view expects it. */
export interface DriftBounds {
  readonly maxPsi: number | undefined;
  readonly maxKs: number | undefined;
}

/** @param reference null: nothing is known; @param now likewise */
export function windowDrift(
  feature: string,
  reference: TalliedFeature | null,
  now: TalliedFeature | null,
  bounds: DriftBounds,
  expected: FeatureExpectation = {},
): WindowDrift {
  const maxPsi = bounds.maxPsi ?? expected.psi ?? DEFAULT_MAX_PSI;
  const maxKs = bounds.maxKs ?? expected.ks ?? null;
  const [referenceValues, values] = [reference, now].map((each) => each?.statistics.profiles ?? 0) as [number, number];
  const common = { feature, referenceValues, values, maxPsi, maxKs };
  if (reference === null || now === null || referenceValues === 0 || values === 0) {
    return { ...common, verdict: 'untold' };
  }
  const difference = differenceOf(reference, now);
  const isBeyond = difference.psi > maxPsi || (maxKs !== null && (difference.ks ?? 0) > maxKs);
  const verdict = isBeyond ? 'drifted' : difference.psi > LEAST_CHANGE ? 'some' : 'stable';
  return { ...common, ...difference, verdict };
}

/**
 * The values of several days of one feature together: who is there on two days counts twice. Numbers are taken of each day
 * in proportion to how many people have one, evenly by rank.
 *
 * @returns null of no day
 */
export function mergeDays(days: readonly DayOfFeature[]): TalliedFeature | null {
  const [first] = days;
  if (first === undefined) return null;
  if (days.length === 1) return first;
  const sum = (of: (statistics: FeatureStatistics) => number): number =>
    days.reduce((total, { statistics }) => total + of(statistics), 0);
  const statistics: FeatureStatistics = {
    ...first.statistics,
    profiles: sum(({ profiles }) => profiles),
    nulls: sum(({ nulls }) => nulls),
    approximate: sum(({ approximate }) => approximate),
    distinct: Math.max(...days.map((day) => day.statistics.distinct)),
    topValues: topOf(days),
  };
  return { statistics, sample: sampleOf(days) };
}

/** All of them where every list is whole; where one is full, those that a list of one day would have. */
function topOf(days: readonly DayOfFeature[]): FeatureStatistics['topValues'] {
  const counts = new Map<string, number>();
  for (const { statistics } of days) {
    for (const { value, count } of statistics.topValues) counts.set(value, (counts.get(value) ?? 0) + count);
  }
  const isFull = days.some(({ statistics }) => statistics.topValues.length >= MAX_TOP_VALUES);
  const sorted = [...counts].map(([value, count]) => ({ value, count })).sort((a, b) => b.count - a.count);
  return isFull ? sorted.slice(0, MAX_TOP_VALUES) : sorted;
}

function sampleOf(days: readonly DayOfFeature[]): number[] | null {
  const told = days.flatMap(({ statistics: { profiles, nulls }, sample }) =>
    sample === null ? [] : [{ sample, people: profiles - nulls }],
  );
  const people = told.reduce((total, each) => total + each.people, 0);
  if (people === 0) return null;
  const most = Math.min(MAX_SAMPLE, people);
  return told
    .flatMap(({ sample, people: own }) => spread(sample, Math.max(1, Math.round((most * own) / people))))
    .sort((a, b) => a - b);
}

/** So many of the numbers, evenly by rank. @param sorted ascending, at least one */
function spread(sorted: readonly number[], count: number): number[] {
  return Array.from({ length: count }, (_, i) => sorted[Math.floor(((i + 0.5) * sorted.length) / count)] ?? 0);
}
