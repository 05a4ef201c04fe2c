import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bytesOf,
  codePointsOf,
  damerauLevenshtein,
  jaccard,
  jaro,
  jaroWinkler,
  lengthIn,
  levenshtein,
  mostCommon,
  PROFILE_LENGTH,
  writeProfile,
} from './text-distance.js';

const of =
  <T>(measure: (a: Int32Array, b: Int32Array) => T) =>
  (a: string, b: string): T =>
    measure(codePointsOf(a), codePointsOf(b));

/** Few letters, so that texts share many; some outside of ASCII and of the basic plane; some longer than a word. */
const aText = fc
  .array(fc.constantFrom('a', 'b', 'c', 'd', ' ', 'é', '𝒳'), { maxLength: 40 })
  .map((letters) => letters.join(''));
const aShortText = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 8 }).map((letters) => letters.join(''));
/** One, two and three words long. */
const aLongText = fc
  .array(fc.constantFrom('a', 'b', 'c', 'd', '.', '@'), { minLength: 20, maxLength: 80 })
  .map((letters) => letters.join(''));
const aPair = fc.oneof(
  fc.tuple(aText, aText),
  fc.tuple(aLongText, aLongText),
  fc.tuple(aShortText, aLongText),
  fc.tuple(aShortText, aShortText),
  fc.tuple(aText, fc.nat(39), fc.constantFrom('', 'a', 'ba')).map(([text, at, put]): [string, string] => {
    const letters = Array.from(text);
    return [text, [...letters.slice(0, at), put, ...letters.slice(at + 1)].join('')];
  }),
);

/** Jaro's similarity as the paper words it. */
function plainJaro(a: string, b: string): number {
  const [lettersA, lettersB] = [Array.from(a), Array.from(b)];
  const reach = Math.max(0, Math.floor(Math.max(lettersA.length, lettersB.length) / 2) - 1);
  const taken = new Set<number>();
  const common: string[] = [];
  lettersA.forEach((letter, i) => {
    const j = lettersB.findIndex((other, at) => other === letter && Math.abs(at - i) <= reach && !taken.has(at));
    if (j < 0) return;
    taken.add(j);
    common.push(letter);
  });
  if (common.length === 0) return 0;
  const inB = lettersB.filter((_, j) => taken.has(j));
  const transpositions = Math.floor(common.filter((letter, i) => letter !== inB[i]).length / 2);
  const m = common.length;
  return (m / lettersA.length + m / lettersB.length + (m - transpositions) / m) / 3;
}

/** By the recursive definition. */
function plainLevenshtein(a: string, b: string): number {
  const [x, y] = [Array.from(a), Array.from(b)];
  const known = new Map<string, number>();
  const from = (i: number, j: number): number => {
    if (i === x.length || j === y.length) return x.length - i + y.length - j;
    const key = `${String(i)} ${String(j)}`;
    const found = known.get(key);
    if (found !== undefined) return found;
    const least = Math.min(from(i + 1, j) + 1, from(i, j + 1) + 1, from(i + 1, j + 1) + (x[i] === y[j] ? 0 : 1));
    known.set(key, least);
    return least;
  };
  return from(0, 0);
}

/** The least number of edits, found by trying all of them, nearest first. */
function editsBetween(a: string, b: string): number {
  let reached = new Set([a]);
  const longest = Math.max(a.length, b.length);
  for (let edits = 0; ; edits++) {
    if (reached.has(b)) return edits;
    const next = new Set(reached);
    for (const text of reached) {
      for (let i = 0; i <= text.length; i++) {
        const [head, tail] = [text.slice(0, i), text.slice(i)];
        if (tail !== '') next.add(head + tail.slice(1));
        if (tail.length > 1) next.add(head + tail.charAt(1) + tail.charAt(0) + tail.slice(2));
        for (const letter of new Set(b)) {
          if (text.length < longest) next.add(head + letter + tail);
          if (tail !== '') next.add(head + letter + tail.slice(1));
        }
      }
    }
    reached = next;
  }
}

