import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { ZoneOffsets } from '../platform/zone-offsets.js';
import { CronTimes } from './cron-times.js';

const MINUTE_MS = 60_000;
const at = (text: string): number => Date.parse(text);
const text = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

describe('the times of a cron expression', () => {
  it('are in local time of its zone, in summer and in winter', () => {
    const berlin = new CronTimes('0 6 * * *', 'Europe/Berlin');
    expect(text(berlin.after(at('2026-01-10T12:00:00Z')))).toBe('2026-01-11T05:00:00.000Z');
    expect(text(berlin.after(at('2026-07-10T12:00:00Z')))).toBe('2026-07-11T04:00:00.000Z');
  });

  it('that the change of the clocks skips come later by the gap, and one that occurs twice comes once', () => {
    const night = new CronTimes('30 2 * * *', 'Europe/Berlin');
    expect(text(night.after(at('2026-03-28T12:00:00Z')))).toBe('2026-03-29T01:00:00.000Z');
    const first = night.after(at('2026-10-24T12:00:00Z'));
    expect(text(first)).toBe('2026-10-25T00:30:00.000Z');
    expect(text(night.after(first ?? 0))).toBe('2026-10-26T01:30:00.000Z');
  });

  it('are those that a look at each minute finds', () => {
    const some = (max: number): fc.Arbitrary<string> =>
      fc.oneof(
        fc.constant('*'),
        fc.integer({ min: 1, max }).map(String),
        fc.integer({ min: 2, max: 9 }).map((n) => `*/${String(n)}`),
      );
    const zone = new ZoneOffsets('America/New_York');
    // Away from changes of the clocks, where it is said above what holds.
    const start = at('2026-05-01T00:00:00Z');
    fc.assert(
      fc.property(some(59), some(23), fc.integer({ min: 0, max: 5_000 }), (minute, hour, offset) => {
        const from = start + offset * MINUTE_MS;
        const fits = (field: string, value: number): boolean =>
          field === '*' || (field.startsWith('*/') ? value % Number(field.slice(2)) === 0 : value === Number(field));
        let expected = from + MINUTE_MS;
        for (; ; expected += MINUTE_MS) {
          const wall = new Date(zone.toWall(expected));
          if (fits(minute, wall.getUTCMinutes()) && fits(hour, wall.getUTCHours())) break;
        }
        expect(new CronTimes(`${minute} ${hour} * * *`, 'America/New_York').after(from)).toBe(expected);
      }),
      { numRuns: 50 },
    );
  });

  it('that have passed are counted, and the last of them is told', () => {
    const hourly = new CronTimes('@hourly', 'UTC');
    const from = at('2026-05-01T03:00:00Z');
    expect(hourly.passed(from, from)).toEqual({ last: from, before: 0 });
    expect(hourly.passed(from, at('2026-05-01T06:59:59Z'))).toEqual({ last: at('2026-05-01T06:00:00Z'), before: 3 });
  });

  it.each([
    ['x', 'UTC', 'five fields'],
    ['* * * * * *', 'UTC', 'five fields'],
    ['2026-01-01T00:00:00', 'UTC', 'five fields'],
    ['61 * * * *', 'UTC', 'minute: 61'],
    ['@reboot', 'UTC', 'not supported'],
    ['0 0 30 2 *', 'UTC', 'no time will ever fit'],
    ['0 6 * * *', 'Mars/Olympus', 'no time zone Mars/Olympus'],
  ])('are not told of %s in %s', (expression, zone, message) => {
    expect(() => new CronTimes(expression, zone)).toThrow(message);
  });
});
