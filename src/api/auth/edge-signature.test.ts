import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isSignedBy, isUnguessable, signIdentifier } from './edge-signature.js';

const SECRET = `weft_s_${'4'.repeat(43)}`;
const NOW_MS = Date.UTC(2026, 0, 31, 12);
const NOW_S = NOW_MS / 1_000;
const ann = { namespace: 'user_id', value: 'ann' };

describe('a signature of an identifier', () => {
  it('is what the protocol says, to the letter', () => {
    // By: printf 'weft-edge-v1\nuser_id\nann\n1769864400' | openssl dgst -sha256 -hmac "$SECRET" -binary | basenc --base64url
    expect(signIdentifier(SECRET, ann, 1_769_864_400)).toBe('1769864400.N_2rCBLx9PwAbmvqFZf8b5Q-kbcpO0NnonZ9Cr8jF5g');
  });

  it('holds for what was signed, until it expires, and for nothing else', () => {
    const signature = signIdentifier(SECRET, ann, NOW_S + 1);
    expect(isSignedBy(SECRET, { ...ann, signature }, NOW_MS)).toBe(true);
    expect(isSignedBy(SECRET, { ...ann, signature }, NOW_MS + 999)).toBe(true);
    expect(isSignedBy(SECRET, { ...ann, signature }, NOW_MS + 1_000)).toBe(false);
    expect(isSignedBy(`${SECRET}4`, { ...ann, signature }, NOW_MS)).toBe(false);
    expect(isSignedBy(SECRET, { namespace: 'email', value: 'ann', signature }, NOW_MS)).toBe(false);
    expect(isSignedBy(SECRET, { ...ann, value: 'Ann', signature }, NOW_MS)).toBe(false);
    for (const last of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_') {
      const other = `${signature.slice(0, -1)}${last}`;
      expect(isSignedBy(SECRET, { ...ann, signature: other }, NOW_MS)).toBe(other === signature);
    }
    const later = signature.replace(/^\d+/, String(NOW_S + 1_000));
    expect(isSignedBy(SECRET, { ...ann, signature: later }, NOW_MS)).toBe(false);
  });

  it('never holds when it is missing or of another form', () => {
    const other = fc.oneof(fc.constant(null), fc.string(), fc.constant(`${String(NOW_S + 9)}.${'A'.repeat(43)}`));
    fc.assert(
      fc.property(fc.string(), fc.string(), other, (namespace, value, signature) => {
        expect(isSignedBy(SECRET, { namespace, value, signature }, NOW_MS)).toBe(false);
      }),
    );
  });

  it('holds for whatever it was made for', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z][a-z0-9_]{0,9}$/), fc.string(), (namespace, value) => {
        const signature = signIdentifier(SECRET, { namespace, value }, NOW_S + 60);
        expect(isSignedBy(SECRET, { namespace, value, signature }, NOW_MS)).toBe(true);
      }),
    );
  });
});

describe('an identifier that needs no signature', () => {
  it.each([
    ['anonymous_id', '7c05542a-a638-43fd-b185-e15b72e2fa6b', true],
    ['anonymous_id', 'V1StGXR8_Z5jdHi6B-myT', true],
    ['anonymous_id', 'V1StGXR8_Z5jdHi6B-my', false],
    ['anonymous_id', 'ann@example.com', false],
    ['anonymous_id', ' 7c05542a-a638-43fd-b185-e15b72e2fa6b', false],
    ['anonymous_id', '12345', false],
    ['user_id', '7c05542a-a638-43fd-b185-e15b72e2fa6b', false],
  ])('%s %s: %s', (namespace, value, expected) => {
    expect(isUnguessable(namespace, value)).toBe(expected);
  });
});
