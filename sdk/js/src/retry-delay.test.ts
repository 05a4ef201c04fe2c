import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffMs, retryAfterMs } from './retry-delay.js';

describe('the wait before the next try', () => {
  it('doubles from a second to a minute, half of it at random', () => {
    const failures = [1, 2, 3, 6, 7, 100, 5_000];
    expect(failures.map((count) => backoffMs(count, 0))).toEqual([500, 1_000, 2_000, 16_000, 30_000, 30_000, 30_000]);
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2_000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (count, random) => {
          const ms = backoffMs(count, random);
          expect(ms).toBeGreaterThanOrEqual(backoffMs(count, 0));
          expect(ms).toBeLessThanOrEqual(2 * backoffMs(count, 0));
        },
      ),
    );
  });
});

describe('Retry-After', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  it.each([
    ['120', 120_000],
    ['0', 0],
    ['Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
    ['Wed, 31 Dec 2025 23:59:30 GMT', 0],
    ['999999999', 3_600_000],
    ['soon', 0],
    [null, 0],
  ])('%s asks for %s ms', (header, expected) => {
    const headers = new Headers(header === null ? {} : { 'retry-after': header });
    expect(retryAfterMs({ headers }, now)).toBe(expected);
  });
});
