import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GenerationCache } from './generation-cache.js';

describe('a cache of two generations', () => {
  it('has whatever is among the last half of its bound of keys that were asked for, and never more than its bound', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 12 }), fc.array(fc.integer({ min: 0, max: 15 })), (maxEntries, asked) => {
        const cache = new GenerationCache<{ readonly key: string }>(maxEntries);
        const recent: string[] = [];
        for (const key of asked.map(String)) {
          const found = cache.get(key);
          const isRecent = recent.slice(-Math.floor(maxEntries / 2)).includes(key);
          if (isRecent) expect(found).toBeDefined();
          if (found === undefined) cache.set(key, { key });
          else expect(found.key).toBe(key);
          expect(cache.size).toBeLessThanOrEqual(maxEntries);
          if (recent.includes(key)) recent.splice(recent.indexOf(key), 1);
          recent.push(key);
        }
      }),
    );
  });

  it('forgets what was not asked for since', () => {
    const cache = new GenerationCache<object>(4);
    const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
    for (const key of keys) if (cache.get(key) === undefined) cache.set(key, {});
    expect(['a', 'b', 'f', 'e'].map((key) => cache.get(key) !== undefined)).toEqual([false, false, true, true]);
  });
});
