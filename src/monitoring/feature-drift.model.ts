import { AdaptiveWindow } from './adaptive-window.js';
import { countsIn, equalBins, kolmogorovSmirnov, populationStability } from './compare-distributions.js';
import { STATISTICS_DAY_MS, type FeatureStatistics } from './feature-statistics.model.js';

const BINS = 10;
/** How probable it may be that a change of the mean is told where there is none. */
const DELTA = 0.002;
/** Of one day's numbers, as many are taken into the window. */
const WINDOW_NUMBERS = 64;
/** The day that values are compared with is so long ago, or the nearest that there is. */
export const REFERENCE_AGE_DAYS = 7;

/** Statistics of one day, with numbers of some of the people, ascending. */
export interface DayOfFeature {
  /** Its beginning in UTC, ms. */
  readonly day: number;
  readonly statistics: FeatureStatistics;
  readonly sample: readonly number[] | null;
}

/** How far values are from what they were. */
export interface FeatureDrift {
  readonly feature: string;
  /** The day that they are compared with, ms. */
  readonly referenceDay: number;
  /** Population stability index, over ten bins that were equal in number; of texts, over the frequent ones. */
  readonly psi: number;
  /** Statistic of Kolmogorov and Smirnov, 0 to 1, and its probability were nothing different; null: no numbers. */
  readonly ks: number | null;
  readonly ksP: number | null;
  /** Whether the mean of the last day differs from that of the days before, by ADWIN. */
  readonly meanChanged: boolean;
}

/**
 * Compares the last day with the one a week before it, or the nearest to that.
 *
 * @param days of one feature, by rising day
 * @returns null where there is no other day
 */
export function driftOf(days: readonly DayOfFeature[]): FeatureDrift | null {
  const last = days.at(-1);
  const others = days.slice(0, -1);
  if (last === undefined) return null;
  const wanted = last.day - REFERENCE_AGE_DAYS * STATISTICS_DAY_MS;
  const distance = ({ day }: DayOfFeature): number => Math.abs(day - wanted);
  const reference = others.reduce<DayOfFeature | null>(
    (best, each) => (best === null || distance(each) < distance(best) ? each : best),
    null,
  );
  if (reference === null) return null;
  const test =
    last.sample === null || reference.sample === null ? null : kolmogorovSmirnov(reference.sample, last.sample);
  return {
    feature: last.statistics.feature,
    referenceDay: reference.day,
    psi: stabilityOf(reference, last),
    ks: test?.statistic ?? null,
    ksP: test?.pValue ?? null,
    meanChanged: hasMeanChanged(days),
  };
}

/** People without a value are a bin of their own. */
function stabilityOf(reference: DayOfFeature, last: DayOfFeature): number {
  const [expected, actual] = [reference, last].map(({ statistics }) => statistics) as [
    FeatureStatistics,
    FeatureStatistics,
  ];
  if (reference.sample !== null && last.sample !== null) {
    const bounds = equalBins(reference.sample, BINS);
    return populationStability(
      withNulls(countsIn(bounds, reference.sample), expected),
      withNulls(countsIn(bounds, last.sample), actual),
    );
  }
  const values = [...new Set([...expected.topValues, ...actual.topValues].map(({ value }) => value))];
  return populationStability(textCounts(values, expected), textCounts(values, actual));
}

/** As counts of all people, by what the sample says of those who have a value. */
function withNulls(counts: readonly number[], { profiles, nulls }: FeatureStatistics): number[] {
  const sampled = counts.reduce((sum, count) => sum + count, 0);
  return [...counts.map((count) => (count / sampled) * (profiles - nulls)), nulls];
}

function textCounts(values: readonly string[], { topValues, profiles, nulls }: FeatureStatistics): number[] {
  const counts = values.map((value) => topValues.find((each) => each.value === value)?.count ?? 0);
  const known = counts.reduce((sum, count) => sum + count, 0);
  return [...counts, Math.max(0, profiles - nulls - known), nulls];
}

/** Numbers are brought to 0 … 1 by the range of the first day, and each day's taken in an order that is none. */
function hasMeanChanged(days: readonly DayOfFeature[]): boolean {
  const [first] = days.flatMap(({ sample }) => (sample === null ? [] : [sample]));
  const [from, to] = [first?.[0] ?? 0, first?.at(-1) ?? 0];
  const window = new AdaptiveWindow(DELTA);
  let changed = false;
  for (const { sample } of days) {
    changed = false;
    for (const value of scattered(sample ?? [])) {
      const scaled = to > from ? Math.min(1, Math.max(0, (value - from) / (to - from))) : value > from ? 1 : 0;
      if (window.add(scaled)) changed = true;
    }
  }
  return changed;
}

/** Some of the numbers, evenly by rank, so that no stretch of them is all low or all high. */
function scattered(sample: readonly number[]): number[] {
  const count = Math.min(sample.length, WINDOW_NUMBERS);
  const even = Array.from({ length: count }, (_, i) => sample[Math.floor(((i + 0.5) * sample.length) / count)] ?? 0);
  // 37 has no factor in common with 64; other counts may lose the evenness, and nothing else.
  const order = even.map((value, i) => ({ value, key: (i * 37) % count }));
  return order.sort((a, b) => a.key - b.key).map(({ value }) => value);
}
