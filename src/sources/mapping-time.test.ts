import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { compileTime } from './mapping-time.js';
import { ZoneOffsets } from '../platform/zone-offsets.js';

function read(text: string, format = 'iso', zone = 'UTC'): string | null {
  const ms = compileTime({ format, zone })(text);
  return Number.isNaN(ms) ? null : new Date(ms).toISOString();
}

describe('times of a batch file', () => {
  it('reads ISO 8601 with and without an offset', () => {
    expect(read('2010-12-01T08:26:00Z')).toBe('2010-12-01T08:26:00.000Z');
    expect(read('2010-12-01 08:26')).toBe('2010-12-01T08:26:00.000Z');
    expect(read('2010-12-01T08:26:00.1234567+05:30')).toBe('2010-12-01T02:56:00.123Z');
    expect(read('2010-12-01T08:26:00,5-0800')).toBe('2010-12-01T16:26:00.500Z');
    expect(read('2010-12-01', 'iso', 'Europe/Berlin')).toBe('2010-11-30T23:00:00.000Z');
  });

  it('reads patterns', () => {
    expect(read('01/12/2010 8:26', 'dd/MM/yyyy H:mm')).toBe('2010-12-01T08:26:00.000Z');
    expect(read('12/1/10 12:05 am', 'M/d/yy h:mm a')).toBe('2010-12-01T00:05:00.000Z');
    expect(read('20101201T082600', "yyyyMMdd'T'HHmmss")).toBe('2010-12-01T08:26:00.000Z');
    expect(read('1 Dec 2010 at 08:26:00.25 +0100', "d MMM yyyy 'at' HH:mm:ss.SSS XXX")).toBe(
      '2010-12-01T07:26:00.250Z',
    );
  });

  it('reads epochs', () => {
    expect(read('1291191960', 'epoch_s')).toBe('2010-12-01T08:26:00.000Z');
    expect(read('1291191960.5', 'epoch_s')).toBe('2010-12-01T08:26:00.500Z');
    expect(read('1291191960000', 'epoch_ms')).toBe('2010-12-01T08:26:00.000Z');
  });

  it.each([
    '',
    'yesterday',
    '2011-02-29',
    '2010-13-01',
    '0010-12-01',
    '2010-12-01 24:01',
    '2010-12-01T08:26:00Zz',
    '2010-12-1',
    '0x10',
    '2010-12-01T08:2',
  ])('refuses %j', (text) => {
    expect(read(text)).toBeNull();
    expect(read(text, 'epoch_ms')).toBeNull();
  });

  it('accepts the leap day of a leap year only', () => {
    expect(read('2012-02-29')).toBe('2012-02-29T00:00:00.000Z');
    expect(read('1900-02-29')).toBeNull();
  });

  it('names what is wrong with a pattern or a zone', () => {
    expect(() => compileTime({ format: 'MM/dd HH:mm', zone: 'UTC' })).toThrow(/no year/);
    expect(() => compileTime({ format: 'yyyy-MM-ddTHH', zone: 'UTC' })).toThrow(/"T" means nothing/);
    expect(() => compileTime({ format: 'yyyy-MM-dd hh:mm', zone: 'UTC' })).toThrow(/go together/);
    expect(() => compileTime({ format: 'iso', zone: 'Europe/Atlantis' })).toThrow(RangeError);
  });

  it('moves a skipped time forward and takes the first of a repeated one', () => {
    const format = 'yyyy-MM-dd HH:mm:ss';
    expect(read('2011-03-27 01:30:00', format, 'Europe/London')).toBe('2011-03-27T01:30:00.000Z');
    expect(read('2011-03-27 02:00:00', format, 'Europe/London')).toBe('2011-03-27T01:00:00.000Z');
    expect(read('2011-10-30 01:30:00', format, 'Europe/London')).toBe('2011-10-30T00:30:00.000Z');
    expect(read('2011-10-30 02:00:00', format, 'Europe/London')).toBe('2011-10-30T02:00:00.000Z');
    expect(read('2011-03-13 02:30:00', format, 'America/New_York')).toBe('2011-03-13T07:30:00.000Z');
    expect(read('2011-11-06 01:30:00', format, 'America/New_York')).toBe('2011-11-06T05:30:00.000Z');
  });

  it('agrees with Intl on every instant, in zones of all kinds', () => {
    const zones = [
      'Europe/London',
      'America/New_York',
      'Australia/Lord_Howe',
      'Asia/Kathmandu',
      'Africa/Casablanca',
      'Pacific/Apia',
      'America/St_Johns',
    ];
    const offsets = new Map(zones.map((zone) => [zone, new ZoneOffsets(zone)]));
    const instant = fc.integer({ min: Date.UTC(2000, 0, 1) / 900_000, max: Date.UTC(2026, 0, 1) / 900_000 });
    fc.assert(
      fc.property(fc.constantFrom(...zones), instant, fc.nat(899_999), (zone, quarter, rest) => {
        const utcMs = quarter * 900_000 + rest;
        const reader = offsets.get(zone) as ZoneOffsets;
        const wallMs = utcMs + reader.offsetAt(utcMs);
        const found = reader.toUtc(wallMs);
        expect(found + reader.offsetAt(found)).toBe(wallMs);
        expect(found).toBeLessThanOrEqual(utcMs);
      }),
      { numRuns: 3_000 },
    );
  });

  it('agrees with the brute force search around every transition of a year', () => {
    for (const zone of ['Europe/London', 'Australia/Lord_Howe', 'America/New_York']) {
      const reader = new ZoneOffsets(zone);
      for (let hour = Date.UTC(2011, 0, 1); hour < Date.UTC(2012, 0, 1); hour += 1_800_000) {
        if (reader.offsetAt(hour) === reader.offsetAt(hour + 1_800_000)) continue;
        for (let wallMs = hour - 15 * 3_600_000; wallMs < hour + 15 * 3_600_000; wallMs += 1_800_000) {
          let expected = Number.NaN;
          for (let utcMs = wallMs - 54_000_000; utcMs <= wallMs + 54_000_000; utcMs += 1_800_000) {
            if (utcMs + reader.offsetAt(utcMs) === wallMs && Number.isNaN(expected)) expected = utcMs;
          }
          if (Number.isNaN(expected)) expected = wallMs - reader.offsetAt(hour);
          expect(reader.toUtc(wallMs)).toBe(expected);
        }
      }
    }
  });
});
