import { describe, expect, it } from 'vitest';
import { isDuplicate, isSmall, ruleFingerprint } from './guard-segments.js';
import { NO_TERMS } from './segment-rule.model.js';

const rule = (expression: string, more = {}) => ({
  ...{ expression, exitExpression: null, purposes: [], ...NO_TERMS },
  ...more,
});

describe('two rules', () => {
  it('are one where space alone tells them apart', () => {
    const written = 'count("page view", "1d") >= 3 && traits.plan == "pro  plus"';
    const same = ' count( "page view","1d" )>=3\n  &&traits.plan=="pro  plus" ';
    expect(ruleFingerprint(rule(same))).toBe(ruleFingerprint(rule(written)));
  });

  it.each([
    ['traits.plan == "a b"', 'traits.plan == "a  b"'],
    ['traits.plan == "a\\" b"', 'traits.plan == "a\\"b"'],
    ['f.a in f.b', 'f.ainf.b'],
    ['f.a > 1', 'f.a > 11'],
  ])('%s and %s are two', (a, b) => {
    expect(ruleFingerprint(rule(a))).not.toBe(ruleFingerprint(rule(b)));
  });

  it('are two where anything else that decides differs', () => {
    const plain = ruleFingerprint(rule('true'));
    for (const more of [{ exitExpression: 'true' }, { minDwellMs: 1_000 }, { activeFrom: 5 }, { purposes: ['ads'] }]) {
      expect(ruleFingerprint(rule('true', more))).not.toBe(plain);
    }
  });
});

describe('a segment is small', () => {
  it('below the smallest size, where there are people enough for that to mean something', () => {
    expect(isSmall(49, 1, 1_000, 50)).toBe(true);
    expect(isSmall(50, 1, 1_000, 50)).toBe(false);
    expect(isSmall(10, 1, 999, 50)).toBe(false);
    expect(isSmall(0, 1, 1_000_000, 0)).toBe(false);
  });

  it('in a sample only where chance does not explain it', () => {
    expect(isSmall(2, 0.1, 1_000_000, 50)).toBe(false);
    expect(isSmall(0, 0.1, 1_000_000, 50)).toBe(true);
    expect(isSmall(0, 0.01, 1_000_000, 50)).toBe(false);
  });
});

it('segments of a few people are no duplicates, however alike', () => {
  expect(isDuplicate({ size: 3, otherSize: 3, common: 3, jaccard: 1 })).toBe(false);
  expect(isDuplicate({ size: 90, otherSize: 100, common: 90, jaccard: 0.9 })).toBe(true);
  expect(isDuplicate({ size: 89, otherSize: 100, common: 89, jaccard: 0.89 })).toBe(false);
});
