import { describe, expect, it } from 'vitest';
import { anIdentifier, readable, seen, whereShared } from '../../test/support/identity-builders.js';
import type { Evidence } from './evidence.model.js';
import { NO_LINKS, type IdentityLinks } from './identity-links.model.js';
import { DEFAULT_IDENTITY_RULES, type SharedPolicy } from './identity-rules.model.js';
import { resolveComponent } from './resolve-component.js';
import { MAX_USERS } from './shared-identifiers.js';

const DAY_HOURS = 24;

function people(policy: SharedPolicy, evidence: Evidence[], links: IdentityLinks = NO_LINKS): string[][] {
  const rules = whereShared(DEFAULT_IDENTITY_RULES, { anonymous_id: policy });
  const names = evidence.flatMap(({ identifiers }) => identifiers.map(({ ns, value }) => `${ns}:${value}`));
  return readable(resolveComponent(evidence, rules, links).groups, names);
}

const ann = (atHours: number) => seen(atHours, 'user_id:ann', 'anonymous_id:c');
const bob = (atHours: number) => seen(atHours, 'user_id:bob', 'anonymous_id:c');
const apart = [['anonymous_id:c'], ['user_id:ann'], ['user_id:bob']];
const withAnn = [['anonymous_id:c', 'user_id:ann'], ['user_id:bob']];
const withBob = [['anonymous_id:c', 'user_id:bob'], ['user_id:ann']];

describe('a browser in which two people sign in', () => {
  it('is of the first of them where nothing is said of it: the limits alone decide', () => {
    expect(people('link', [ann(0), bob(1)])).toEqual(withAnn);
    expect(people('link', [bob(1), ann(2)])).toEqual(withBob);
  });

  it('is of neither where shared ones are isolated, whoever was first', () => {
    expect(people('isolate', [ann(0)])).toEqual([['anonymous_id:c', 'user_id:ann']]);
    expect(people('isolate', [ann(0), bob(1)])).toEqual(apart);
    expect(people('isolate', [ann(0), bob(1), ann(50)])).toEqual(apart);
  });

  it('is of the last of them where that is the policy, until the other comes on another day', () => {
    expect(people('last_user', [ann(0), bob(1)])).toEqual(withBob);
    expect(people('last_user', [bob(1), ann(0)])).toEqual(withBob);
    expect(people('last_user', [ann(0), bob(1), ann(2 * DAY_HOURS)])).toEqual(withAnn);
  });

  it('counts one person once whom somebody said to be one', () => {
    const links = {
      ...NO_LINKS,
      mustLinks: [[anIdentifier('user_id:ann').id, anIdentifier('user_id:bob').id]],
    } as const;
    for (const policy of ['isolate', 'last_user'] as const) {
      expect(people(policy, [ann(0), bob(1)], links)).toEqual([['anonymous_id:c', 'user_id:ann', 'user_id:bob']]);
    }
  });

  it('stays with whom somebody said that it is of', () => {
    const links = {
      ...NO_LINKS,
      mustLinks: [[anIdentifier('anonymous_id:c').id, anIdentifier('user_id:ann').id]],
    } as const;
    for (const policy of ['isolate', 'last_user'] as const) {
      expect(people(policy, [ann(0), bob(1)], links)).toEqual(withAnn);
    }
  });

  it('takes nobody else along: what was seen with it alone is not joined by it', () => {
    const letter = seen(2, 'email:home@example.org', 'anonymous_id:c');
    expect(people('isolate', [ann(0), bob(1), letter])).toEqual([
      ...apart.slice(0, 1),
      ['email:home@example.org'],
      ...apart.slice(1),
    ]);
    expect(people('last_user', [ann(0), bob(1), letter])).toEqual([
      withBob[0],
      ['email:home@example.org'],
      ['user_id:ann'],
    ]);
  });

  it('still has what else events name joined', () => {
    const named = seen(1, 'user_id:bob', 'email:bob@example.org', 'anonymous_id:c');
    expect(people('isolate', [ann(0), named])).toEqual([
      ['anonymous_id:c'],
      ['email:bob@example.org', 'user_id:bob'],
      ['user_id:ann'],
    ]);
  });

  it("is nobody's once more people use it than a household has", () => {
    const users = (count: number) =>
      Array.from({ length: count }, (_, i) => seen(i, `user_id:u${String(i).padStart(2, '0')}`, 'anonymous_id:c'));
    const last = `user_id:u${String(MAX_USERS - 1).padStart(2, '0')}`;
    expect(people('last_user', users(MAX_USERS))).toContainEqual(['anonymous_id:c', last]);
    expect(people('last_user', users(MAX_USERS + 1))).toContainEqual(['anonymous_id:c']);
  });

  it('is contested by what has the highest priority, where two namespaces are unique', () => {
    const both = [
      seen(0, 'user_id:ann', 'crm_id:1', 'anonymous_id:c'),
      seen(1, 'user_id:bob', 'anonymous_id:c'),
      seen(2, 'crm_id:2', 'anonymous_id:c'),
    ];
    expect(people('last_user', both)).toContainEqual(['anonymous_id:c', 'user_id:bob']);
  });
});
