import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anIdentifier, nameOf } from '../../test/support/identity-builders.js';
import type { RawIdentifier } from '../events/event.model.js';
import { CachedIdentifierPolicy, MAX_IDENTIFIERS_PER_EVENT } from './identifier-policy.js';
import { DEFAULT_IDENTITY_RULES as RULES } from './identity-rules.model.js';

const policy = new CachedIdentifierPolicy(RULES);

function raw(...names: string[]): RawIdentifier[] {
  return names.map(anIdentifier).map(({ ns, value }) => ({ ns, value }));
}

function resolved(...names: string[]): string[] {
  return policy.resolve(raw(...names)).identifiers.map(nameOf);
}

describe('the identifier policy', () => {
  it('puts the anchor first and the rest by falling priority', () => {
    expect(resolved('anonymous_id:c', 'twitter:@Ana', 'email:Ana@X.org', 'user_id:7', 'card:9')).toEqual([
      'user_id:7',
      'email:ana@x.org',
      'twitter:ana',
      'card:9',
      'anonymous_id:c',
    ]);
  });

  it('gives equal values equal ids, however they were written', () => {
    const [a] = policy.resolve(raw('email:ANA@x.org ')).identifiers;
    const [b] = policy.resolve(raw('email:ana@X.ORG', 'user_id:null')).identifiers;
    expect(a).toEqual(anIdentifier('email:ana@x.org'));
    expect(b).toEqual(a);
  });

  it('takes an identifier once', () => {
    expect(resolved('email:a@x.org', 'user_id:1', 'email:A@x.org', 'user_id:1')).toEqual([
      'user_id:1',
      'email:a@x.org',
    ]);
  });

  it('leaves out and reports what stands for nobody', () => {
    const { identifiers, dropped } = policy.resolve(
      raw(
        'user_id:undefined',
        'email:N/A',
        'email:ana',
        'Email:a@x.org',
        'twitter:@null',
        `crm_id:${'x'.repeat(300)}`,
        'anonymous_id:c',
      ),
    );
    expect(identifiers.map(nameOf)).toEqual(['anonymous_id:c']);
    expect(dropped).toEqual([
      { ns: 'user_id', reason: 'blocked' },
      { ns: 'email', reason: 'blocked' },
      { ns: 'email', reason: 'malformed' },
      { ns: 'Email', reason: 'unknown_namespace' },
      { ns: 'twitter', reason: 'blocked' },
      { ns: 'crm_id', reason: 'too_long' },
    ]);
  });

  it('says so when nobody is left, and when nobody was there', () => {
    expect(policy.resolve(raw('user_id:0'))).toEqual({
      identifiers: [],
      dropped: [{ ns: 'user_id', reason: 'blocked' }],
      formerIds: [anIdentifier('user_id:0').id],
    });
    expect(policy.resolve([])).toEqual({ identifiers: [], dropped: [] });
  });

  it('refuses very long values and names of namespaces', () => {
    expect(policy.resolve(raw(`email:${' '.repeat(2_000)}a@x.org`)).dropped).toEqual([
      { ns: 'email', reason: 'too_long' },
    ]);
    const ns = 'n'.repeat(5_000);
    expect(policy.resolve([{ ns, value: '1' }]).dropped).toEqual([{ ns, reason: 'unknown_namespace' }]);
  });

  it('keeps the highest priorities of too many', () => {
    const many = Array.from({ length: 100 }, (_, i) => `anonymous_id:c${String(i).padStart(3, '0')}`);
    const { identifiers, dropped } = policy.resolve(raw(...many, 'user_id:1'));
    expect(identifiers.map(nameOf)).toEqual(['user_id:1', ...many.slice(0, MAX_IDENTIFIERS_PER_EVENT - 1)]);
    expect(dropped).toEqual(
      Array(100 + 1 - MAX_IDENTIFIERS_PER_EVENT).fill({ ns: 'anonymous_id', reason: 'too_many' }),
    );
  });

  it('tells the ids of what it leaves out, so that nobody who was erased comes back beside it', () => {
    const email = { ...RULES.fallback, normaliser: 'email', onlyFromAuthenticated: true } as const;
    const namespaces = new Map([...RULES.namespaces, ['email', email]]);
    const strict = new CachedIdentifierPolicy({ ...RULES, namespaces });
    const formerIdsOf = (...names: string[]) => strict.resolve(raw(...names), {}).formerIds;
    expect(formerIdsOf('anonymous_id:c', 'email:ANA@x.org')).toEqual([anIdentifier('email:ana@x.org').id]);
    expect(formerIdsOf('email:ana@x.org')).toEqual([anIdentifier('email:ana@x.org').id]);
    expect(formerIdsOf('anonymous_id:c', 'user_id:NULL')).toEqual([anIdentifier('user_id:NULL').id]);
    const many = Array.from({ length: MAX_IDENTIFIERS_PER_EVENT }, (_, i) => `user_id:u${String(i)}`);
    expect(formerIdsOf(...many, 'anonymous_id:c')).toEqual([anIdentifier('anonymous_id:c').id]);
    expect(formerIdsOf('anonymous_id:c', 'user_id:1')).toBeUndefined();
  });

  it('carries the version of its rules', () => {
    expect(new CachedIdentifierPolicy({ ...RULES, version: 7 }).rulesVersion).toBe(7);
  });

  it('is a function of the set of raw identifiers: neither order nor caching can show', () => {
    const item = fc.record({
      ns: fc.constantFrom('user_id', 'email', 'twitter', 'instagram', 'card', 'badge', 'anonymous_id', 'Bad'),
      value: fc.constantFrom('1', '2', ' 2', 'B@x.org', 'b@x.org', 'a@x.org', 'null', '@a', 'A', '\0'),
    });
    const twice = fc
      .array(item, { maxLength: 8 })
      .chain((items) => fc.tuple(fc.constant(items), fc.shuffledSubarray(items, { minLength: items.length })));
    const forgetful = new CachedIdentifierPolicy(RULES, { cacheEntries: 1 });
    fc.assert(
      fc.property(twice, ([items, again]) => {
        const first = policy.resolve(items);
        expect(forgetful.resolve(items)).toEqual(first);
        expect(policy.resolve(again).identifiers).toEqual(first.identifiers);
        expect(new Set(first.identifiers.map(({ id }) => id)).size).toBe(first.identifiers.length);
      }),
      { numRuns: 2_000 },
    );
  });
});
