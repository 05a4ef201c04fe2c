import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { earlierCursor, greaterCursor, notAhead } from './cursor-text.js';

describe('texts of a cursor', () => {
  it.each([
    ['time', '2026-01-31T00:00:00.123456Z', { kind: 'time', ms: 1 }, '2026-01-31T00:00:00.122456Z'],
    ['time', '2026-01-31T00:00:00.123456789Z', { kind: 'time', ms: 600_000 }, '2026-01-30T23:50:00.123456789Z'],
    ['time', '2026-01-31T00:00:00.000001', { kind: 'time', ms: 1_000 }, '2026-01-30T23:59:59.000001'],
    ['time', '2026-03-01', { kind: 'time', ms: 600_000 }, '2026-02-28'],
    ['time', '0001-01-01T00:00:00.000000Z', { kind: 'time', ms: 1 }, '0001-01-01T00:00:00.000000Z'],
    ['integer', '9007199254740993', { kind: 'count', count: 1_000 }, '9007199254739993'],
    ['integer', '-9223372036854775808', { kind: 'count', count: 1 }, '-9223372036854775808'],
    ['decimal', '0.25', { kind: 'count', count: 1 }, '-0.75'],
    ['decimal', '1000', { kind: 'count', count: 1_000 }, '0'],
  ] as const)('%s %s goes back by the overlap', (kind, text, overlap, expected) => {
    expect(earlierCursor(kind, text, overlap)).toBe(expected);
  });

  it('are ordered as what they stand for', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.maxSafeInteger(), fc.nat(6), (a, b, places) => {
        const text = (value: number): string => {
          const digits = String(Math.abs(value)).padStart(places + 1, '0');
          const point = digits.length - places;
          return `${value < 0 ? '-' : ''}${digits.slice(0, point)}${places === 0 ? '' : `.${digits.slice(point)}`}`;
        };
        expect(greaterCursor('decimal', text(a), text(b))).toBe(text(Math.max(a, b)));
      }),
    );
    expect(greaterCursor('decimal', '0.10', '0.1')).toBe('0.10');
    expect(greaterCursor('integer', '-3', '-20')).toBe('-3');
  });

  it('of times are never ahead of the clock of the store', () => {
    const now = Date.UTC(2026, 0, 31, 12);
    expect(notAhead('time', '2030-01-01T00:00:00.000000Z', now)).toBe('2026-01-31T12:00:00.000000Z');
    expect(notAhead('time', '2030-01-01', now)).toBe('2026-01-31');
    expect(notAhead('time', '2026-01-31T11:59:59.999999', now)).toBe('2026-01-31T11:59:59.999999');
    expect(notAhead('integer', '99999999999999', now)).toBe('99999999999999');
  });
});
