import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { histogramOf, momentsOf, quantileOf } from './quantiles.js';

describe('a quantile', () => {
  // numpy.quantile([1, 2, 4, 8], [0, 0.1, 0.25, 0.5, 0.75, 0.9, 1]) of NumPy 2.1
  it.each([
    [0, 1],
    [0.1, 1.3],
    [0.25, 1.75],
    [0.5, 3],
    [0.75, 5],
    [0.9, 6.8],
    [1, 8],
  ])('at %f is what NumPy gives', (p, expected) => {
    expect(quantileOf([1, 2, 4, 8], p)).toBeCloseTo(expected, 12);
  });

  it('of one number is that number', () => {
    expect(quantileOf([7], 0.37)).toBe(7);
  });
});

describe('mean and standard deviation', () => {
  it('are those of the population', () => {
    // numpy.mean and numpy.std of [2, 4, 4, 4, 5, 5, 7, 9]: 5 and 2
    expect(momentsOf([2, 4, 4, 4, 5, 5, 7, 9])).toEqual({ mean: 5, stddev: 2 });
  });

  it('keep their digits where numbers are great', () => {
    const { mean, stddev } = momentsOf([4, 7, 13, 16].map((each) => each + 1e9));
    expect([mean, stddev]).toEqual([1e9 + 10, Math.sqrt(22.5)]);
  });
});

describe('a histogram', () => {
  it('has every number in the bin whose bounds it is within', () => {
    // −0 is taken for 0.
    const number = fc.double({ min: -1e6, max: 1e6, noNaN: true }).map((each) => each + 0);
    const numbers = fc.array(number, { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(numbers, fc.integer({ min: 1, max: 12 }), (values, bins) => {
        const sorted = [...values].sort((a, b) => a - b);
        const histogram = histogramOf(sorted, bins);
        expect(histogram.reduce((sum, { count }) => sum + count, 0)).toBe(values.length);
        expect([histogram[0]?.from, histogram.at(-1)?.to]).toEqual([sorted[0], sorted.at(-1)]);
        let below = 0;
        for (const { to, count } of histogram.slice(0, -1)) {
          below += count;
          // To rounding of the bounds.
          const slack = 1e-9 * Math.max(1, Math.abs(to));
          expect(values.filter((value) => value < to - slack).length).toBeLessThanOrEqual(below);
          expect(values.filter((value) => value < to + slack).length).toBeGreaterThanOrEqual(below);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('has one bin where all numbers are the same', () => {
    expect(histogramOf([3, 3], 10)).toEqual([{ from: 3, to: 3, count: 2 }]);
  });
});
