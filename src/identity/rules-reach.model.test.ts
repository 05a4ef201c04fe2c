import { describe, expect, it } from 'vitest';
import { parseIdentityRules } from './parse-identity-rules.js';
import { isReached, REACH_OF_ALL, reachOfRules, warningOfBlocked } from './rules-reach.model.js';

const rulesOf = (text: string) => parseIdentityRules(`identity: ${text}`, 'identity.yaml').rules;
const BUILT_IN = rulesOf('{}');

const isReachedBy = (text: string, counts: Readonly<Record<string, number>>): boolean =>
  isReached(new Map(Object.entries(counts)), reachOfRules(BUILT_IN, rulesOf(text)));

describe('whom a change of the rules reaches', () => {
  it.each([
    ['more values than the lesser limit', '{ namespaces: { email: { limit: 3 } } }', { email: 4 }, true],
    ['as many as the lesser limit', '{ namespaces: { email: { limit: 3 } } }', { email: 3, user_id: 1 }, false],
    ['of another namespace', '{ namespaces: { email: { limit: 3 } } }', { phone: 5 }, false],
    ['a wider limit', '{ namespaces: { email: { limit: 9 } } }', { email: 6 }, true],
    ['a window', '{ namespaces: { email: { window: 7d } } }', { email: 5 }, false],
    ['a priority', '{ namespaces: { email: { priority: 99 } } }', { email: 1, phone: 1 }, true],
    ['who stands alone', '{ namespaces: { email: { priority: 99 } } }', { email: 1 }, false],
    ['who may not merge', '{ namespaces: { email: { may_merge: false } } }', { email: 1, phone: 1 }, true],
    ['what is of several people', '{ namespaces: { email: { shared: isolate } } }', { email: 1, phone: 1 }, true],
    ['a namespace that is not listed', '{ fallback: { limit: 1 } }', { loyalty_card: 2 }, true],
    ['one that is listed, by the others', '{ fallback: { limit: 1 } }', { phone: 5 }, false],
    ['one that is listed from now on', '{ namespaces: { card: { limit: 1 } } }', { card: 2 }, true],
    ['many identifiers', '{ max_identifiers: 10 }', { email: 5, phone: 5, card: 1 }, true],
    ['fewer than the greatest number', '{ max_identifiers: 10 }', { email: 5, phone: 5 }, false],
    ['so many that a value may be of many', '{ namespaces: { card: { limit: 1 } } }', { card: 1, user_id: 50 }, true],
    ['fewer than that', '{ namespaces: { card: { limit: 1 } } }', { card: 1, user_id: 49 }, false],
    ['normal forms', '{ namespaces: { email: { normaliser: id } }, default_region: GB }', { email: 9 }, false],
    ['what is blocked', '{ blocked: { values: [demo] } }', { email: 9 }, false],
  ])('%s', (_, text, counts, expected) => {
    expect(isReachedBy(text, counts)).toBe(expected);
  });

  it('is everybody who is more than one identifier, where no change is asked about', () => {
    expect(isReached(new Map([['email', 2]]), REACH_OF_ALL)).toBe(true);
    expect(isReached(new Map([['email', 1]]), REACH_OF_ALL)).toBe(false);
  });

  it.each([
    ['a value', '{ blocked: { values: [demo] } }'],
    ['a mailbox', '{ blocked: { mailboxes: [desk] } }'],
    ['a pattern', '{ blocked: { patterns: [{ namespace: email, pattern: "test-.*" }] } }'],
  ])(
    'is whoever stands with %s that is blocked from now on, or no longer, once they are resolved anew, which is said',
    (_, text) => {
      const [before, after] = [BUILT_IN, rulesOf(text)];
      const warn = (from: typeof before, to: typeof before) => warningOfBlocked({ ...from, version: 7 }, to);
      expect(warn(before, after)?.hint).toContain('weft identity reresolve --since 7');
      expect(warn(after, before)?.hint).toContain('weft identity reresolve --since 7');
      expect(warn(after, after)).toBeNull();
      for (const [from, to] of [
        [before, after],
        [after, before],
      ] as const) {
        expect(reachOfRules(from, to)).toMatchObject({ blocks: true, causes: [expect.stringContaining('blocked (')] });
      }
      expect(reachOfRules(after, after).blocks).toBe(false);
    },
  );

  it('is told by what files call it, and nobody where only what comes is concerned', () => {
    const text = '{ namespaces: { email: { limit: 3, window: 7d }, phone: { may_merge: false } }, max_identifiers: 9 }';
    expect(reachOfRules(BUILT_IN, rulesOf(text)).causes).toEqual([
      'email (limit, window)',
      'phone (may_merge)',
      'max_identifiers',
    ]);
    expect(reachOfRules(BUILT_IN, rulesOf('{ email: { gmail: true } }')).causes).toEqual([]);
  });
});
