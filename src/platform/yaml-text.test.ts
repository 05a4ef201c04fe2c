import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { YamlText } from './yaml-text.js';

const faultsOf = (text: string): string[] => {
  const yaml = new YamlText(text);
  return yaml.faults.map(({ offset, message }) => {
    const { line, col } = yaml.position(offset);
    return `${String(line)}:${String(col)} ${message}`;
  });
};

/** A list of ten, a list of ten of these, and so on. */
const BOMB = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]']
  .concat(
    Array.from({ length: 30 }, (_, i) => `a${String(i + 1)}: &a${String(i + 1)} [${`*a${String(i)}, `.repeat(10)}]`),
  )
  .join('\n');
const DEEP: readonly (readonly [how: string, text: string])[] = [
  ['lists', `${'['.repeat(50_000)}${']'.repeat(50_000)}`],
  ['lists without end', '['.repeat(1_000_000)],
  ['maps', `${'{a: '.repeat(30_000)}1${'}'.repeat(30_000)}`],
  ['dashes', `${'- '.repeat(100_000)}x`],
  ['question marks', `${'? '.repeat(100_000)}x`],
  ['indentation', Array.from({ length: 500 }, (_, i) => `${' '.repeat(i)}a:`).join('\n')],
];

describe('a YAML text', () => {
  it('holds what the library reads, whatever it is and whatever it repeats', () => {
    const value = fc.jsonValue({ maxDepth: 4 });
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'grapheme' }), value), fc.boolean(), (given, shares) => {
        // The writer makes aliases of what is the same object.
        const text = stringify(shares ? { given, again: [given, given] } : given);
        const yaml = new YamlText(text);
        expect(yaml.faults).toEqual([]);
        expect(yaml.toJs()).toEqual(parse(text));
      }),
      { numRuns: 300 },
    );
  });

  it('takes an alias for the anchor that was last before it', () => {
    expect(new YamlText('[&a 1, *a, &a 2, *a, &b [&a 3, *a], *b, *a]').toJs()).toEqual([1, 1, 2, 2, [3, 3], [3, 3], 3]);
    expect(new YamlText('&k a: 1\n*k : 2').faults).toHaveLength(1);
  });

  it('is told from broken ones, with the place', () => {
    expect(faultsOf('a: [1')[0]).toMatch(/^1:6 /);
    expect(faultsOf('a: 1\nb: *none\n')).toEqual(['2:4 there is no anchor &none above']);
    expect(faultsOf('a: &a [1, *a]')).toEqual(['1:11 *a stands inside &a']);
    expect(faultsOf('a: 1\nb:\n  c: 1\n  c: 2\n')).toEqual(['4:3 Map keys must be unique']);
    expect(faultsOf('a: 1\n---\nb: 1\n')[0]).toContain('more than one document');
    expect(new YamlText('').contents).toBeNull();
  });

  it('may be 64 levels deep', () => {
    const levels = (n: number): string => `${'['.repeat(n)}${']'.repeat(n)}`;
    expect(faultsOf(levels(64))).toEqual([]);
    expect(faultsOf(levels(66))[0]).toContain('it is nested deeper than 64 levels');
  });

  it.each(DEEP)('that is nested in %s without measure is refused, and ends nothing', (_, text) => {
    const yaml = new YamlText(text);
    expect(yaml.faults.map(({ message }) => message)).toEqual(['it is nested deeper than 64 levels']);
    expect(yaml.contents).toBeNull();
  });

  it('that stands for more than can be read is refused before anybody reads it', () => {
    const yaml = new YamlText(BOMB);
    expect(yaml.faults.map(({ message }) => message)).toEqual(['its aliases repeat more than 100000 values']);
    expect(yaml.toJs()).toBeNull();
  });

  it('tells a hundred of its faults, and compares no key with all others', () => {
    const keys = Array.from({ length: 30_000 }, (_, i) => `k${String(i % 20_000)}: 1`).join('\n');
    expect(new YamlText(keys).faults).toHaveLength(100);
  });

  it('holds no characters that cannot be stored', () => {
    expect(faultsOf('a: ok\nb: "x\\u0000"')).toEqual(['2:4 the character U+0000 cannot be stored']);
    expect(faultsOf('"\\ud83d": 1')).toEqual(['1:1 half of a surrogate pair is no character']);
    expect(faultsOf('a: "\\ud83d\\ude00"')).toEqual([]);
  });
});
