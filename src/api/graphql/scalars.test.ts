import { Kind } from 'graphql';
import { describe, expect, it } from 'vitest';
import { DateTime } from './scalars.js';

describe('a DateTime', () => {
  it.each(['2026-01-31T12:00:00Z', '2026-01-31T14:00:00.000+02:00', '2026-01-31T12:00Z'])('is read from %s', (text) => {
    const ms = Date.UTC(2026, 0, 31, 12);
    expect(DateTime.parseValue(text)).toBe(ms);
    expect(DateTime.parseLiteral({ kind: Kind.STRING, value: text }, undefined)).toBe(ms);
    expect(DateTime.serialize(ms)).toBe('2026-01-31T12:00:00.000Z');
  });

  it.each([
    '2026-02-30T12:00:00Z',
    '2025-02-29T12:00:00Z',
    '2026-01-31T12:00:00',
    '2026-01-31',
    'now',
    1_769_860_800_000,
  ])('is not read from %j', (value) => {
    expect(() => DateTime.parseValue(value)).toThrow('with its offset from UTC');
  });
});
