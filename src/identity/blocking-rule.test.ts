import { describe, expect, it } from 'vitest';
import { CachedIdentifierPolicy } from './identifier-policy.js';
import { standsForNobody } from './nobody.model.js';
import { parseIdentityRules } from './parse-identity-rules.js';

const FILE = String.raw`identity:
  blocked:
    values: [demo user]
    mailboxes: [info]
    patterns: ['test-.*', { namespace: email, pattern: '.*@shop\.test' }]
`;
const policy = new CachedIdentifierPolicy({ ...parseIdentityRules(FILE, 'identity.yaml').rules, version: 2 });

describe('the rule that blocks an identifier', () => {
  it.each([
    ['user_id', 'NULL', 'blocked value "null"'],
    ['user_id', ' Demo User ', 'blocked value "demo user"'],
    ['user_id', '00000000-0000-0000-0000-000000000000', 'values of nothing but zeros and separators'],
    ['email', 'Info@example.com', 'blocked mailbox "info"'],
    ['email', 'noreply@example.com', 'blocked mailbox "noreply"'],
    ['email', 'test@test.com', 'blocked value "test"'],
    ['email', 'Ann@Shop.test', String.raw`blocked pattern "email: .*@shop\.test"`],
    ['user_id', 'test-7', 'blocked pattern "test-.*"'],
    ['email', 'n/a', 'blocked value "n/a"'],
  ])('of %s %s', (ns, value, rule) => {
    expect(policy.resolve([{ ns, value }]).dropped).toMatchObject([{ reason: 'blocked' }]);
    expect(policy.blockedBy({ ns, value })).toBe(rule);
  });

  it('is none of one that counts, or that has another fault', () => {
    for (const [ns, value] of [
      ['user_id', 'ann'],
      ['user_id', 'ann@shop.test'],
      ['email', 'nobody'],
      ['É', 'null'],
    ] as const) {
      expect(policy.blockedBy({ ns, value }), value).toBeNull();
    }
  });

  it('is told to whoever names somebody by it, with where rules are shown', () => {
    expect(standsForNobody({ ns: 'email', value: 'noreply@example.com' }, policy, 'identifier')).toMatchObject({
      code: 'BAD_REQUEST',
      message: 'the identifier stands for nobody: blocked, by the rule: blocked mailbox "noreply"',
      where: 'identifier',
      hint: expect.stringContaining('weft identity rules show') as string,
    });
    expect(standsForNobody({ ns: 'email', value: 'ann' }, policy, 'identifier')).toMatchObject({
      message: 'the identifier stands for nobody: malformed',
    });
  });
});
