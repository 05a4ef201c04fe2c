import { isCelError, run, type CelInput } from '@bufbuild/cel';
import { strings } from '@bufbuild/cel/ext';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonObject, JsonValue } from '../events/event.model.js';
import type { FeatureDefinition, FeatureType } from '../features/feature.model.js';
import { compileSegment } from './compile-segment.js';
import { NaiveProfile } from '../../test/support/naive-profile.js';
import { parseSegment } from './parse-segment.js';

/*
 * Evaluation is Weft's own, so it is compared with another implementation of CEL on random expressions and random
 * profiles, many of whose values are absent.
 */

const FEATURES = {
  i1: 'int', i2: 'int', i3: 'int', d1: 'double', d2: 'double', s1: 'string', s2: 'string', b1: 'bool', b2: 'bool',
} as const satisfies Record<string, FeatureType>; // prettier-ignore

type FeatureValues = Partial<Record<keyof typeof FEATURES, number | string | boolean>>;

const smallInt = fc.integer({ min: -12, max: 12 });
const smallDouble = fc.integer({ min: -40, max: 40 }).map((n) => n / 4);
const word = fc.constantFrom('', 'a', 'b', 'ab', 'Ab', 'aab', 'B c', 'ünï', 'zebra');

const featureValues: fc.Arbitrary<FeatureValues> = fc.record(
  {
    i1: smallInt, i2: smallInt, i3: smallInt, d1: smallDouble, d2: smallDouble,
    s1: word, s2: word, b1: fc.boolean(), b2: fc.boolean(),
  },
  { requiredKeys: [], noNullPrototype: true },
); // prettier-ignore

const scalarTrait: fc.Arbitrary<JsonValue> = fc.oneof(smallDouble, word, fc.boolean());
const traitValues: fc.Arbitrary<JsonObject> = fc.record(
  {
    n: scalarTrait,
    s: scalarTrait,
    list: fc.oneof(fc.array(scalarTrait, { maxLength: 4 }), scalarTrait),
    map: fc.dictionary(fc.constantFrom('k', 'l', 'm'), scalarTrait, { noNullPrototype: true }),
  },
  { requiredKeys: [], noNullPrototype: true },
);

function literal(value: number | string | boolean, double = false): string {
  if (typeof value === 'string') return JSON.stringify(value);
  return double && Number.isInteger(value) ? `${String(value)}.0` : String(value);
}

/** Texts of expressions of each type, that both implementations accept. */
interface Texts {
  int: string;
  double: string;
  string: string;
  bool: string;
  dyn: string;
}

