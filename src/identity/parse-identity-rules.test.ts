import { describe, expect, it } from 'vitest';
import { WeftError } from '../platform/errors.js';
import { hashId } from '../platform/ids.js';
import { CachedIdentifierPolicy } from './identifier-policy.js';
import { diffIdentityRules } from './diff-identity-rules.js';
import { identityRulesYaml } from './identity-rules-yaml.js';
import { DEFAULT_IDENTITY_RULES } from './identity-rules.model.js';
import { parseIdentityRules } from './parse-identity-rules.js';
import { rulesOfStored, storedRulesText } from './stored-identity-rules.js';

const FULL = `
identity:
  default_region: GB
  max_identifiers: 200
  namespaces:
    email: { limit: 3, window: 30d }
    loyalty_card: { priority: 85, unique: true, may_merge: false, only_from_authenticated: true }
    device_id: { normaliser: device, shared: last_user }
  fallback: { limit: 2 }
  blocked:
    values: [Demo User, 12345]
    except: [guest]
    patterns:
      - test-.*
      - { namespace: email, pattern: '.*@example\\.com' }
    mailboxes: [info]
  email:
    gmail: true
    plus_tags: [outlook.com]
`;

function problemsOf(text: string): string[] {
  try {
    parseIdentityRules(text, 'identity.yaml');
  } catch (error) {
    if (error instanceof WeftError) return error.message.split('\n');
    throw error;
  }
  return [];
}

describe('a file of identity rules', () => {
  it('that says nothing means the built-in rules', () => {
    const { rules, warnings } = parseIdentityRules('identity: {}', 'identity.yaml');
    expect(diffIdentityRules(DEFAULT_IDENTITY_RULES, rules)).toEqual([]);
    expect(warnings).toEqual([]);
  });

  it('leaves what it does not say as it is built in', () => {
    const { rules } = parseIdentityRules(FULL, 'identity.yaml');
    expect(diffIdentityRules(DEFAULT_IDENTITY_RULES, rules)).toEqual([
      '~ default_region: none -> GB',
      '~ max_identifiers: 1000 -> 200',
      '~ email: limit 5 -> 3, window ever -> 30d',
      '~ device_id: normaliser id -> device, shared link -> last_user',
      '+ loyalty_card: priority 85, unique true, normaliser id, may_merge false, only_from_authenticated true',
      '~ fallback: limit 5 -> 2',
      '+ blocked value "demo user"',
      '+ blocked value "12345"',
      '- blocked value "guest"',
      '+ blocked mailbox "info"',
      '+ blocked pattern "test-.*"',
      '+ blocked pattern "email: .*@example\\.com"',
      '~ email: gmail false -> true',
      '+ plus tags of "outlook.com"',
    ]);
  });

  it('is read back as the same rules from what is shown and from what is stored', () => {
    const { rules } = parseIdentityRules(FULL, 'identity.yaml');
    const shown = parseIdentityRules(identityRulesYaml(rules), 'shown.yaml').rules;
    expect(diffIdentityRules(rules, shown)).toEqual([]);
    const stored = rulesOfStored(2, storedRulesText(rules));
    expect(diffIdentityRules(rules, stored)).toEqual([]);
    expect(storedRulesText(stored)).toBe(storedRulesText(rules));
  });

  it.each([
    ['identity:\n  namespace: {}', '2:3', 'identity has no field "namespace"; did you mean "namespaces"?'],
    ['identity:\n  namespaces:\n    E-Mail: { limit: 2 }', '3:13', 'E-Mail is no name of a namespace'],
    ['identity:\n  namespaces:\n    email: { limt: 2 }', '3:14', 'email has no field "limt"; did you mean "limit"?'],
    [
      'identity:\n  namespaces:\n    email: { limit: 0 }',
      '3:21',
      'limit of email must be a whole number; from 1 to 1000',
    ],
    ['identity:\n  namespaces:\n    email: { window: 7 days }', '3:22', 'write 7d; or ever'],
    [
      'identity:\n  namespaces:\n    email: { window: 30 }',
      '3:22',
      'is no length of time; say of what: 30d is 30 days',
    ],
    ['identity:\n  namespaces:\n    card: { unique: true, limit: 2 }', '3:34', 'a unique namespace has the limit 1'],
    ['identity:\n  namespaces:\n    user_id: { unique: false }', '3:24', 'user_id would still be unique'],
    ['identity:\n  namespaces:\n    email: { normaliser: mail }', '3:26', 'the normaliser of email cannot be "mail"'],
    ['identity:\n  default_region: gb', '2:19', 'did you mean GB?'],
    ['identity:\n  blocked: { patterns: ["(a"] }', '2:25', 'the pattern is no regular expression'],
    ['identity:\n  blocked: { patterns: ["(a)\\\\1"] }', '2:25', 'the pattern is no regular expression'],
    ['identity:\n  blocked: { patterns: [".*"] }', '2:25', 'the pattern blocks any value'],
    ['identity:\n  blocked: { patterns: ["(x{100}){100}"] }', '2:25', 'the pattern'],
    ['identity:\n  blocked: { except: [gest] }', '2:22', '"gest" is not blocked; did you mean "guest"?'],
    ['identity:\n  email: { plus_tags: [outlook] }', '2:23', '"outlook" is no domain'],
  ])('says where a fault is and how to mend it: %j', (text, place, message) => {
    const problems = problemsOf(text);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(`identity.yaml:${place}: `);
    expect(problems[0]).toContain(message);
  });

  it('tells of all faults at once', () => {
    expect(
      problemsOf('identity:\n  default_region: XX\n  email: { gmail: 1 }\n  fallback: { limit: no }'),
    ).toHaveLength(3);
  });

  it('asks whether a namespace that is nearly a known one was meant to be that', () => {
    const { warnings } = parseIdentityRules('identity: { namespaces: { emial: { limit: 2 } } }', 'identity.yaml');
    expect(warnings).toEqual([
      { message: 'the namespace emial is not a known one', where: 'emial', hint: 'did you mean email?' },
    ]);
  });
});

