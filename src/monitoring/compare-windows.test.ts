import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { STATISTICS_DAY_MS, type FeatureStatistics } from '../features/feature-statistics.model.js';
import { DEFAULT_MAX_PSI, mergeDays, windowDrift } from './compare-windows.js';
import type { DayOfFeature } from './feature-drift.model.js';

const NONE: FeatureStatistics = {
  ...{ feature: 'f', profiles: 0, nulls: 0, approximate: 0, distinct: 0 },
  ...{ numbers: null, topValues: [], newestEventAt: null, medianAgeMs: null },
};

function aDay(n: number, values: readonly number[], nulls = 0): DayOfFeature {
  const sample = values.toSorted((a, b) => a - b);
  const statistics = { ...NONE, profiles: values.length + nulls, nulls, distinct: new Set(values).size };
  return { day: n * STATISTICS_DAY_MS, statistics, sample: sample.length === 0 ? null : sample };
}

const UNBOUND = { maxPsi: undefined, maxKs: undefined };

describe('days that are put together', () => {
  it('are one day with all their values, as long as these are few', () => {
    const numbers = fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(fc.array(fc.tuple(numbers, fc.nat(5)), { minLength: 2, maxLength: 5 }), (days) => {
        const merged = mergeDays(days.map(([values, nulls], n) => aDay(n, values, nulls)));
        const all = days.flatMap(([values]) => values).sort((a, b) => a - b);
        expect(merged?.sample).toEqual(all);
        expect(merged?.statistics.profiles).toBe(all.length + days.reduce((sum, [, nulls]) => sum + nulls, 0));
        const whole = windowDrift('f', merged, merged, UNBOUND);
        expect(whole).toMatchObject({ psi: 0, ks: 0, verdict: 'stable' });
      }),
    );
  });

  it('count by how many people have a value, not by how many numbers are kept of each', () => {
    const few = aDay(0, [1, 1]);
    const many: DayOfFeature = { ...aDay(1, [2, 2]), statistics: { ...NONE, profiles: 98 } };
    const { sample } = mergeDays([few, many]) ?? {};
    expect(sample?.filter((value) => value === 1)).toHaveLength(2);
    expect(sample).toHaveLength(100);
  });

  it('add up texts', () => {
    const day = (n: number, ...counts: [string, number][]): DayOfFeature => ({
      ...aDay(n, [], 10),
      statistics: { ...NONE, profiles: 100, topValues: counts.map(([value, count]) => ({ value, count })) },
    });
    expect(mergeDays([day(0, ['a', 6], ['b', 5]), day(1, ['b', 9])])?.statistics.topValues).toEqual([
      { value: 'b', count: 14 },
      { value: 'a', count: 6 },
    ]);
  });
});

describe('the verdict on a feature', () => {
  const ten = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
  const [before, after] = [
    aDay(0, ten),
    aDay(
      7,
      ten.map((value) => value + 5),
    ),
  ];

  it('follows what is asked for, else what the view expects, else the usual bound', () => {
    const verdict = (
      ...rest: Parameters<typeof windowDrift> extends [unknown, unknown, unknown, ...infer R] ? R : never
    ) => windowDrift('f', before, after, ...rest);
    expect(verdict(UNBOUND)).toMatchObject({ verdict: 'drifted', maxPsi: DEFAULT_MAX_PSI, maxKs: null, ks: 0.5 });
    expect(verdict(UNBOUND, { psi: 50 })).toMatchObject({ verdict: 'some' });
    expect(verdict(UNBOUND, { psi: 50, ks: 0.4 })).toMatchObject({ verdict: 'drifted' });
    expect(verdict({ maxPsi: 50, maxKs: 0.5 }, { psi: 0, ks: 0 })).toMatchObject({ verdict: 'some' });
    expect(windowDrift('f', before, before, UNBOUND)).toMatchObject({ verdict: 'stable' });
  });

  it('is none where one side is missing', () => {
    expect(windowDrift('f', null, after, UNBOUND).verdict).toBe('untold');
    expect(windowDrift('f', before, aDay(7, []), UNBOUND).verdict).toBe('untold');
  });
});
