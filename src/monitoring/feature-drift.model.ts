import { AdaptiveWindow } from './adaptive-window.js';
import { midRank } from './live-window.js';
import { countsIn, equalBins, kolmogorovSmirnov, populationStability } from './compare-distributions.js';
import {
  MAX_TOP_VALUES,
  STATISTICS_DAY_MS,
  type FeatureStatistics,
  type TalliedFeature,
} from '../features/feature-statistics.model.js';

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
export interface DayOfFeature extends TalliedFeature {
  /** Its beginning in UTC, ms. */
  readonly day: number;
}

/** How values were spread in a training set. */
export interface ReferenceOfFeature extends TalliedFeature {
  /** What the training set is registered as. */
  readonly name: string;
  /** When it was begun, ms. */
  readonly madeAt: number;
}

/** How far values are from what they were. */
export interface FeatureDrift {
  readonly feature: string;
  /** The training set that they are compared with; null: with a day. */
  readonly reference: string | null;
  /** The day that they are compared with, ms; of a training set that on which it was begun. */
  readonly referenceDay: number;
  /** Population stability index, over ten bins that were equal in number; of texts, over the frequent ones. */
  readonly psi: number;
  /** Statistic of Kolmogorov and Smirnov, 0 to 1, and its probability were nothing different; null: no numbers. */
  readonly ks: number | null;
  readonly ksP: number | null;
  /** Whether the mean rank of the last day's numbers differs from that of the days before, by ADWIN. */
  readonly meanChanged: boolean;
}

/** How far two samples of one feature are apart. */
export type Difference = Pick<FeatureDrift, 'psi' | 'ks' | 'ksP'>;

/**
 * Compares the last day with a training set or, without one, with the day a week before it, or the nearest to that.
 *
 * @param days of one feature, by rising day
 * @returns null where there is nothing to compare with
 */
export function driftOf(days: readonly DayOfFeature[], trained: ReferenceOfFeature | null = null): FeatureDrift | null {
  const last = days.at(-1);
  if (last === undefined) return null;
  const before = trained === null ? weekBefore(days.slice(0, -1), last) : null;
  const compared = trained ?? before;
  if (compared === null) return null;
  return {
    feature: last.statistics.feature,
    reference: trained?.name ?? null,
    referenceDay: trained === null ? (before?.day ?? 0) : dayOf(trained.madeAt),
    ...differenceOf(compared, last),
    meanChanged: hasMeanChanged(days),
  };
}

export function dayOf(ms: number): number {
  return Math.floor(ms / STATISTICS_DAY_MS) * STATISTICS_DAY_MS;
}

function weekBefore(others: readonly DayOfFeature[], last: DayOfFeature): DayOfFeature | null {
  const wanted = last.day - REFERENCE_AGE_DAYS * STATISTICS_DAY_MS;
  const distance = ({ day }: DayOfFeature): number => Math.abs(day - wanted);
  return others.reduce<DayOfFeature | null>(
    (best, each) => (best === null || distance(each) < distance(best) ? each : best),
    null,
  );
}

/** The population stability index of what is now, as against a reference, and the test of Kolmogorov and Smirnov. */
export function differenceOf(reference: TalliedFeature, now: TalliedFeature): Difference {
  const test =
    now.sample === null || reference.sample === null ? null : kolmogorovSmirnov(reference.sample, now.sample);
  return { psi: stabilityOf(reference, now), ks: test?.statistic ?? null, ksP: test?.pValue ?? null };
}

/** People without a value are a bin of their own. */
function stabilityOf(reference: TalliedFeature, last: TalliedFeature): number {
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
  const countOf = new Map(topValues.map(({ value, count }) => [value, count]));
  const counts = values.map((value) => countOf.get(value) ?? ofMissing);
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

/** Some of the numbers, evenly by rank, in an order in which no stretch is all low or all high. */
function scattered(sample: readonly number[]): number[] {
  const count = Math.min(sample.length, WINDOW_NUMBERS);
  return ORDER.filter((rank) => rank < count).map(
    (rank) => sample[Math.floor(((rank + 0.5) * sample.length) / count)] ?? 0,
  );
}
