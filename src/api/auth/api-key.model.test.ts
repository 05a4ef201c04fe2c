import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hashSecret, hasScope, isOrigin, isSecretShaped, isUsable, makeSecret, prefixOf } from './api-key.model.js';

describe('API keys', () => {
  it('carry the letter of their widest scope and 43 characters of base 62', () => {
    expect(makeSecret(['read', 'admin'], randomBytes(32))).toMatch(/^weft_a_[0-9A-Za-z]{43}$/);
    expect(makeSecret(['ingest', 'read'], randomBytes(32))).toMatch(/^weft_r_/);
    expect(makeSecret(['ingest'], randomBytes(32))).toMatch(/^weft_i_/);
    expect(makeSecret(['edge'], randomBytes(32))).toMatch(/^weft_e_/);
  });

  it('keep all 256 random bits', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        const secret = makeSecret(['read'], Buffer.from(bytes));
        const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
        const value = Array.from(secret.slice('weft_r_'.length)).reduce(
          (n, c) => n * 62n + BigInt(digits.indexOf(c)),
          0n,
        );
        expect(value).toBe(BigInt(`0x${Buffer.from(bytes).toString('hex')}`));
        expect(isSecretShaped(secret)).toBe(true);
      }),
    );
  });

  it('are recognised by a prefix that gives away four random characters at most', () => {
    const secret = makeSecret(['ingest'], randomBytes(32));
    expect(secret.startsWith(prefixOf(secret))).toBe(true);
    expect(prefixOf(secret)).toHaveLength('weft_i_'.length + 4);
  });

  it('are told from other texts without a query', () => {
    for (const text of ['', 'weft_i_', `weft_x_${'0'.repeat(43)}`, `weft_i_${'0'.repeat(42)}!`, 'x'.repeat(1e6)]) {
      expect(isSecretShaped(text)).toBe(false);
    }
  });

  it('are hashed by SHA-256', () => {
    expect(hashSecret('abc').toString('hex')).toMatch(/^ba7816bf8f01cfea/);
  });

  it('with the scope admin may do everything, others only what they name', () => {
    expect(hasScope({ scopes: ['admin'] }, 'ingest')).toBe(true);
    expect(hasScope({ scopes: ['read'] }, 'ingest')).toBe(false);
    expect(hasScope({ scopes: ['read', 'ingest'] }, 'admin')).toBe(false);
    for (const scope of ['admin', 'read', 'ingest'] as const) expect(hasScope({ scopes: ['edge'] }, scope)).toBe(false);
  });

  it.each(['*', 'https://shop.example', 'http://localhost:3000', 'https://xn--shp-tna.example', 'https://[::1]:8443'])(
    'may be bound to the origin %s',
    (origin) => {
      expect(isOrigin(origin)).toBe(true);
    },
  );

  it.each([
    '',
    'null',
    'shop.example',
    'https://',
    'https://shop.example/',
    'https://Shop.example',
    'https://shop.example:443',
    'https://*.shop.example',
    'https://user@shop.example',
    'ftp://shop.example',
  ])('may not be bound to %j, which no browser sends', (origin) => {
    expect(isOrigin(origin)).toBe(false);
  });

  it('end at their expiry and at their revocation, whichever is first', () => {
    expect(isUsable({ expiresAt: null, revokedAt: null }, 100)).toBe(true);
    expect(isUsable({ expiresAt: 101, revokedAt: null }, 100)).toBe(true);
    expect(isUsable({ expiresAt: 100, revokedAt: null }, 100)).toBe(false);
    expect(isUsable({ expiresAt: null, revokedAt: 100 }, 100)).toBe(false);
  });
});
