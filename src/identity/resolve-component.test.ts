import { describe, expect, it } from 'vitest';
import { anIdentifier, nameOf, readable, seen } from '../../test/support/identity-builders.js';
import type { Evidence } from './evidence.model.js';
import { DEFAULT_IDENTITY_RULES, type IdentityRules } from './identity-rules.model.js';
import { NO_LINKS, type IdentifierPair, type IdentityLinks } from './identity-links.model.js';
import { resolveComponent } from './resolve-component.js';

const WEEK_HOURS = 7 * 24;

function people(evidence: Evidence[], links: Partial<IdentityLinks> = {}, rules = DEFAULT_IDENTITY_RULES): string[][] {
  const names = evidence.flatMap((row) => row.identifiers.map(nameOf));
  return readable(resolveComponent(evidence, rules, { ...NO_LINKS, ...links }).groups, names);
}

function pair(a: string, b: string): IdentifierPair {
  return [anIdentifier(a).id, anIdentifier(b).id];
}

describe('resolving a component within limits', () => {
  it('joins what a visitor did before logging in to the user', () => {
    expect(
      people([
        seen(0, 'anonymous_id:c1'),
        seen(1, 'anonymous_id:c1', 'user_id:ana'),
        seen(2, 'user_id:ana', 'email:a@x.org'),
      ]),
    ).toEqual([['anonymous_id:c1', 'email:a@x.org', 'user_id:ana']]);
  });

  it('keeps a mistyped address beside the right one, because both were given by the same user', () => {
    expect(
      people([seen(0, 'user_id:ana', 'email:ana@gmial.com'), seen(1, 'user_id:ana', 'email:ana@gmail.com')]),
    ).toEqual([['email:ana@gmail.com', 'email:ana@gmial.com', 'user_id:ana']]);
  });

  it('has nobody in it when there is no evidence', () => {
    expect(resolveComponent([], DEFAULT_IDENTITY_RULES)).toEqual({ groups: [], demotedRows: 0 });
  });
});

