import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { expect, it } from 'vitest';
import { MsgpackReader } from './msgpack-reader.js';

const packr = new Packr({ useRecords: false, variableMapSize: true });

const long = fc.integer({ min: 0, max: 70_000 }).map((length) => 'x'.repeat(length));
const number = fc.oneof(fc.integer({ min: -(2 ** 40), max: 2 ** 53 - 1 }), fc.integer(), fc.double({ noNaN: true }));
const bytes = fc.uint8Array({ maxLength: 70_000 }).map((array) => Buffer.from(array));
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(null, true, false),
    number,
    fc.string({ unit: 'binary' }),
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(fc.string(), tie('value'), { maxKeys: 20 }),
  ),
}));

it('goes past whatever is packed, and reads what comes after it', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(value, long, bytes), { maxLength: 20 }), fc.string(), (values, last) => {
      const packed = packr.pack([...values, last]);
      const reader = new MsgpackReader(packed);
      expect(reader.arrayLength()).toBe(values.length + 1);
      reader.skip(values.length);
      expect(reader.textAmong([Buffer.from(`${last}x`), Buffer.from(last)])).toBe(1);
      expect(reader.at).toBe(packed.length);
    }),
  );
});

it('reads what was packed', () => {
  fc.assert(
    fc.property(number, fc.string({ unit: 'binary' }), value, bytes, (some, text, any, binary) => {
      const reader = new MsgpackReader(packr.pack([some, text, any, binary, text]));
      reader.arrayLength();
      // Packed as 0, as msgpackr does with -0.
      expect(reader.number()).toBe(some + 0);
      // What is no Unicode text, such as half of a pair, packs to its replacement.
      expect(reader.text()).toBe(Buffer.from(text).toString());
      expect(reader.any()).toEqual(packr.unpack(packr.pack(any)));
      expect(reader.binary().equals(binary)).toBe(true);
      expect(reader.textAmong([Buffer.from(`${text}x`), Buffer.from(`x${text}`)])).toBe(-1);
    }),
  );
});

it('never reads past the end, and never loops, whatever the bytes are', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (array) => {
      const packed = Buffer.from(array);
      const reader = new MsgpackReader(packed);
      try {
        reader.skip(3);
        expect(reader.at).toBeLessThanOrEqual(packed.length);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    }),
  );
});

it('says that another type is there', () => {
  const reader = (packed: unknown): MsgpackReader => new MsgpackReader(packr.pack(packed));
  expect(() => reader('a').number()).toThrow('holds 0xa1 at byte 0');
  expect(() => reader(1).text()).toThrow(RangeError);
  expect(() => reader(1).arrayLength()).toThrow(RangeError);
  expect(() => reader('a').binary()).toThrow(RangeError);
});