describe('a policy by the rules of a file', () => {
  const { rules } = parseIdentityRules(FULL, 'identity.yaml');
  const policy = new CachedIdentifierPolicy(DEFAULT_IDENTITY_RULES);
  const valueOf = (ns: string, value: string) => policy.resolve([{ ns, value }]).identifiers[0]?.value;
  const reasonOf = (ns: string, value: string) => policy.resolve([{ ns, value }]).dropped[0]?.reason;

  it('holds from the moment they are in force, and never by older ones after newer', () => {
    expect(valueOf('email', 'A.B+c@GoogleMail.com')).toBe('a.b+c@googlemail.com');
    policy.use({ ...rules, version: 3 });
    policy.use({ ...DEFAULT_IDENTITY_RULES, version: 2 });
    expect(policy.rulesVersion).toBe(3);
    expect(valueOf('email', 'A.B+c@GoogleMail.com')).toBe('ab@gmail.com');
  });

  it('takes addresses of one mailbox for one, of the providers that are named', () => {
    expect(valueOf('email', 'ann+shop@outlook.com')).toBe('ann@outlook.com');
    expect(valueOf('email', 'a.nn+shop@outlook.com')).toBe('a.nn@outlook.com');
    expect(valueOf('email', 'ann+shop@fastmail.example')).toBe('ann+shop@fastmail.example');
    expect(reasonOf('email', '+shop@outlook.com')).toBe('malformed');
  });

  it('blocks values, mailboxes and patterns, raw or normalised, and lets those through that are excepted', () => {
    expect(reasonOf('user_id', ' demo user ')).toBe('blocked');
    expect(reasonOf('user_id', '12345')).toBe('blocked');
    expect(reasonOf('email', 'Info@shop.example')).toBe('blocked');
    expect(reasonOf('crm_id', 'TEST-17')).toBe('blocked');
    expect(reasonOf('email', 'ann@EXAMPLE.com')).toBe('blocked');
    expect(valueOf('crm_id', 'ann@example.com')).toBe('ann@example.com');
    expect(valueOf('crm_id', 'latest-17')).toBe('latest-17');
    expect(valueOf('user_id', 'guest')).toBe('guest');
  });

  it('reads telephone numbers as those of the region, and device ids without braces and case', () => {
    expect(valueOf('phone', '020 7183 8750')).toBe('+442071838750');
    expect(valueOf('device_id', '{0B5F0A52-7E6C-4E7B-9A3C-6D2F5C1A9E10}')).toBe('0b5f0a52-7e6c-4e7b-9a3c-6d2f5c1a9e10');
  });

  it('takes what counts only from authenticated sources from these, and tells the others', () => {
    const raw = [
      { ns: 'user_id', value: 'ann' },
      { ns: 'loyalty_card', value: 'L-1' },
    ];
    const whole = ['user_id', 'loyalty_card'];
    const namespacesOf = (origin?: { authenticated?: boolean }) =>
      policy.resolve(raw, origin).identifiers.map(({ ns }) => ns);
    expect(namespacesOf({ authenticated: true })).toEqual(whole);
    expect(namespacesOf()).toEqual(whole);
    expect(namespacesOf({})).toEqual(['user_id']);
    expect(policy.resolve(raw, { authenticated: false }).dropped).toEqual([
      { ns: 'loyalty_card', reason: 'unauthenticated' },
    ]);
    const alone = policy.resolve(raw.slice(1), {});
    expect(alone).toMatchObject({ identifiers: [], dropped: [{ ns: 'loyalty_card', reason: 'unauthenticated' }] });
  });

  it('knows what values came to by former rules, where that is otherwise', () => {
    const now = new CachedIdentifierPolicy({ ...DEFAULT_IDENTITY_RULES, version: 2 });
    now.use({ ...rules, version: 3 }, [DEFAULT_IDENTITY_RULES]);
    const formerOf = (...values: string[]) => now.resolve(values.map((value) => ({ ns: 'email', value }))).formerIds;
    const idOf = (value: string) => hashId('email', value);
    expect(formerOf('A.nn+x@gmail.com')).toEqual([idOf('a.nn+x@gmail.com')]);
    expect(formerOf('ann@gmail.com', 'bob@shop.example')).toBeUndefined();
    expect(formerOf('ann@gmail.com', 'a.nn@gmail.com')).toEqual([idOf('a.nn@gmail.com')]);
    expect(now.resolve([{ ns: 'email', value: 'info@shop.example' }])).toEqual({
      identifiers: [],
      dropped: [{ ns: 'email', reason: 'blocked' }],
      formerIds: [idOf('info@shop.example')],
    });
    now.use({ ...rules, version: 4 });
    expect(formerOf('A.nn+x@gmail.com')).toBeUndefined();
  });

  it('reads telephone numbers of a source as those of its region', () => {
    const raw = [{ ns: 'phone', value: '01 42 68 53 00' }];
    expect(policy.resolve(raw, { region: 'FR' }).identifiers[0]?.value).toBe('+33142685300');
    expect(policy.resolve(raw, { region: null }).identifiers[0]?.value).not.toBe('+33142685300');
    expect(policy.resolve(raw, { region: 'FR' }).identifiers[0]?.value).toBe('+33142685300');
  });
});
