import { describe, expect, it } from 'vitest';
import { hashId, isUuid, newId, uuidOf } from './ids.js';

describe('a new id', () => {
  it('is a UUID of version 7 that begins with its time', () => {
    const id = newId(Date.UTC(2026, 0, 1));
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)).toBe(Date.UTC(2026, 0, 1));
  });

  it('sorts behind those of an earlier time, back to the beginning of time', () => {
    const ids = [0, 1, 0xffff, 0x1_0000, Date.UTC(2026, 0, 1), 0xffff_ffff_ffff].map(newId);
    expect(ids.every(isUuid)).toBe(true);
    expect([...ids].sort()).toEqual(ids);
  });

  it('is another each time', () => {
    expect(new Set(Array.from({ length: 1_000 }, () => newId(0))).size).toBe(1_000);
  });
});

describe('an id of bytes', () => {
  it('has all of them, in order', () => {
    const bytes = [0, 1, 15, 16, 127, 128, 160, 170, 187, 204, 221, 238, 239, 240, 254, 255];
    expect(uuidOf(Uint8Array.from(bytes))).toBe('00010f10-7f80-a0aa-bbcc-ddeeeff0feff');
  });
});

describe('a hashed id', () => {
  it('tells parts apart that are the same text together', () => {
    expect(hashId('a', 'bc')).not.toBe(hashId('ab', 'c'));
    expect(hashId('email', 'ann@example.com')).toBe(hashId('email', 'ann@example.com'));
    expect(isUuid(hashId(''))).toBe(true);
  });

  it('is the beginning of what SHA-256 gives', () => {
    // NIST's example of a message of one block.
    expect(hashId('abc')).toBe('ba7816bf-8f01-cfea-4141-40de5dae2223');
  });
});
