import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { handlesIn, headerIn, headerOf, jointKey, type DataKey } from './joint-key.js';
import { openBytes, sealBytes } from './sealed-bytes.js';

const aKey = (): DataKey => ({ handle: randomBytes(8), bytes: randomBytes(32) });
const keys = (least: number) => fc.array(fc.constant(null).map(aKey), { minLength: least, maxLength: 32 });

describe('a key that several make together', () => {
  it('opens what it sealed, by what the header says', () => {
    fc.assert(
      fc.property(keys(1), fc.uint8Array({ maxLength: 200 }), (parts, bytes) => {
        const header = headerOf(parts);
        const sealed = sealBytes(jointKey(header, parts), header, Buffer.from(bytes));
        const found = headerIn(sealed) ?? Buffer.alloc(0);
        const byHandle = new Map(parts.map((part) => [part.handle.toString('latin1'), part]));
        const again = handlesIn(found).map((handle) => byHandle.get(handle) ?? aKey());
        expect(openBytes(jointKey(found, again), found.length, sealed)).toEqual(Buffer.from(bytes));
      }),
    );
  });

  it('is not to be had without any one of them, nor with another in its place or in another order', () => {
    fc.assert(
      fc.property(keys(2), fc.nat(), (parts, n) => {
        const header = headerOf(parts);
        const sealed = sealBytes(jointKey(header, parts), header, Buffer.from('words'));
        const missing = n % parts.length;
        const opens = (some: readonly DataKey[]) => openBytes(jointKey(header, some), header.length, sealed) !== null;
        expect(opens(parts)).toBe(true);
        expect(opens(parts.filter((_, i) => i !== missing))).toBe(false);
        expect(opens(parts.map((part, i) => (i === missing ? aKey() : part)))).toBe(false);
        expect(opens(parts.toReversed())).toBe(false);
      }),
    );
  });

  it('is bound to its header: what another one says is not opened', () => {
    const parts = [aKey(), aKey()];
    const header = headerOf(parts);
    const sealed = sealBytes(jointKey(header, parts), header, Buffer.from('words'));
    sealed[5] = (sealed[5] ?? 0) ^ 1;
    const changed = headerIn(sealed) ?? Buffer.alloc(0);
    expect(openBytes(jointKey(changed, parts), changed.length, sealed)).toBeNull();
  });

  it('has between 1 and 255 parts, and a header that is whole', () => {
    expect(() => headerOf([])).toThrow('not with 0');
    expect(() => headerOf(Array.from({ length: 256 }, aKey))).toThrow('not with 256');
    expect(handlesIn(headerOf(Array.from({ length: 255 }, aKey)))).toHaveLength(255);
    expect(headerIn(Buffer.from([2]))).toBeNull();
    expect(headerIn(Buffer.from([2, 0, 1, 1, 1, 1, 1, 1, 1, 1]))).toBeNull();
    expect(headerIn(Buffer.from([2, 2, 1, 1, 1, 1, 1, 1, 1, 1]))).toBeNull();
  });
});
