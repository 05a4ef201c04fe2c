import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  foldText,
  instantKey,
  instantOfKey,
  keyRange,
  ORDERED_KEYS,
  prefixRange,
  scalarKey,
  searchKeys,
  typeRange,
  type KeyRange,
} from './search-key.model.js';

const key = (value: number | string | boolean): Buffer => scalarKey(value) ?? Buffer.alloc(0);
const isIn = (each: Buffer, { from, to }: KeyRange): boolean =>
  Buffer.compare(from, each) <= 0 && Buffer.compare(each, to) < 0;

describe('keys of values', () => {
  it('are in the order of numbers', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true }), fc.double({ noNaN: true }), (a, b) => {
        expect(Buffer.compare(key(a), key(b))).toBe(a < b ? -1 : a > b ? 1 : 0);
      }),
    );
  });

  it('are in the order of instants, however these are written, and can be read back', () => {
    expect(key('2024-02-29T12:00:00+02:00')).toEqual(key('2024-02-29T10:00:00.000Z'));
    fc.assert(
      fc.property(fc.integer(), fc.integer(), (a, b) => {
        expect(Buffer.compare(instantKey(a), instantKey(b))).toBe(Math.sign(a - b));
        expect(instantOfKey(instantKey(a))).toBe(a);
      }),
    );
    expect(instantOfKey(key(7))).toBeNull();
  });

  it('are in the order of the characters of folded texts, and equal where those are', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 20 });
    const byCodePoint = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
    fc.assert(
      fc.property(text, text, (a, b) => {
        fc.pre(!/^\d/.test(a + b));
        expect(Buffer.compare(key(a), key(b))).toBe(byCodePoint(foldText(a), foldText(b)));
      }),
    );
  });

  it.each([
    ['STRASSE', 'straße'],
    ['Ärger', 'a\u0308RGER'],
    ['ΟΔΥΣΣΕΥΣ', 'οδυσσευς'],
    ['ﬁne', 'FINE'],
    ['Ｗｅｆｔ', 'weft'],
  ])('make one of %s and %s', (a, b) => {
    expect(key(a)).toEqual(key(b));
  });

  it('keep apart what is longer than what is kept of a text, and still find it by its beginning', () => {
    const long = 'x'.repeat(300);
    expect(key(`${long}a`)).not.toEqual(key(`${long}b`));
    expect(key(`${long}a`).length).toBeLessThan(250);
    const range = prefixRange('xxx');
    expect(range !== null && isIn(key(`${long}a`), range)).toBe(true);
    expect(prefixRange(long)).toBeNull();
  });

  it('of texts that begin with a text are one stretch, and nothing else is in it', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'B', 'ß', 'é', '日', '😀', ' '), maxLength: 5 });
    fc.assert(
      fc.property(text, text, (prefix, each) => {
        const range = prefixRange(prefix);
        expect(range !== null && isIn(key(each), range)).toBe(foldText(each).startsWith(foldText(prefix)));
      }),
    );
  });

  it('are apart by type', () => {
    const some = [false, true, -1, 0, 1e300, '2024-01-01T00:00:00Z', '', 'a', '😀'];
    for (const a of some) {
      const ofType = some.filter((b) => isIn(key(b), typeRange(key(a))));
      const typeOf = (value: number | string | boolean): string =>
        typeof value === 'string' && value.startsWith('2024') ? 'instant' : typeof value;
      expect(ofType).toEqual(some.filter((b) => typeOf(b) === typeOf(a)));
      expect(isIn(key(a), keyRange(key(a)))).toBe(true);
      expect(isIn(key(a), ORDERED_KEYS)).toBe(true);
    }
  });

  it('of a list are those of its items, which no profiles are put in order by', () => {
    expect(searchKeys(['a', 1])).toHaveLength(2);
    expect(searchKeys(['a']).some((each) => isIn(each, ORDERED_KEYS))).toBe(false);
    expect(searchKeys([])).toHaveLength(1);
    expect(searchKeys({ a: 1 })).toHaveLength(1);
    expect(searchKeys(null)).toEqual([]);
    expect(searchKeys(undefined)).toEqual([]);
  });
});
