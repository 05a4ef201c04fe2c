import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nearest } from '../../test/support/naive-values.js';
import { FeatureSet } from './feature-set.model.js';
import type { FeatureDefinition, FeatureEvent, FeatureValue } from './feature.model.js';
import { streamsOf } from './stream.model.js';

const HOUR = 3_600_000;
const T = 20_000 * 24 * HOUR;

const rest = { view: 'v', description: '', events: [], source: null, where: null, value: 'properties.v' } as const;
const definitions: FeatureDefinition[] = [
  { ...rest, name: 'sum', aggregate: 'sum', windowMs: null, unitMs: null, limit: null, type: 'double' },
  { ...rest, name: 'windowed', aggregate: 'sum', windowMs: 24 * HOUR, unitMs: null, limit: null, type: 'double' },
  { ...rest, name: 'avg', aggregate: 'avg', windowMs: null, unitMs: null, limit: null, type: 'double' },
  {
    ...{ ...rest, name: 'by', aggregate: 'sum', windowMs: null, unitMs: null, limit: null, type: 'double' },
    options: { by: 'properties.k', key: 'k' },
  },
];
const SET = FeatureSet.compile(
  definitions,
  new Map(streamsOf(definitions).map(({ key }, i) => [key, i + 1])),
  new Map(),
);

function valuesOf(numbers: readonly number[]): FeatureValue[] {
  const halves = [SET.empty(), SET.empty()];
  for (const [i, v] of numbers.entries()) {
    const event: FeatureEvent = {
      ...{ type: 'track', name: 'a', sourceId: 1, messageId: String(i), properties: { v, k: 'k' } },
      ...{ occurredAt: T + (i % 20) * HOUR, acceptedAt: T, traits: {}, context: {} },
    };
    const half = i % 2;
    const state = halves[half] ?? SET.empty();
    SET.apply(state, event);
    halves[half] = SET.decode(SET.encode(state));
  }
  const state = SET.merge(halves);
  return definitions.map((_, i) => SET.value(state, i, T + 20 * HOUR));
}

describe('sums', () => {
  it('of powers of two are exact up to the greatest value that is added up', () => {
    const powers = Array.from({ length: 40 }, (_, bits) => 2 ** bits);
    const values = valuesOf(powers).map(({ value }) => value);
    expect(values).toEqual([2 ** 40 - 1, 2 ** 40 - 1, (2 ** 40 - 1) / 40, 2 ** 40 - 1]);
  });

  it('of large and tiny values are the nearest number to the exact sum, and say so where one is left out', () => {
    const large = fc.oneof(
      fc.integer({ min: -1e12, max: 1e12 }),
      fc.tuple(fc.integer({ min: -(2 ** 39), max: 2 ** 39 }), fc.nat(7)).map(([whole, eighths]) => whole + eighths / 8),
    );
    const tiny = fc.integer({ min: -999_999, max: 999_999 }).map((micros) => micros / 1e6);
    const beyond = fc.constantFrom(1e12 + 1, -(2 ** 40), 1e300);
    const cases = fc.array(fc.oneof({ weight: 4, arbitrary: large }, { weight: 4, arbitrary: tiny }, beyond), {
      maxLength: 30,
    });
    fc.assert(
      fc.property(cases, (numbers) => {
        const added = numbers.filter((number) => Math.abs(number) <= 1e12);
        // Of these each has at most six decimals.
        const micros = added.reduce((sum, number) => sum + BigInt(number.toFixed(6).replace('.', '')), 0n);
        const [sum, windowed, avg, by] = valuesOf(numbers);
        for (const each of [sum, windowed, by]) expect(each?.value).toBe(nearest(micros, 1e6));
        expect(avg?.value).toBe(added.length === 0 ? null : nearest(micros, 1e6 * added.length));
        for (const each of [sum, windowed, avg, by]) expect(each?.approximate).toBe(added.length < numbers.length);
      }),
      { numRuns: 300 },
    );
  });
});
