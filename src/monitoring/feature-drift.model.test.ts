import { describe, expect, it } from 'vitest';
import { driftOf, type DayOfFeature } from './feature-drift.model.js';
import { violationsOf } from './feature-alert.model.js';
import { STATISTICS_DAY_MS, type FeatureStatistics } from '../features/feature-statistics.model.js';

const START = 20_000 * STATISTICS_DAY_MS;

function someStatistics(more: Partial<FeatureStatistics> = {}): FeatureStatistics {
  return {
    ...{ feature: 'f', profiles: 100, nulls: 0, approximate: 0, distinct: 50, numbers: null, topValues: [] },
    ...{ newestEventAt: START, medianAgeMs: 0 },
    ...more,
  };
}

/** A day on which the feature had these numbers. */
function aDay(n: number, numbers: readonly number[], more: Partial<FeatureStatistics> = {}): DayOfFeature {
  return {
    day: START + n * STATISTICS_DAY_MS,
    statistics: someStatistics(more),
    sample: [...numbers].sort((a, b) => a - b),
  };
}

const EVEN = Array.from({ length: 200 }, (_, i) => i);

describe('the drift of a feature', () => {
  it('is nothing where days are alike', () => {
    const days = Array.from({ length: 10 }, (_, n) => aDay(n, EVEN));
    const drift = driftOf(days);
    expect(drift).toEqual({
      ...{
        feature: 'f',
        reference: null,
        referenceDay: START + 2 * STATISTICS_DAY_MS,
        ks: 0,
        ksP: 1,
        meanChanged: false,
      },
      psi: expect.closeTo(0, 12) as number,
    });
    expect(driftOf(days.slice(0, 1))).toBeNull();
    expect(driftOf([])).toBeNull();
  });

  it('shows where numbers of the last day are others than a week before', () => {
    const shifted = EVEN.map((value) => value + 100);
    const drift = driftOf([...Array.from({ length: 10 }, (_, n) => aDay(n, EVEN)), aDay(10, shifted)]);
    expect(drift?.psi).toBeGreaterThan(0.25);
    expect(drift?.ks).toBeCloseTo(0.5, 12);
    expect(drift).toMatchObject({ meanChanged: true, referenceDay: START + 3 * STATISTICS_DAY_MS });
  });

  it('tells a change of the mean on the day that it comes, and not for ever', () => {
    const low = Array.from({ length: 5 }, (_, n) => aDay(n, EVEN));
    const high = Array.from({ length: 5 }, (_, n) =>
      aDay(
        n + 5,
        EVEN.map((value) => value / 4),
      ),
    );
    expect(driftOf([...low, ...high.slice(0, 1)])?.meanChanged).toBe(true);
    expect(driftOf([...low, ...high])?.meanChanged).toBe(false);
  });

  it('shows where a number that all had becomes less or greater, and whatever one great number there is', () => {
    const flat = Array.from({ length: 40 }, () => 5);
    for (const other of [0, 9]) {
      const drift = driftOf([
        aDay(0, flat),
        aDay(1, flat),
        aDay(
          2,
          Array.from({ length: 40 }, () => other),
        ),
      ]);
      expect(drift).toMatchObject({ ks: 1, meanChanged: true });
      expect(drift?.psi).toBeGreaterThan(0.25);
    }
    const skewed = (by: number): number[] => [...EVEN.map((value) => value + by), 1e9];
    const days = Array.from({ length: 8 }, (_, n) => aDay(n, skewed(0)));
    expect(driftOf(days)?.meanChanged).toBe(false);
    expect(driftOf([...days, aDay(8, skewed(100))])?.meanChanged).toBe(true);
  });

  it.each([1, 2, 7, 37, 63, 64, 65, 500])('takes %d numbers a day for no change of themselves', (count) => {
    const days = Array.from({ length: 60 }, (_, n) =>
      aDay(
        n,
        Array.from({ length: count }, (__, i) => i),
      ),
    );
    expect(days.slice(1).map((_, n) => driftOf(days.slice(0, n + 2))?.meanChanged)).not.toContain(true);
  });

  it('counts people who come to have no value', () => {
    expect(driftOf([aDay(0, EVEN), aDay(1, EVEN, { nulls: 50 })])?.psi).toBeGreaterThan(0.25);
  });

  it('is told of texts by those that are frequent', () => {
    const day = (n: number, shoes: number): DayOfFeature => ({
      day: START + n * STATISTICS_DAY_MS,
      statistics: someStatistics({
        topValues: [
          { value: 'shoes', count: shoes },
          { value: 'hats', count: 100 - shoes },
        ],
      }),
      sample: null,
    });
    expect(driftOf([day(0, 50), day(1, 50)])).toMatchObject({ psi: 0, ks: null });
    // (0.8 - 0.5) ln 1.6 + (0.2 - 0.5) ln 0.4
    expect(driftOf([day(0, 50), day(1, 80)])?.psi).toBeCloseTo(0.415_888_308_335_967, 9);
  });

  it('is nothing where other texts, as frequent, are among the twenty that are kept', () => {
    const day = (n: number, from: number): DayOfFeature => ({
      day: START + n * STATISTICS_DAY_MS,
      statistics: someStatistics({
        profiles: 10_000,
        topValues: Array.from({ length: 20 }, (_, i) => ({ value: `t${String(from + i)}`, count: 10 })),
      }),
      sample: null,
    });
    expect(driftOf([day(0, 0), day(1, 20)])?.psi).toBeCloseTo(0, 12);
  });
});

describe('what is expected of a feature', () => {
  const numbers = { min: -1, max: 9, mean: 4, stddev: 1, quantiles: [], histogram: [] };
  const kindsOf = (...call: Parameters<typeof violationsOf>): string[] => violationsOf(...call).map(({ kind }) => kind);

  it('is violated by each figure that is beyond its bound, and by none that is on it', () => {
    const statistics = someStatistics({ numbers, nulls: 10, distinct: 3 });
    const now = START + STATISTICS_DAY_MS;
    const drift = {
      feature: 'f',
      reference: null,
      referenceDay: START,
      psi: 0.3,
      ks: 0.2,
      ksP: 0.01,
      meanChanged: true,
    };
    const all = { min: 0, max: 8, null_share: 0.05, distinct_min: 4, fresh: '23h', psi: 0.25, ks: 0.1, steady: true };
    expect(kindsOf(all, statistics, drift, now)).toEqual(Object.keys(all));
    const just = { min: -1, max: 9, null_share: 0.1, distinct_min: 3, fresh: '1d', psi: 0.3, ks: 0.2 };
    expect(kindsOf(just, statistics, drift, now)).toEqual([]);
    expect(violationsOf({ null_share: 0.05 }, statistics, drift, now)).toEqual([
      { feature: 'f', kind: 'null_share', value: 0.1, bound: 0.05 },
    ]);
  });

  it('is not violated by what cannot be told', () => {
    const all = { min: 0, max: 8, fresh: '1h', psi: 0, ks: 0, steady: true };
    expect(kindsOf(all, someStatistics({ newestEventAt: null }), null, START)).toEqual([]);
    expect(kindsOf({ distinct_min: 1 }, someStatistics({ profiles: 0, distinct: 0 }), null, START)).toEqual([]);
  });
});