describe('limits', () => {
  it('keeps two users of one cookie apart, the cookie with the first of them', () => {
    const evidence = [
      seen(0, 'user_id:ana', 'anonymous_id:shared', 'email:ana@x.org'),
      seen(5, 'user_id:ben', 'anonymous_id:shared', 'email:ben@x.org'),
    ];
    expect(people(evidence)).toEqual([
      ['anonymous_id:shared', 'email:ana@x.org', 'user_id:ana'],
      ['email:ben@x.org', 'user_id:ben'],
    ]);
    expect(resolveComponent(evidence, DEFAULT_IDENTITY_RULES).demotedRows).toBe(1);
  });

  it('goes by when things happened, not by when they were learned', () => {
    const learnedFirst = seen(5, 'user_id:ben', 'anonymous_id:shared');
    const learnedLate = seen(0, 'user_id:ana', 'anonymous_id:shared');
    expect(people([learnedFirst, learnedLate])).toEqual([['anonymous_id:shared', 'user_id:ana'], ['user_id:ben']]);
  });

  it('keeps the members of a family with one phone apart', () => {
    expect(
      people([
        seen(0, 'crm_id:1', 'email:mum@x.org', 'phone:+447700900123'),
        seen(1, 'crm_id:2', 'email:dad@x.org', 'phone:+447700900123'),
        seen(2, 'crm_id:3', 'email:kid@x.org', 'phone:+447700900123'),
      ]),
    ).toEqual([
      ['crm_id:1', 'email:mum@x.org', 'phone:+447700900123'],
      ['crm_id:2', 'email:dad@x.org'],
      ['crm_id:3', 'email:kid@x.org'],
    ]);
  });

  it('leaves a mistyped address that is another user’s with the one who had it first', () => {
    expect(
      people([
        seen(0, 'user_id:ana', 'email:ana@x.org'),
        seen(1, 'user_id:anna', 'email:ana@x.org'),
        seen(2, 'user_id:anna', 'email:anna@x.org'),
      ]),
    ).toEqual([
      ['email:ana@x.org', 'user_id:ana'],
      ['email:anna@x.org', 'user_id:anna'],
    ]);
  });

  it('drops the lowest priority first, and among equals the greatest value', () => {
    const evidence = [
      seen(0, 'user_id:ana', 'email:ana@x.org'),
      seen(1, 'user_id:ben', 'email:ana@x.org', 'twitter:ben', 'twitter:ben2', 'anonymous_id:c'),
    ];
    expect(people(evidence)).toEqual([
      ['anonymous_id:c'],
      ['email:ana@x.org', 'user_id:ana'],
      ['twitter:ben'],
      ['twitter:ben2'],
      ['user_id:ben'],
    ]);
    const crowded = ['a', 'b', 'c', 'd', 'e', 'f'].map((value) => `email:${value}@x.org`);
    expect(people([seen(0, 'user_id:ana', ...crowded)])).toEqual([
      [...crowded.slice(0, 5), 'user_id:ana'],
      ['email:f@x.org'],
    ]);
  });

  it('lets a dropped identifier join later, with evidence that can take it', () => {
    expect(
      people([
        seen(0, 'user_id:ana', 'email:ana@x.org'),
        seen(1, 'user_id:ben', 'email:ana@x.org', 'anonymous_id:c'),
        seen(2, 'user_id:ben', 'anonymous_id:c'),
      ]),
    ).toEqual([
      ['anonymous_id:c', 'user_id:ben'],
      ['email:ana@x.org', 'user_id:ana'],
    ]);
  });

  it('keeps the anchor of a row where it is, even if that is alone', () => {
    expect(people([seen(0, 'crm_id:1', 'email:a@x.org'), seen(1, 'crm_id:2', 'email:a@x.org')])).toEqual([
      ['crm_id:1', 'email:a@x.org'],
      ['crm_id:2'],
    ]);
  });

  it('starts from the anchor that a row was given by the rules of its time', () => {
    const evidence = [seen(0, 'user_id:ana', 'email:ana@x.org'), seen(1, 'user_id:ben', 'crm_id:1', 'email:ana@x.org')];
    expect(people(evidence)).toEqual([
      ['crm_id:1', 'user_id:ben'],
      ['email:ana@x.org', 'user_id:ana'],
    ]);
    const anchorId = anIdentifier('email:ana@x.org').id;
    expect(people(evidence.map((row) => ({ ...row, anchorId })))).toEqual([
      ['crm_id:1'],
      ['email:ana@x.org', 'user_id:ana'],
      ['user_id:ben'],
    ]);
  });
});

describe('limits within a window', () => {
  function cookiesEvery(hours: number): string[][] {
    return people([0, 1, 2, 3, 4, 5].map((i) => seen(i * hours, 'user_id:ana', `anonymous_id:c${String(i)}`)));
  }

  it('takes a user with a new cookie every other day', () => {
    expect(cookiesEvery(48)).toHaveLength(1);
  });

  it('leaves out the sixth cookie of a week', () => {
    expect(cookiesEvery(24)).toEqual([
      ['anonymous_id:c0', 'anonymous_id:c1', 'anonymous_id:c2', 'anonymous_id:c3', 'anonymous_id:c4', 'user_id:ana'],
      ['anonymous_id:c5'],
    ]);
  });

  it('does not count two cookies together that are exactly the window apart', () => {
    const fifthOfAWeek = WEEK_HOURS / 5;
    expect(cookiesEvery(fifthOfAWeek)).toHaveLength(1);
    expect(cookiesEvery(fifthOfAWeek - 0.001)).toHaveLength(2);
  });

  it('looks at when a cookie was first seen anywhere, not at when it met the user', () => {
    const longAgo = seen(-9 * 24, 'anonymous_id:c5');
    const thisWeek = [0, 1, 2, 3, 4, 5].map((i) => seen(i, 'user_id:ana', `anonymous_id:c${String(i)}`));
    expect(people([longAgo, ...thisWeek])).toHaveLength(1);
  });
});

