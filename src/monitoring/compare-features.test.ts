import { describe, expect, it } from 'vitest';
import type { FeatureDefinition, FeatureValue } from '../features/feature.model.js';
import { compareFeature } from './compare-features.js';

function aValue(value: FeatureValue['value'], more: Partial<FeatureValue> = {}): FeatureValue {
  const status = value === null ? 'NOT_FOUND' : 'PRESENT';
  return { status, value, eventTs: 1_000, validUntil: Infinity, approximate: false, ...more };
}

type Definition = Pick<FeatureDefinition, 'type' | 'aggregate'>;
const DOUBLE: Definition = { type: 'double', aggregate: 'sum' };
const INT: Definition = { type: 'int', aggregate: 'count' };

const outcomeOf = (a: FeatureValue['value'], b: FeatureValue['value'], as = DOUBLE): string =>
  compareFeature(aValue(a), aValue(b), as).outcome;

describe('two values of a feature', () => {
  it.each([
    [3, 3],
    [0.1 + 0.2, 0.3],
    [1e300, 1e300 * (1 + 1e-10)],
    ['a', 'a'],
    [null, null],
    [
      [1, 'b', true],
      [1, 'b', true],
    ],
    [
      { a: 1, b: 0.1 + 0.2 },
      { b: 0.3, a: 1 },
    ],
    [{}, {}],
  ] as const)('are the same: %j and %j', (a, b) => {
    expect(outcomeOf(a, b)).toBe('equal');
  });

  it.each([
    [3, 4],
    [0.3, 0.300001],
    ['a', 'b'],
    [true, false],
    [1, '1'],
    [
      [1, 2],
      [2, 1],
    ],
    [[1], [1, 1]],
    [{ a: 1 }, { b: 1 }],
    [{ a: 1 }, { a: 1, b: 1 }],
    [[], {}],
  ] as const)('are not the same: %j and %j', (a, b) => {
    expect([outcomeOf(a, b), outcomeOf(b, a)]).toEqual(['mismatched', 'mismatched']);
  });

  it('are the same to a part in a thousand million only where they are doubles', () => {
    const [a, b] = [10 ** 12, 10 ** 12 + 1];
    expect([outcomeOf(a, b), outcomeOf(a, b, INT)]).toEqual(['equal', 'mismatched']);
  });

  it('are not the same where only one is there', () => {
    expect([outcomeOf(0, null), outcomeOf(null, 0)]).toEqual(['missing', 'missing']);
  });

  it('are not the same where they rest on other events', () => {
    expect(compareFeature(aValue(1), aValue(1, { eventTs: 1_001 }), DOUBLE).outcome).toBe('mismatched');
  });

  it('may differ where both say that a bound made them estimates, but not where they always say so', () => {
    const [a, b] = [aValue(300, { approximate: true }), aValue(310, { approximate: true })];
    expect(compareFeature(a, b, INT)).toEqual({ outcome: 'estimated', delta: 10 });
    expect(compareFeature(a, b, { type: 'double', aggregate: 'percentile' })).toEqual({
      outcome: 'mismatched',
      delta: 10,
    });
    expect(compareFeature(a, aValue(310), INT).outcome).toBe('mismatched');
  });
});
