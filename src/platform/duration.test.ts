import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { durationMs, durationText, nearDuration, MAX_DURATION_MS } from './duration.js';

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

  it.each([
    ['7 days', '7d'],
    ['24 Hours', '24h'],
    ['1 week', '7d'],
    ['2weeks', '14d'],
    ['1 month', '30d'],
    ['1 year', '365d'],
    ['1.5h', '90m'],
    ['90 min', '90m'],
    ['P7D', '7d'],
    ['PT30M', '30m'],
    ['last 30 days', '30d'],
    ['7D', '7d'],
    ['P1M', undefined],
    ['0 days', undefined],
    ['soon', undefined],
    ['', undefined],
    ['999999999 years', undefined],
  ])('takes %j for %j', (text, near) => {
    expect(nearDuration(text)).toBe(near);
  });

  it('reads back what it writes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: MAX_DURATION_MS / 1_000 }), (seconds) => {
        expect(durationMs(durationText(seconds * 1_000))).toBe(seconds * 1_000);
      }),
    );
  });
});