describe('decisions by people', () => {
  const twoAccounts = [seen(0, 'user_id:ana', 'email:a@x.org'), seen(1, 'user_id:ana2', 'email:b@x.org')];

  it('joins by a must-link what no limit would let in, and goes on from there', () => {
    const later = [seen(2, 'user_id:ana', 'phone:+447700900123'), seen(3, 'user_id:ana2', 'anonymous_id:c')];
    expect(people([...twoAccounts, ...later], { mustLinks: [pair('user_id:ana', 'user_id:ana2')] })).toHaveLength(1);
  });

  it('still keeps a third account out of two that are one by decision', () => {
    const third = seen(2, 'user_id:eve', 'email:a@x.org');
    expect(people([...twoAccounts, third], { mustLinks: [pair('user_id:ana', 'user_id:ana2')] })).toEqual([
      ['email:a@x.org', 'email:b@x.org', 'user_id:ana', 'user_id:ana2'],
      ['user_id:eve'],
    ]);
  });

  it('keeps a cannot-link apart through every chain of evidence', () => {
    const chain = [
      seen(0, 'email:a@x.org', 'phone:+1'),
      seen(1, 'phone:+1', 'twitter:t'),
      seen(2, 'twitter:t', 'anonymous_id:c'),
    ];
    expect(people(chain)).toHaveLength(1);
    expect(people(chain, { cannotLinks: [pair('anonymous_id:c', 'email:a@x.org')] })).toEqual([
      ['anonymous_id:c'],
      ['email:a@x.org', 'phone:+1', 'twitter:t'],
    ]);
  });

  it('lets a cannot-link win over must-links that contradict it', () => {
    const [ana, ben, eve] = ['user_id:ana', 'user_id:ben', 'user_id:eve'] as const;
    const groups = people([seen(0, ana), seen(1, ben), seen(2, eve)], {
      mustLinks: [pair(ana, ben), pair(ben, eve)],
      cannotLinks: [pair(eve, ana)],
    });
    expect(groups).toEqual([[ana, ben], [eve]]);
  });

  it('ignores pairs whose ends it has not seen, and pairs of one with itself', () => {
    const links = [pair('user_id:nobody', 'user_id:ana'), pair('user_id:ana', 'user_id:ana')];
    expect(people(twoAccounts, { mustLinks: links, cannotLinks: links })).toHaveLength(2);
  });
});

describe('namespaces that may not merge', () => {
  const fallback = { ...DEFAULT_IDENTITY_RULES.fallback, mayMerge: false };
  const rules: IdentityRules = {
    ...DEFAULT_IDENTITY_RULES,
    namespaces: new Map(DEFAULT_IDENTITY_RULES.namespaces),
    fallback,
  };

  it('attaches a newcomer to a profile but never brings two established ones together', () => {
    const [mum, dad] = [seen(0, 'email:mum@x.org', 'twitter:mum'), seen(1, 'email:dad@x.org', 'twitter:dad')];
    const onTv = [seen(2, 'email:mum@x.org', 'smart_tv:1'), seen(3, 'email:dad@x.org', 'smart_tv:1')];
    const newcomer = seen(4, 'smart_tv:1', 'anonymous_id:c');
    expect(people([mum, dad, ...onTv, newcomer])).toHaveLength(1);
    expect(people([mum, dad, ...onTv, newcomer], {}, rules)).toEqual([
      ['anonymous_id:c', 'email:mum@x.org', 'smart_tv:1', 'twitter:mum'],
      ['email:dad@x.org', 'twitter:dad'],
    ]);
  });

  it('does not stand in the way of identifiers beside it that may', () => {
    const together = [
      seen(0, 'email:mum@x.org', 'smart_tv:1', 'anonymous_id:c'),
      seen(1, 'user_id:mum', 'twitter:mum'),
      seen(2, 'user_id:mum', 'smart_tv:1', 'anonymous_id:c'),
    ];
    expect(people(together, {}, rules)).toHaveLength(1);
  });

  it('may say on another day what it could not say before: the profile is named by one of its own by then', () => {
    const apart = [seen(0, 'smart_tv:1', 'phone:+1'), seen(1, 'device_id:d', 'anonymous_id:c')];
    const set = ['user_id:mum', 'smart_tv:1', 'anonymous_id:c'];
    expect(people([...apart, seen(2, ...set)], {}, rules)).toHaveLength(2);
    expect(people([...apart, seen(2, ...set), seen(50, ...set)], {}, rules)).toHaveLength(1);
  });
});

describe('namespaces', () => {
  it('refuses one that the rules do not allow', () => {
    expect(() => resolveComponent([seen(0, 'Bad Namespace:1')], DEFAULT_IDENTITY_RULES)).toThrow(RangeError);
  });
});
