import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { countsIn, equalBins, kolmogorovSmirnov, populationStability } from './compare-distributions.js';

describe('the population stability index', () => {
  it('is the sum by definition', () => {
    // (0.2 - 0.1) ln 2 + 0 + (0.6 - 0.7) ln(6/7)
    expect(populationStability([10, 20, 70], [20, 20, 60])).toBeCloseTo(0.084_729_786_038_72, 12);
  });

  it('is 0 where shares are the same, and finite where a bin is empty', () => {
    expect(populationStability([1, 2, 3], [10, 20, 30])).toBeCloseTo(0, 12);
    // (0.9999…) by the least share of 0.0001: (1 - 0.0001) ln 10000 twice
    expect(populationStability([5, 0], [0, 5])).toBeCloseTo(2 * 0.9999 * Math.log(10_000), 9);
    expect(populationStability([], [])).toBe(0);
  });
});

describe('bins of equal counts', () => {
  it('part the reference evenly, and count every value once', () => {
    const bounds = equalBins([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 5);
    expect(bounds).toEqual([2, 4, 6, 8]);
    expect(countsIn(bounds, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])).toEqual([2, 2, 2, 2, 2]);
    expect(countsIn(bounds, [-1, 100, 8, 8.5])).toEqual([1, 0, 0, 1, 2]);
  });

  it('are fewer where values repeat', () => {
    expect(equalBins([0, 0, 0, 0, 0, 0, 0, 1, 2, 3], 5).slice(1)).toEqual([0, 1]);
  });

  it.each([5, 0, -3, 1e300])('tell a value that all had from what is less and from what is greater: %d', (value) => {
    const bounds = equalBins([value, value, value], 10);
    const [less, greater] = [value - Math.max(1, Math.abs(value)) / 4, value + Math.max(1, Math.abs(value)) / 4];
    expect(countsIn(bounds, [value, value])).toEqual([0, 2, 0]);
    expect(countsIn(bounds, [less, greater])).toEqual([1, 0, 1]);
  });
});

describe('the two-sample test of Kolmogorov and Smirnov', () => {
  it('is what the formulas give by hand', () => {
    const a = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    const b = a.map((each) => each + 3);
    // D = 3/10; the series at λ = √5 · 0.3, summed in Python
    const { statistic, pValue } = kolmogorovSmirnov(a, b);
    expect(statistic).toBeCloseTo(0.3, 12);
    expect(pValue).toBeCloseTo(0.759_097_838_420_395, 9);
  });

  it('has the greatest distance of the two functions, also with ties', () => {
    const sample = fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(sample, sample, (x, y) => {
        const [a, b] = [x, y].map((each) => [...each].sort((p, q) => p - q)) as [number[], number[]];
        const shareUpTo = (values: readonly number[], at: number): number =>
          values.filter((value) => value <= at).length / values.length;
        const distances = [...a, ...b].map((at) => Math.abs(shareUpTo(a, at) - shareUpTo(b, at)));
        expect(kolmogorovSmirnov(a, b).statistic).toBeCloseTo(Math.max(...distances), 12);
      }),
      { numRuns: 200 },
    );
  });

  it('is certain of samples that have nothing in common, and of the same one', () => {
    const low = Array.from({ length: 200 }, (_, i) => i);
    const high = low.map((each) => each + 1_000);
    expect(kolmogorovSmirnov(low, high)).toEqual({ statistic: 1, pValue: expect.closeTo(0, 12) as number });
    expect(kolmogorovSmirnov(low, low)).toEqual({ statistic: 0, pValue: 1 });
  });
});
