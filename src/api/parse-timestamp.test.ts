import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseTimestamp } from './parse-timestamp.js';

const NOON = Date.UTC(2026, 0, 31, 12);

describe('parseTimestamp', () => {
  it.each([
    '2026-01-31T12:00:00.000Z',
    '2026-01-31T12:00:00Z',
    '2026-01-31T12:00Z',
    '2026-01-31t12:00:00z',
    '2026-01-31 12:00:00',
    '2026-01-31T12:00:00',
    '2026-01-31T12:00:00.000000000Z',
    '2026-01-31T12:00:00,000Z',
    '2026-01-31T14:00:00+02:00',
    '2026-01-31T14:00:00+0200',
    '2026-01-31T14:00:00+02',
    '2026-01-31T06:30:00-05:30',
  ])('reads %s', (text) => {
    expect(parseTimestamp(text)).toBe(NOON);
  });

  it('reads a date as its first instant, UTC, and a number as ms', () => {
    expect(parseTimestamp('2026-01-31')).toBe(NOON - 12 * 3_600_000);
    expect(parseTimestamp('2026-01-31T24:00')).toBe(NOON + 12 * 3_600_000);
    expect(parseTimestamp(NOON)).toBe(NOON);
  });

  it.each([
    '',
    'now',
    '31/01/2026',
    '1',
    '2026',
    'Sat, 31 Jan 2026 12:00:00 GMT',
    '2026-13-01',
    '2026-02-30',
    '2026-01-32',
  ])('refuses "%s"', (text) => {
    expect(parseTimestamp(text)).toBeNaN();
  });

  it('refuses days that do not exist, and only those, in any zone', () => {
    expect(parseTimestamp('2024-02-29T23:59:59+14:00')).toBe(Date.UTC(2024, 1, 29, 9, 59, 59));
    expect(parseTimestamp('2025-02-29T00:00:00Z')).toBeNaN();
    expect(parseTimestamp('2026-01-31T12:00:00+25:00')).toBeNaN();
  });

  it('agrees with Date on every instant that Date writes', () => {
    fc.assert(
      fc.property(fc.date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true }), (date) => {
        expect(parseTimestamp(date.toISOString())).toBe(date.getTime());
      }),
    );
  });

  it('takes nothing but texts and numbers', () => {
    for (const value of [null, undefined, {}, [], true, new Date(NOON)]) expect(parseTimestamp(value)).toBeNaN();
  });
});
