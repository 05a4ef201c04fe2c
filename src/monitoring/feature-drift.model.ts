import { AdaptiveWindow } from './adaptive-window.js';
import { countsIn, equalBins, kolmogorovSmirnov, populationStability } from './compare-distributions.js';
import { MAX_TOP_VALUES, STATISTICS_DAY_MS, type FeatureStatistics } from './feature-statistics.model.js';

const BINS = 10;
/** How probable it may be that a change of the mean is told where there is none. */
const DELTA = 0.002;
/** Of one day's numbers, as many are taken into the window: 2 ** 6. */
const WINDOW_NUMBERS = 64;
/** 0 … 63 by their bits reversed (J. G. van der Corput, 1935): each stretch of them is spread over all. */
const ORDER = Array.from({ length: WINDOW_NUMBERS }, (_, i) =>
  [32, 16, 8, 4, 2, 1].reduce((reversed, bit, at) => reversed + ((i >> at) & 1) * bit, 0),
);
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
  /** Whether the mean rank of the last day's numbers differs from that of the days before, by ADWIN. */
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
  // Of a list that is full, a text that is missing may be as frequent as the last one that is there.
  const ofMissing = topValues.length < MAX_TOP_VALUES ? 0 : (topValues.at(-1)?.count ?? 0);
  const counts = values.map((value) => topValues.find((each) => each.value === value)?.count ?? ofMissing);
  const known = counts.reduce((sum, count) => sum + count, 0);
  return [...counts, Math.max(0, profiles - nulls - known), nulls];
}

/**
 * ADWIN's bound is for numbers from 0 to 1. They are brought there as ranks among those of all days: by their range, one
 * great number would hide every change of the others.
 */
function hasMeanChanged(days: readonly DayOfFeature[]): boolean {
  const taken = days.map(({ sample }) => scattered(sample ?? []));
  const all = Float64Array.from(taken.flat()).sort();
  const window = new AdaptiveWindow(DELTA);
  return taken.map((values) => window.add(values.map((value) => midRank(all, value)))).at(-1) ?? false;
}

/** The share of numbers that are less, and half of those that are the same. @param sorted ascending, at least one */
function midRank(sorted: Float64Array, value: number): number {
  const firstWhere = (isThere: (each: number) => boolean): number => {
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isThere(sorted[middle] ?? Infinity)) high = middle;
      else low = middle + 1;
    }
    return low;
  };
  return (firstWhere((each) => each >= value) + firstWhere((each) => each > value)) / (2 * sorted.length);
}

/** Some of the numbers, evenly by rank, in an order in which no stretch is all low or all high. */
function scattered(sample: readonly number[]): number[] {
  const count = Math.min(sample.length, WINDOW_NUMBERS);
  return ORDER.filter((rank) => rank < count).map(
    (rank) => sample[Math.floor(((rank + 0.5) * sample.length) / count)] ?? 0,
  );
}