describe('distances of texts', () => {
  it('have the values that the papers give', () => {
    expect(of(jaro)('MARTHA', 'MARHTA')).toBeCloseTo(0.9444, 4);
    expect(of(jaro)('DIXON', 'DICKSONX')).toBeCloseTo(0.7667, 4);
    expect(of(jaroWinkler)('MARTHA', 'MARHTA')).toBeCloseTo(0.9611, 4);
    expect(of(jaroWinkler)('DWAYNE', 'DUANE')).toBeCloseTo(0.84, 4);
    expect(of(levenshtein)('kitten', 'sitting')).toBe(3);
    expect(of(damerauLevenshtein)('ca', 'abc')).toBe(2);
    expect(of(jaccard)('abc', 'bcd')).toBe(0.5);
  });

  it('give no bonus for a common beginning where the rest is far apart', () => {
    expect(of(jaroWinkler)('abcdefgh', 'abzzzzzz')).toBe(of(jaro)('abcdefgh', 'abzzzzzz'));
  });

  it('count letters or bytes, as told', () => {
    expect(levenshtein(codePointsOf('José'), codePointsOf('Jose'))).toBe(1);
    expect(levenshtein(bytesOf('José'), bytesOf('Jose'))).toBe(2);
    expect(levenshtein(codePointsOf('a😀b'), codePointsOf('ab'))).toBe(1);
  });

  it('of Jaro and Winkler are those of the definition, for any texts', () => {
    fc.assert(
      fc.property(aPair, ([a, b]) => {
        const expected = plainJaro(a, b);
        expect(of(jaro)(a, b)).toBeCloseTo(expected, 12);
        const [x, y] = [Array.from(a), Array.from(b)];
        let prefix = 0;
        while (prefix < 4 && x[prefix] !== undefined && x[prefix] === y[prefix]) prefix++;
        const bonus = expected > 0.7 ? prefix * 0.1 * (1 - expected) : 0;
        expect(of(jaroWinkler)(a, b)).toBeCloseTo(expected + bonus, 12);
      }),
      { numRuns: 2_000 },
    );
  });

  it('of Levenshtein are those of the definition, for any texts and up to any limit', () => {
    fc.assert(
      fc.property(aPair, fc.nat(5), ([a, b], limit) => {
        const expected = plainLevenshtein(a, b);
        expect(of(levenshtein)(a, b)).toBe(expected);
        const limited = levenshtein(codePointsOf(a), codePointsOf(b), limit);
        expect(Math.min(limited, limit + 1)).toBe(Math.min(expected, limit + 1));
      }),
      { numRuns: 2_000 },
    );
  });

  it('of Damerau are the fewest edits, found by trying all', () => {
    const aTinyText = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 5 }).map((letters) => letters.join(''));
    fc.assert(
      fc.property(aTinyText, aTinyText, (a, b) => {
        expect(of(damerauLevenshtein)(a, b)).toBe(editsBetween(a, b));
      }),
      { numRuns: 300 },
    );
  });

  it('are bounded by the units that two texts have in common, which their profiles tell no fewer of', () => {
    const bounds = fc.property(aPair, ([a, b]) => {
      const profiles = new Int32Array(2 * PROFILE_LENGTH);
      const [x, y] = [codePointsOf(a), codePointsOf(b)];
      writeProfile(x, profiles, 0);
      writeProfile(y, profiles, PROFILE_LENGTH);
      const left = Array.from(y);
      const common = Array.from(x).filter((unit) => {
        const at = left.indexOf(unit);
        if (at >= 0) left.splice(at, 1);
        return at >= 0;
      }).length;
      const most = mostCommon(profiles, 0, PROFILE_LENGTH);
      expect([lengthIn(profiles, 0), lengthIn(profiles, PROFILE_LENGTH)]).toEqual([x.length, y.length]);
      expect(most).toBeGreaterThanOrEqual(common);
      expect(damerauLevenshtein(x, y)).toBeGreaterThanOrEqual(Math.max(x.length, y.length) - most);
      if (most === 0) expect(jaro(x, y)).toBe(0);
      expect(3 * jaro(x, y)).toBeLessThanOrEqual(most / (x.length || 1) + most / (y.length || 1) + 1 + 1e-9);
    });
    fc.assert(bounds, { numRuns: 1_000 });
  });

  it('do not depend on which text comes first', () => {
    fc.assert(
      fc.property(aPair, ([a, b]) => {
        for (const measure of [levenshtein, damerauLevenshtein, jaccard, jaro, jaroWinkler])
          expect(of(measure)(a, b)).toBe(of(measure)(b, a));
      }),
      { numRuns: 5_000 },
    );
  });
});
