import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LiveWindow, type LiveShift } from './live-window.js';

/** Looks of so many values each, of a distribution that may depend on the look. */
function shiftsOf(looks: number, perLook: number, valueOf: (look: number, n: number) => number): LiveShift[] {
  const window = new LiveWindow();
  return Array.from({ length: looks }, (_, look) =>
    window.add(
      Array.from({ length: perLook }, (_each, n) => valueOf(look, n)),
      look,
    ),
  ).filter((shift) => shift !== null);
}

/** As good as independent, from 0 to 1: the fractional part of multiples of the golden ratio, scattered. */
function uniform(look: number, n: number): number {
  return (Math.sin(look * 12.9898 + n * 78.233) * 43_758.5453) % 1;
}

describe('values of live traffic', () => {
  it('are told to have moved within some looks, with about when, however they are scaled', () => {
    const scales = fc.record({
      factor: fc.constantFrom(1e-6, 1, 1e9),
      sign: fc.constantFrom(1, -1),
      look: fc.integer({ min: 40, max: 120 }),
    });
    fc.assert(
      fc.property(scales, ({ factor, sign, look: changed }) => {
        const shifts = shiftsOf(200, 20, (look, n) => factor * (uniform(look, n) + (look >= changed ? 0.6 * sign : 0)));
        expect(shifts).toHaveLength(1);
        expect(Math.abs((shifts[0]?.since ?? 0) - changed)).toBeLessThanOrEqual(Math.max(20, changed / 2));
        expect(shifts[0]?.by).toBeGreaterThanOrEqual(0.1);
      }),
      { numRuns: 12 },
    );
  });

  it('are not where they only scatter, are all the same, or have one great number among them', () => {
    expect(shiftsOf(1_000, 20, uniform)).toEqual([]);
    expect(shiftsOf(300, 20, () => 7)).toEqual([]);
    expect(shiftsOf(300, 20, (look, n) => (look === 150 && n === 0 ? 1e12 : uniform(look, n)))).toEqual([]);
  });

  it('are told of a slow change, and of another one after the first', () => {
    expect(shiftsOf(600, 20, (look, n) => uniform(look, n) + look / 200).length).toBeGreaterThanOrEqual(1);
    const twice = shiftsOf(400, 20, (look, n) => uniform(look, n) + (look >= 300 ? 0 : look >= 100 ? 1 : 0));
    expect(twice).toHaveLength(2);
  });

  it('are not ranked before there are enough of them', () => {
    const window = new LiveWindow();
    window.add([1, 2, 3], 0);
    expect(window.count).toBe(0);
    for (let look = 0; look < 500; look++) {
      window.add(
        Array.from({ length: 50 }, (_, n) => uniform(look, n)),
        look,
      );
    }
    expect(window.count).toBeGreaterThan(24_000);
  });
});
