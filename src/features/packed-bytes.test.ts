import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PackedReader, PackedWriter } from './packed-bytes.js';

const writer = new PackedWriter();

function roundTrip<T>(write: (w: PackedWriter) => void, read: (r: PackedReader) => T): { value: T; length: number } {
  writer.reset();
  write(writer);
  const bytes = writer.slice(0);
  const reader = new PackedReader(bytes, 0, bytes.length);
  const value = read(reader);
  expect(reader.done).toBe(true);
  return { value, length: bytes.length };
}

const EDGES = [0, 1, 63, 64, 127, 128, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 48 - 1, 2 ** 48, Number.MAX_SAFE_INTEGER];

describe('packed bytes', () => {
  it('keep whole numbers', () => {
    fc.assert(
      fc.property(fc.oneof(fc.constantFrom(...EDGES), fc.maxSafeNat()), (n) => {
        expect(roundTrip((w) => { w.varint(n); }, (r) => r.varint()).value).toBe(n); // prettier-ignore
        for (const signed of n === 0 ? [0] : [n, -n]) {
          expect(roundTrip((w) => { w.signed(signed); }, (r) => r.signed()).value).toBe(signed); // prettier-ignore
        }
      }),
      { numRuns: 500 },
    );
  });

  it('keep every finite double, and amounts in few bytes', () => {
    const numbers = fc.oneof(
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.integer().map((cents) => cents / 100),
      fc.constantFrom(...EDGES, 0.1, 1e-7, 5e-324, 1.7e308, 2 ** 46 + 0.01),
    );
    fc.assert(
      fc.property(numbers, (n) => {
        const value = n === 0 ? 0 : n;
        expect(roundTrip((w) => { w.number(value); }, (r) => r.number()).value).toBe(value); // prettier-ignore
      }),
      { numRuns: 1_000 },
    );
    expect(roundTrip((w) => { w.number(29.99); }, (r) => r.number())).toEqual({ value: 29.99, length: 3 }); // prettier-ignore
  });

  it('keep every text, unpaired surrogates too', () => {
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('\ud800', 'a\udc00b', 'ÿ', 'Ā', 'x'.repeat(300)),
    );
    fc.assert(
      fc.property(texts, (text) => {
        expect(roundTrip((w) => { w.text(text); }, (r) => r.text()).value).toBe(text); // prettier-ignore
      }),
    );
  });

  it('keep hashes in six bytes', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (n) => {
        const hash = n % 2 ** 48;
        expect(roundTrip((w) => { w.hash(hash); }, (r) => r.hash())).toEqual({ value: hash, length: 6 }); // prettier-ignore
      }),
    );
  });

  it('frame what is written with its length', () => {
    fc.assert(
      fc.property(fc.oneof(fc.nat(300), fc.constantFrom(127, 128, 16_383, 16_384, 70_000)), (count) => {
        writer.reset();
        writer.varint(7);
        const start = writer.openFrame();
        for (let i = 0; i < count; i++) writer.varint(i % 128);
        writer.closeFrame(start);
        writer.varint(9);
        const bytes = writer.slice(0);
        const reader = new PackedReader(bytes, 0, bytes.length);
        expect([reader.varint(), reader.varint()]).toEqual([7, count]);
        for (let i = 0; i < count; i++) if (reader.varint() !== i % 128) expect.unreachable();
        expect(reader.varint()).toBe(9);
        expect(reader.done).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  it('refuse what they cannot hold instead of writing it for ever', () => {
    writer.reset();
    expect(() => { writer.varint(Infinity); }).toThrow(RangeError); // prettier-ignore
    expect(() => { writer.signed(-Infinity); }).toThrow(RangeError); // prettier-ignore
  });

  it('are never read past their end', () => {
    const reader = (...bytes: number[]): PackedReader =>
      new PackedReader(Buffer.from([...bytes, 1, 1, 1]), 0, bytes.length);
    expect(() => reader(0x80).varint()).toThrow('ends too early');
    expect(() => reader(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f).varint()).toThrow('too large');
    expect(() => reader(3, 0, 0).number()).toThrow('ends too early');
    expect(() => reader(10, 65).text()).toThrow('ends too early');
    expect(() => reader(1, 2, 3, 4, 5).hash()).toThrow('ends too early');
  });
});
