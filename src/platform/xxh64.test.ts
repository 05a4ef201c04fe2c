import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { Xxh64 } from './xxh64.js';

function digestOf(...parts: readonly Uint8Array[]): string {
  const hash = new Xxh64();
  for (const part of parts) hash.update(part);
  return hash.digest().toString(16).padStart(16, '0');
}

describe('XXH64', () => {
  it('gives the digests that are published for it', () => {
    expect(digestOf()).toBe('ef46db3751d8e999');
    expect(digestOf(Buffer.from('a'))).toBe('d24ec4f1a98c6e5b');
    expect(digestOf(Buffer.from('abc'))).toBe('44bc2cf5ad770999');
    expect(digestOf(Buffer.from('Nobody inspects the spammish repetition'))).toBe('fbcea83c8a378bf1');
  });

  it('does not depend on how the bytes are cut', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat(300), { maxLength: 6 }), (bytes, cuts) => {
        const ends = [...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].sort((a, b) => a - b);
        const parts = ends.map((end, i) => bytes.subarray(i === 0 ? 0 : ends[i - 1], end));
        expect(digestOf(...parts)).toBe(digestOf(bytes));
      }),
      { numRuns: 100 },
    );
  });
});
