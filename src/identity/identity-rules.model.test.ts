import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anIdentifier, nameOf } from '../../test/support/identity-builders.js';
import { WeftError } from '../platform/errors.js';
import {
  checkIdentityRules,
  compareByPriority,
  DEFAULT_IDENTITY_RULES as RULES,
  isBlockedValue,
  isUnique,
  ruleOf,
  withinLimits,
  type NamespaceRule,
} from './identity-rules.model.js';

describe('namespaces', () => {
  it('knows which values are unique: one, ever', () => {
    const unique = [...RULES.namespaces].filter(([, rule]) => isUnique(rule)).map(([ns]) => ns);
    expect(unique).toEqual(['user_id', 'crm_id']);
  });

  it('gives unlisted namespaces of a proper name the fallback, and others nothing', () => {
    expect(ruleOf(RULES, 'loyalty_card')).toBe(RULES.fallback);
    expect(ruleOf(RULES, 'constructor')).toBe(RULES.fallback);
    for (const ns of ['', 'Email', '1st', '__proto__', 'a b', 'x'.repeat(33)])
      expect(ruleOf(RULES, ns)).toBeUndefined();
  });

  it('orders identifiers by falling priority, then namespace, then value', () => {
    const expected = [
      ...['user_id:2', 'email:a', 'email:b', 'instagram:z', 'twitter:a', 'badge:1', 'loyalty_card:0'],
      ...['device_id:1', 'anonymous_id:0', 'Not A Namespace:1'],
    ];
    fc.assert(
      fc.property(fc.shuffledSubarray(expected, { minLength: expected.length }), (names) => {
        const sorted = names.map(anIdentifier).sort((a, b) => compareByPriority(RULES, a, b));
        expect(sorted.map(nameOf)).toEqual(expected);
      }),
    );
  });
});

describe('blocked values', () => {
  it.each([
    ...['', '  ', 'null', 'NULL', ' None ', 'nil', 'undefined', 'NaN', 'n/a', 'Unknown', '0', '-1', 'anonymous'],
    ...['Guest', 'TEST', '[object Object]', 'true', 'False', '0000', '---', '00000000-0000-0000-0000-000000000000'],
    ...['00:00:00:00:00:00', '0.0', 'test@test.com', 'Null@null.org', 'noreply@shop.example', 'No-Reply@shop.example'],
    ...[
      '\u200b',
      ' \u200b\ufeff\u2060 ',
      '\u3164',
      '\u202enull',
      'nu\u200bll',
      '\u00adundefined',
      'ｎｕｌｌ',
      '０００',
      '－１',
    ],
    ...['n\u2060ull@null.org', '\u2066noreply\u2069@shop.example'],
  ])('%j stands for nobody', (value) => {
    expect(isBlockedValue(value, RULES)).toBe(true);
  });

  it.each([
    ...['1', '10', '-10', 'nullable', 'tester', 'guest42', 'ana@example.com', 'test@gmail.com', 'noreplyson@x.org'],
    ...['00000000-0000-0000-0000-000000000001', 'anonymous@x.org', 'test@testing.org', 'x@noreply.com'],
    ...['نور', 'ａｎａ', 'ana\u200d', '\u202eana', '०१', 'é', '👩\u200d🚀'],
  ])('%j may be somebody', (value) => {
    expect(isBlockedValue(value, RULES)).toBe(false);
  });
});

describe('the quick test for limits', () => {
  it('holds up to and including each limit', () => {
    expect(withinLimits(new Map(), RULES)).toBe(true);
    expect(
      withinLimits(
        new Map([
          ['user_id', 1],
          ['email', 5],
          ['anonymous_id', 5],
        ]),
        RULES,
      ),
    ).toBe(true);
    expect(withinLimits(new Map([['user_id', 2]]), RULES)).toBe(false);
    expect(
      withinLimits(
        new Map([
          ['user_id', 1],
          ['anonymous_id', 6],
        ]),
        RULES,
      ),
    ).toBe(false);
    expect(withinLimits(new Map([['badge', 6]]), RULES)).toBe(false);
  });

  it('leaves to the replay what counts cannot tell: cannot-links, and namespaces that may not merge', () => {
    expect(withinLimits(new Map([['email', 1]]), RULES, true)).toBe(false);
    const email: NamespaceRule = { priority: 1, limit: 5, windowMs: null, normaliser: 'id', mayMerge: false };
    expect(withinLimits(new Map([['email', 1]]), { ...RULES, namespaces: new Map([['email', email]]) })).toBe(false);
  });
});

describe('checking rules', () => {
  const rule: NamespaceRule = { priority: 1, limit: 1, windowMs: null, normaliser: 'id', mayMerge: true };

  it.each([
    ['identity.card.limit', { card: { ...rule, limit: 0 } }],
    ['identity.card.limit', { card: { ...rule, limit: 1.5 } }],
    ['identity.card.windowMs', { card: { ...rule, windowMs: 0 } }],
    ['identity.card.priority', { card: { ...rule, priority: NaN } }],
    ['identity.Card', { Card: rule }],
  ])('says where the fault is: %s', (where, namespaces: Record<string, NamespaceRule>) => {
    const check = (): unknown => checkIdentityRules({ ...RULES, namespaces: new Map(Object.entries(namespaces)) });
    expect(check).toThrow(WeftError);
    expect(check).toThrow(expect.objectContaining({ code: 'DEFINITION_INVALID', where }));
  });

  it('wants a version that fits the log', () => {
    for (const version of [0, 1.5, 32_768]) expect(() => checkIdentityRules({ ...RULES, version })).toThrow(WeftError);
  });
});
