import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatInstant, isInstant, parseInstant, type InstantPolicy } from './instant.js';

const UTC: InstantPolicy = { date: 'utc', time: 'utc' };
const STRICT: InstantPolicy = { date: 'refused', time: 'refused' };
const NOON = Date.UTC(2026, 0, 31, 12);
const HOUR_MS = 3_600_000;

describe('an instant', () => {
  it.each([
    ['2026-01-31T12:00:00.000Z', NOON],
    ['2026-01-31T12:00:00Z', NOON],
    ['2026-01-31T12:00Z', NOON],
    ['2026-01-31t12:00:00z', NOON],
    ['2026-01-31 12:00:00Z', NOON],
    ['2026-01-31T12:00:00,000Z', NOON],
    ['2026-01-31T14:00:00+02:00', NOON],
    ['2026-01-31T14:00:00+0200', NOON],
    ['2026-01-31T14:00+02', NOON],
    ['2026-01-31T06:30:00-05:30', NOON],
    ['2026-02-01T11:59:00+23:59', NOON],
    ['2026-01-31T12:00:00-00:00', NOON],
    ['2026-01-31T12:00:00.5Z', NOON + 500],
    ['2026-01-31T12:00:00.05Z', NOON + 50],
    ['2026-01-31T12:00:00.123999999Z', NOON + 123],
    ['2026-01-31T24:00Z', NOON + 12 * HOUR_MS],
    ['2026-12-31T24:00:00Z', Date.UTC(2027, 0, 1)],
    ['2024-02-29T23:59:59+14:00', Date.UTC(2024, 1, 29, 9, 59, 59)],
    ['2000-02-29T00:00:00Z', Date.UTC(2000, 1, 29)],
    ['0001-01-01T00:00:00Z', -62_135_596_800_000],
    ['0000-02-29T00:00:00Z', -62_162_121_600_000],
    ['9999-12-31T23:59:59.999Z', 253_402_300_799_999],
  ])('%s is %i ms, whatever a missing offset would mean', (text, ms) => {
    for (const policy of [UTC, STRICT]) expect(parseInstant(text, policy)).toBe(ms);
  });

  it.each([
    ...['', 'now', '1', '2026', '2026-01', '2026-1-31', '20260131', '20260131T120000Z', '31/01/2026', '+2026-01-31'],
    ...['Sat, 31 Jan 2026 12:00:00 GMT', '2026-W05-6', '2026-031', '2026/01/31', '-2026-01-31', '+012026-01-31'],
    ...['2026-00-10', '2026-13-01', '2026-01-00', '2026-01-32', '2026-02-29', '2026-02-30', '2026-04-31', '1900-02-29'],
    ...['2026-01-31T', '2026-01-31T12', '2026-01-31T12Z', '2026-01-31T12:0Z', '2026-01-31T1:00Z', '2026-01-31x12:00Z'],
    ...['2026-01-31T25:00Z', '2026-01-31T24:00:01Z', '2026-01-31T24:00:00.001Z', '2026-01-31T12:60Z'],
    ...['2026-01-31T12:00:60Z', '2026-01-31T12:00:0Z', '2026-01-31T12:00:00.Z', '2026-01-31T12:00:00.1234567890Z'],
    ...['2026-01-31T12:00.5Z', '2026-01-31T12:00:00+24:00', '2026-01-31T12:00:00+02:60', '2026-01-31T12:00:00+2'],
    ...['2026-01-31T12:00:00+02:0', '2026-01-31T12:00:00+02:', '2026-01-31T12:00:00+02000', '2026-01-31T12:00:00ZZ'],
    ...['2026-01-31T12:00:00 Z', '2026-01-31T12:00:00Z ', ' 2026-01-31T12:00:00Z', '2026-01-31Z', '2026-01-31+02:00'],
    ...['2026-01-31T12:00:00CET', '2026-01-31T12:00:00−02:00', '２０２６-01-31T12:00:00Z', '2026-01-31T12:00:00Z\n'],
  ])('is not to be read from %j', (text) => {
    expect(parseInstant(text, UTC)).toBeNaN();
  });

  it('without an offset is what its reader says it is', () => {
    const anHourAhead: InstantPolicy = { date: (ms) => ms - HOUR_MS, time: (ms) => ms - HOUR_MS };
    for (const [text, wallMs] of [
      ['2026-01-31', NOON - 12 * HOUR_MS],
      ['2026-01-31T12:00', NOON],
      ['2026-01-31 12:00:00.25', NOON + 250],
    ] as const) {
      expect(parseInstant(text, UTC)).toBe(wallMs);
      expect(parseInstant(text, anHourAhead)).toBe(wallMs - HOUR_MS);
      expect(parseInstant(text, STRICT)).toBeNaN();
    }
    expect(parseInstant('2026-01-31T12:00', { date: 'utc', time: 'refused' })).toBeNaN();
    expect(parseInstant('2026-01-31', { date: 'utc', time: 'refused' })).toBe(NOON - 12 * HOUR_MS);
    expect(parseInstant('2026-02-30', anHourAhead)).toBeNaN();
  });

  it('is the one that Date writes, for every instant and offset', () => {
    const instants = fc.date({ min: new Date('0000-01-02'), max: new Date('9999-12-30'), noInvalidDate: true });
    fc.assert(
      fc.property(instants, fc.integer({ min: -1_439, max: 1_439 }), (date, minutes) => {
        const wall = new Date(date.getTime() + minutes * 60_000).toISOString().slice(0, -1);
        const [hh, mm] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
        const digits = `${String(hh).padStart(2, '0')}:${String(mm).padStart(2, '0')}`;
        expect(parseInstant(date.toISOString(), STRICT)).toBe(date.getTime());
        expect(parseInstant(`${wall}${minutes < 0 ? '-' : '+'}${digits}`, STRICT)).toBe(date.getTime());
      }),
    );
  });

  it('is one of the days that Date shows, and no other', () => {
    const two = (n: number): string => String(n).padStart(2, '0');
    const part = fc.nat(99);
    fc.assert(
      fc.property(fc.nat(9_999), part, part, (year, month, day) => {
        const text = `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}`;
        const date = new Date(`${text}T00:00:00Z`);
        const exists = !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
        expect(parseInstant(text, UTC)).toBe(exists ? date.getTime() : Number.NaN);
      }),
      { numRuns: 5_000 },
    );
  });

  it('has a number that the calendar reaches', () => {
    for (const ms of [0, -1, NOON, 8.64e15, -8.64e15]) expect(isInstant(ms)).toBe(true);
    for (const ms of [0.5, 8.64e15 + 1, Number.MAX_SAFE_INTEGER, Number.NaN, Infinity, '5', null]) {
      expect(isInstant(ms)).toBe(false);
    }
  });
});

describe('an instant that is shown', () => {
  it('is as Date shows it, in whatever order days come', () => {
    const anyMs = fc.integer({ min: -8_640_000_000_000_000, max: 8_640_000_000_000_000 });
    const ofOneDay = fc.integer({ min: NOON - 24 * HOUR_MS, max: NOON + 24 * HOUR_MS });
    fc.assert(
      fc.property(fc.array(fc.oneof(anyMs, ofOneDay), { minLength: 1 }), (all) => {
        for (const ms of all) expect(formatInstant(ms)).toBe(new Date(ms).toISOString());
      }),
    );
  });

  it('is one', () => {
    expect(() => formatInstant(Number.NaN)).toThrow(RangeError);
  });
});
