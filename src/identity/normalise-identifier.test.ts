import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WeftError } from '../platform/errors.js';
import { NORMALISERS, type NormaliserName } from './identity-rules.model.js';
import { normaliseIdentifier, PhoneParser } from './normalise-identifier.js';

const ABROAD = new PhoneParser(null);
const BRITISH = new PhoneParser('GB');

function normalised(normaliser: NormaliserName, raw: string, phones = ABROAD): string {
  const { value, reason } = normaliseIdentifier(normaliser, raw, phones);
  return value ?? `(${reason})`;
}

describe('e-mail addresses', () => {
  it.each([
    ['  Ana.Lopez@Example.COM\n', 'ana.lopez@example.com'],
    ['ana+shop@example.co.uk', 'ana+shop@example.co.uk'],
    ["o'neil@example.com", "o'neil@example.com"],
    ['JOSE\u0301@example.com', 'jos\u00e9@example.com'],
    ['用户@例子.广告', '用户@例子.广告'],
    [`${'a'.repeat(64)}@example.com`, `${'a'.repeat(64)}@example.com`],
  ])('%j becomes %j', (raw, value) => {
    expect(normalised('email', raw)).toBe(value);
  });

  it.each([
    ...['ana', 'ana@', '@example.com', 'ana@example', 'ana@@example.com', 'a@b@example.com', 'ana@.com', 'ana@com.'],
    ...['ana@ex..ample.com', 'ana @example.com', 'ana@exam ple.com', 'Ana <ana@example.com>', 'a@x.org,b@x.org'],
    ...[
      'ana\u200b@example.com',
      'ana\0@example.com',
      '"ana"@example.com',
      `${'a'.repeat(65)}@example.com`,
      '\ud800@x.org',
    ],
  ])('%j is no address', (raw) => {
    expect(normalised('email', raw)).toBe('(malformed)');
  });

  it('holds 254 characters and no more', () => {
    const domain = (length: number): string => `${'d'.repeat(length - 'a@.com'.length)}.com`;
    expect(normalised('email', `a@${domain(254)}`)).toHaveLength(254);
    expect(normalised('email', `a@${domain(255)}`)).toBe('(too_long)');
  });
});

describe('phone numbers', () => {
  it.each([
    ['+44 7700 900123', '+447700900123'],
    [' tel:+44-7700-900123 ', '+447700900123'],
    ['+44 (0) 7700 900123', '+447700900123'],
    ['+1 (202) 555-0123', '+12025550123'],
    ['+1 202 555 0123 ext. 7', '+12025550123;ext=7'],
  ])('%j becomes %j', (raw, value) => {
    expect(normalised('phone', raw)).toBe(value);
  });

  it('needs a region to understand a national number', () => {
    expect(normalised('phone', '07700 900123')).toBe('(malformed)');
    expect(normalised('phone', '07700 900123', BRITISH)).toBe('+447700900123');
    expect(normalised('phone', '0049 30 901820', BRITISH)).toBe('+4930901820');
    expect(normalised('phone', '+49 30 901820', BRITISH)).toBe('+4930901820');
  });

  it.each(['123', '+44', '+999 123456789', 'call +44 7700 900123', 'ana@example.com', '+44 7700 900123 900123 900123'])(
    '%j is no number',
    (raw) => {
      expect(normalised('phone', raw)).toBe('(malformed)');
    },
  );

  it('sees a placeholder in a number of zeros', () => {
    expect(normalised('phone', '+1 000 000 0000')).toBe('(blocked)');
  });

  it('answers the same from its cache, and when that is too small to help', () => {
    const tiny = new PhoneParser(null, 1);
    for (const raw of ['+44 7700 900123', '+1 202 555 0123', 'x', '+44 7700 900123', 'x']) {
      expect(normalised('phone', raw, tiny)).toBe(normalised('phone', raw));
    }
  });

  it('refuses a region that has no numbering plan', () => {
    expect(() => new PhoneParser('XX')).toThrow(WeftError);
  });
});

describe('handles and ids', () => {
  it('compares handles without the at sign and without case', () => {
    expect(normalised('handle', ' @AnaLopez ')).toBe('analopez');
    expect(normalised('handle', '@ana@Mastodon.Example')).toBe('ana@mastodon.example');
    for (const raw of ['@', '', 'ana lopez', 'ana\u200blopez']) expect(normalised('handle', raw)).toBe('(malformed)');
  });

  it('keeps the case of ids, and refuses what cannot be stored', () => {
    expect(normalised('id', ' AbC-1 ')).toBe('AbC-1');
    expect(normalised('id', 'e\u0301')).toBe('\u00e9');
    for (const raw of ['', 'a\0b', 'a\nb', 'a\udc00b']) expect(normalised('id', raw)).toBe('(malformed)');
    expect(normalised('id', 'a'.repeat(256))).toHaveLength(256);
    expect(normalised('id', 'a'.repeat(257))).toBe('(too_long)');
  });
});

describe('every normaliser', () => {
  const normalisers = fc.constantFrom<NormaliserName>(...NORMALISERS);
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.string({ unit: 'grapheme', maxLength: 40 }),
    fc.emailAddress(),
    fc.tuple(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }), fc.domain()).map(([a, d]) => `${a}@${d}`),
    fc
      .tuple(fc.constantFrom('+44', '+1', '+49', '0', ''), fc.stringMatching(/^[0-9 ()x;.-]{4,16}$/))
      .map((p) => p.join('')),
  );

  it('takes any text, and leaves alone what it has normalised', () => {
    let accepted = 0;
    fc.assert(
      fc.property(normalisers, text, (normaliser, raw) => {
        const { value } = normaliseIdentifier(normaliser, raw, BRITISH);
        if (value === undefined) return;
        accepted++;
        expect(normaliseIdentifier(normaliser, value, BRITISH)).toEqual({ value });
        expect(Buffer.from(value, 'utf8').toString('utf8')).toBe(value);
        expect(value).not.toContain('\0');
      }),
      { numRuns: 20_000 },
    );
    expect(accepted).toBeGreaterThan(4_000);
  });
});
