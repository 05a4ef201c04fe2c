import { describe, expect, it } from 'vitest';
import { LocalTimes } from './local-times.js';

describe('local time', () => {
  const times = new LocalTimes();
  const local = (at: string, ...zones: unknown[]): unknown => times.facts(Date.parse(at), zones)?.['local'];

  it('is of the wall clock of the zone, through changes of the clocks', () => {
    const [winter, summer] = ['2026-03-29T00:59:59Z', '2026-03-29T01:00:00Z'];
    expect(local(winter, 'Europe/Berlin')).toMatchObject({ hour: 1, weekday: 'sun', weekend: true, part: 'night' });
    expect(local(summer, 'Europe/Berlin')).toMatchObject({ hour: 3 });
  });

  it('is of the day there', () => {
    const at = '2026-11-23T03:30:00Z';
    expect(local(at, 'America/Los_Angeles')).toEqual({
      hour: 19,
      weekday: 'sun',
      weekend: true,
      part: 'evening',
      zone: 'America/Los_Angeles',
    });
    expect(local(at, 'Asia/Kolkata')).toMatchObject({ hour: 9, weekday: 'mon', weekend: false, part: 'morning' });
  });

  it('is of the first zone that is one, and none without one', () => {
    expect(local('2026-11-23T12:00:00Z', undefined, 7, 'Mars/Olympus', '', '+02:00', 'UTC')).toMatchObject({
      hour: 14,
      part: 'afternoon',
      zone: '+02:00',
    });
    expect(local('2026-11-23T12:00:00Z', 'Mars/Olympus')).toBeUndefined();
  });
});
