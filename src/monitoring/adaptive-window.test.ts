import { describe, expect, it } from 'vitest';
import { AdaptiveWindow } from './adaptive-window.js';

/** Numbers in [0, 1), the same each time (D. H. Lehmer's generator with the multiplier of Park and Miller). */
function uniform(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

describe('a window that adapts', () => {
  it('holds count and mean of all numbers while nothing changes', () => {
    const next = uniform(1);
    const window = new AdaptiveWindow(0.002);
    const numbers = Array.from({ length: 3_000 }, () => (next() < 0.3 ? 1 : 0));
    expect(numbers.filter((each) => window.add([each]))).toEqual([]);
    expect(window.count).toBe(3_000);
    expect(window.mean).toBeCloseTo(numbers.reduce<number>((sum, each) => sum + each, 0) / 3_000, 12);
  });

  it('drops what was before a change of the mean, soon and once it is seen', () => {
    const next = uniform(2);
    const window = new AdaptiveWindow(0.002);
    for (let i = 0; i < 1_000; i++) window.add([next() < 0.2 ? 1 : 0]);
    let noticedAfter = 0;
    for (let i = 1; i <= 1_000; i++) if (window.add([next() < 0.8 ? 1 : 0]) && noticedAfter === 0) noticedAfter = i;
    expect(noticedAfter).toBeGreaterThan(0);
    expect(noticedAfter).toBeLessThan(100);
    expect(window.mean).toBeGreaterThan(0.7);
    expect(window.count).toBeLessThan(1_100);
  });

  it('makes no more cuts where nothing changes than it may', () => {
    let cuts = 0;
    for (let seed = 1; seed <= 200; seed++) {
      const next = uniform(seed * 7_919);
      const window = new AdaptiveWindow(0.01);
      let isCut = false;
      for (let i = 0; i < 500; i++) isCut = window.add([next()]) || isCut;
      if (isCut) cuts += 1;
    }
    expect(cuts).toBeLessThanOrEqual(10);
  });

  it('sees no change in numbers that are all the same, and one at their step', () => {
    const window = new AdaptiveWindow(0.002);
    for (let i = 0; i < 300; i++) expect(window.add([0.5])).toBe(false);
    const seen = Array.from({ length: 50 }, () => window.add([1]));
    expect(seen).toContain(true);
  });
});
