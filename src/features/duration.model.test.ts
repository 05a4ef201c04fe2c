import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { durationMs, durationText, MAX_DURATION_MS } from './duration.model.js';

describe('durations', () => {
  it.each([
    ['30s', 30_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['24h', 86_400_000],
    ['7d', 604_800_000],
    ['90d', 7_776_000_000],
  ])('reads %s', (text, ms) => {
    expect(durationMs(text)).toBe(ms);
  });

  it.each(['', '5', 'm', '0m', '-5m', '05m', '1.5h', '5 m', '5M', '5w', '1e3s', '36501d', '999999999d'])(
    'refuses "%s"',
    (text) => {
      expect(() => durationMs(text)).toThrow(RangeError);
    },
  );

  it('writes the shortest text', () => {
    expect(durationText(86_400_000)).toBe('1d');
    expect(durationText(3_600_000 * 25)).toBe('25h');
    expect(() => durationText(1_500)).toThrow(RangeError);
    expect(() => durationText(0)).toThrow(RangeError);
  });

  it('reads back what it writes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: MAX_DURATION_MS / 1_000 }), (seconds) => {
        expect(durationMs(durationText(seconds * 1_000))).toBe(seconds * 1_000);
      }),
    );
  });
});