const { bool: condition } = fc.letrec<Texts>((tie: fc.LetrecTypedTie<Texts>) => {
  const op = (...ops: string[]): fc.Arbitrary<string> => fc.constantFrom(...ops);
  const infix = (left: fc.Arbitrary<string>, ops: fc.Arbitrary<string>, right: fc.Arbitrary<string>) =>
    fc.tuple(left, ops, right).map(([a, o, b]) => `(${a} ${o} ${b})`);
  const ternary = (branch: fc.Arbitrary<string>) =>
    fc.tuple(tie('bool'), branch, branch).map(([c, a, b]) => `(${c} ? ${a} : ${b})`);
  const order = op('<', '<=', '>', '>=', '==', '!=');
  const same = op('==', '!=');
  const macro = op('exists', 'all', 'exists_one');
  const item = op('x == "a"', 'x > 1.0', 'x == true', 'x != f.s1', 'f.b1', 'x < 0.0 || x == "b"');
  return {
    int: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      smallInt.map((n) => literal(n)),
      op('f.i1', 'f.i2', 'f.i3'),
      infix(tie('int'), op('+', '-', '*', '/', '%'), tie('int')),
      tie('int').map((a) => `(-(${a}))`),
      ternary(tie('int')),
      tie('string').map((a) => `size(${a})`),
      tie('double').map((a) => `int(${a})`),
      op('size(traits.list)', 'size(traits.map)', 'traits.s.size()'),
    ),
    double: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      smallDouble.map((n) => literal(n, true)),
      op('f.d1', 'f.d2'),
      infix(tie('double'), op('+', '-', '*', '/'), tie('double')),
      tie('double').map((a) => `(-(${a}))`),
      ternary(tie('double')),
      tie('int').map((a) => `double(${a})`),
    ),
    string: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      word.map((w) => literal(w)),
      op('f.s1', 'f.s2'),
      infix(tie('string'), op('+'), tie('string')),
      ternary(tie('string')),
      tie('int').map((a) => `string(${a})`),
      fc.tuple(tie('string'), op('lowerAscii', 'upperAscii', 'trim')).map(([a, f]) => `${a}.${f}()`),
    ),
    dyn: op('traits.n', 'traits.s', 'traits.list', 'traits.map', 'traits.list[0]', 'traits.map["k"]', 'traits.map.l'),
    bool: fc.oneof(
      { maxDepth: 5, withCrossShrink: true },
      op('true', 'false', 'f.b1', 'f.b2', 'has(f.i1)', 'has(f.s1)', 'has(traits.n)', 'has(traits.list)'),
      infix(tie('bool'), op('&&', '||'), tie('bool')),
      infix(tie('bool'), op('&&', '||'), tie('bool')),
      tie('bool').map((a) => `!(${a})`),
      ternary(tie('bool')),
      infix(tie('int'), order, tie('int')),
      infix(tie('double'), order, tie('double')),
      infix(tie('int'), order, tie('double')),
      infix(tie('string'), order, tie('string')),
      infix(tie('bool'), same, tie('bool')),
      infix(tie('dyn'), same, tie('dyn')),
      infix(tie('dyn'), order, fc.oneof(tie('double'), tie('string'))),
      infix(tie('bool'), op('&&', '||'), op('traits.n', 'traits.s')),
      fc.tuple(tie('string'), fc.array(tie('string'), { minLength: 1, maxLength: 3 })).map(([a, l]) => `(${a} in [${l.join(', ')}])`),
      fc.tuple(tie('dyn'), fc.array(word, { minLength: 1, maxLength: 3 })).map(([a, l]) => `(${a} in [${l.map((w) => literal(w)).join(', ')}])`),
      tie('string').map((a) => `(${a} in traits.list)`),
      tie('string').map((a) => `(${a} in traits.map)`),
      fc.tuple(tie('string'), op('startsWith', 'endsWith', 'contains'), tie('string')).map(([a, f, b]) => `${a}.${f}(${b})`),
      fc.tuple(op('traits.list', 'traits.map'), macro, item).map(([l, m, body]) => `${l}.${m}(x, ${body})`),
      item.map((body) => `traits.list.filter(x, ${body}).exists(x, x == "a")`),
      op('traits.list.map(x, x == "a").exists(x, x)'),
    ),
  }; // prettier-ignore
});

function asCel(name: string, value: number | string | boolean): CelInput {
  return typeof value === 'number' && FEATURES[name as keyof typeof FEATURES] === 'int' ? BigInt(value) : value;
}

/** 'error' where CEL raises one. */
function oracle(source: string, features: FeatureValues, traits: JsonObject): boolean | 'error' {
  const f = Object.fromEntries(Object.entries(features).map(([name, value]) => [name, asCel(name, value)]));
  const result = run(source, { f, traits: traits as CelInput }, { funcs: strings });
  if (isCelError(result)) return 'error';
  return typeof result === 'boolean' ? result : 'error';
}

const DEFINITIONS = Object.entries(FEATURES).map(([name, type]): FeatureDefinition => {
  const none = { source: null, where: null, value: null, windowMs: null, unitMs: null, limit: null };
  return { name, type, view: 'v', description: '', aggregate: 'last', events: [], ...none };
});

function truthOf(source: string, values: FeatureValues, traits: JsonObject): boolean {
  const parsed = parseSegment(source, { features: new Map(Object.entries(FEATURES)) });
  const profile = new NaiveProfile(DEFINITIONS, {
    values,
    traits,
  });
  return compileSegment(parsed, { key: 's', segmentId: 1, version: 1 }, profile.indexOf).evaluate(profile, 1);
}

describe('evaluation', () => {
  it('agrees with another implementation of CEL, errors included', () => {
    let errors = 0;
    let runs = 0;
    fc.assert(
      fc.property(condition, featureValues, traitValues, (source, values, traits) => {
        fc.pre(source.length < 1500);
        try {
          parseSegment(source, { features: new Map(Object.entries(FEATURES)) });
        } catch (error) {
          // Only for size: whatever is generated is well typed.
          expect(String(error)).toMatch(/larger than 200 nodes|nested deeper/);
          return;
        }
        const expected = oracle(source, values, traits);
        runs++;
        if (expected === 'error') errors++;
        expect([truthOf(source, values, traits), truthOf(`!(${source})`, values, traits)]).toEqual([
          expected === true,
          expected === false,
        ]);
      }),
      { numRuns: 1500 },
    );
    // The comparison says little unless all three outcomes are common.
    expect(errors / runs).toBeGreaterThan(0.05);
    expect(errors / runs).toBeLessThan(0.7);
  });
});
