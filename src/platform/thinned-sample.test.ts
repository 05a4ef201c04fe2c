import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ThinnedSample } from './thinned-sample.js';

describe('a thinned sample', () => {
  it('is every n-th of what was added, for the least power of two that leaves room', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 20 }), fc.integer({ min: 0, max: 300 }), (max, count) => {
        const sample = new ThinnedSample<number>(max);
        for (let i = 0; i < count; i++) sample.add(i);
        let every = 1;
        while (Math.ceil(count / every) > max) every *= 2;
        const expected = Array.from({ length: Math.ceil(count / every) }, (_, i) => i * every);
        expect(sample.values).toEqual(expected);
        expect(sample.added).toBe(count);
      }),
    );
  });
});
