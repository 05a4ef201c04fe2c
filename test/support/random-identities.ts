import fc from 'fast-check';
import type { RawIdentifier } from '../../src/events/event.model.js';
import {
  checkIdentityRules,
  DEFAULT_IDENTITY_RULES,
  type IdentityRules,
  type NamespaceRule,
} from '../../src/identity/identity-rules.model.js';

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;
/** Noon of 2024-01-01, UTC. */
const START_MS = Date.UTC(2024, 0, 1, 12);

/** How values are written, and what they are by the rules below. */
const SPELLINGS: Readonly<Record<string, readonly string[]>> = {
  'user_id:u1': ['u1', ' u1 '],
  'user_id:u2': ['u2'],
  'user_id:u3': ['u3'],
  'user_id:U1': ['U1'],
  'crm_id:c1': ['c1'],
  'crm_id:c2': ['c2'],
  'email:ann@example.com': ['ann@example.com', ' Ann@Example.COM'],
  'email:ab@gmail.com': ['ab@gmail.com', 'A.b+shop@googlemail.com'],
  'email:bob@outlook.com': ['bob@outlook.com', 'bob+news@outlook.com'],
  'phone:+442079460018': ['+44 20 7946 0018', '020 7946 0018'],
  'phone:+442079460019': ['(020) 79460019'],
  'twitter:ann': ['ann', '@Ann'],
  'device_id:aa-11': ['{AA-11}', 'aa-11'],
  'device_id:bb-22': ['BB-22'],
  'device_id:cc-33': ['cc-33'],
  'anonymous_id:x1': ['x1'],
  'anonymous_id:x2': ['x2'],
  'anonymous_id:x3': ['x3'],
  'anonymous_id:x4': ['x4'],
};

/** What stands for nobody by the rules below, or cannot be what it says it is. */
const NOBODY: readonly RawIdentifier[] = [
  { ns: 'user_id', value: 'null' },
  { ns: 'user_id', value: ' Anonymous' },
  { ns: 'user_id', value: '-1' },
  { ns: 'user_id', value: '\uff4e\uff55\uff4c\uff4c' },
  { ns: 'crm_id', value: '[object Object]' },
  { ns: 'email', value: 'noreply@example.com' },
  { ns: 'email', value: 'info@shop.example' },
  { ns: 'email', value: 'test@test.com' },
  { ns: 'email', value: 'somebody@blocked.example' },
  { ns: 'email', value: 'no address' },
  { ns: 'device_id', value: '00000000-0000-0000-0000-000000000000' },
  { ns: 'anonymous_id', value: 'test-7' },
  { ns: 'anonymous_id', value: '  ' },
];

const rule = (priority: number, limit: number, more: Partial<NamespaceRule> = {}): NamespaceRule => ({
  priority,
  limit,
  windowMs: null,
  normaliser: 'id',
  mayMerge: true,
  ...more,
});

const NAMESPACES: readonly (readonly [string, NamespaceRule])[] = [
  ['user_id', rule(100, 1)],
  ['crm_id', rule(90, 1, { onlyFromAuthenticated: true })],
  ['email', rule(80, 2, { normaliser: 'email' })],
  ['phone', rule(70, 1, { windowMs: DAY_MS, normaliser: 'phone' })],
  ['twitter', rule(60, 5, { normaliser: 'handle' })],
  ['device_id', rule(40, 1, { windowMs: 2 * DAY_MS, normaliser: 'device' })],
  ['anonymous_id', rule(20, 2, { windowMs: DAY_MS })],
];

function rulesWith(changes: Readonly<Record<string, Partial<NamespaceRule>>>, maxIdentifiers = 1_000): IdentityRules {
  return checkIdentityRules({
    ...DEFAULT_IDENTITY_RULES,
    namespaces: new Map(NAMESPACES.map(([ns, own]) => [ns, { ...own, ...changes[ns] }])),
    blockedMailboxes: new Set([...DEFAULT_IDENTITY_RULES.blockedMailboxes, 'info']),
    blockedPatterns: [
      { ns: null, pattern: 'test-.*' },
      { ns: 'email', pattern: '.*@blocked\\.example' },
    ],
    emails: { gmail: true, plusTagDomains: new Set(['outlook.com']) },
    defaultRegion: 'GB',
    maxIdentifiers,
  });
}

const WIDE = Object.fromEntries(NAMESPACES.map(([ns]) => [ns, { limit: 100, windowMs: null }]));

/** Limits so low that small histories meet them all the time. */
export const SOME_RULES: readonly IdentityRules[] = [
  rulesWith({}),
  rulesWith({}, 4),
  rulesWith({ ...WIDE, user_id: {} }, 3),
  rulesWith(WIDE),
  rulesWith({ device_id: { limit: 2, windowMs: null, mayMerge: false }, email: { mayMerge: false } }),
  rulesWith({ anonymous_id: { shared: 'isolate' }, device_id: { shared: 'isolate' }, email: { shared: 'isolate' } }),
  rulesWith({ anonymous_id: { shared: 'last_user' }, device_id: { shared: 'last_user', mayMerge: false } }),
  rulesWith({ anonymous_id: { shared: 'last_user' }, device_id: { shared: 'isolate' }, phone: { limit: 1 } }),
  rulesWith({
    email: { priority: 10, limit: 1, windowMs: null },
    user_id: { limit: 2 },
    crm_id: { shared: 'last_user' },
  }),
].map((rules, i) => ({ ...rules, version: i + 1 }));

/** Equal for rules by which events have the same anchors. */
export function prioritiesOf({ namespaces }: IdentityRules): string {
  return [...namespaces].map(([ns, { priority }]) => `${ns} ${String(priority)}`).join(' ');
}

/** An identifier as it is sent, and as it is; null: it stands for nobody. */
interface Spelled {
  readonly raw: RawIdentifier;
  readonly name: string | null;
}

const spelled: fc.Arbitrary<Spelled> = fc.oneof(
  {
    weight: 15,
    arbitrary: fc
      .constantFrom(...Object.entries(SPELLINGS))
      .chain(([name, values]) =>
        fc.constantFrom(...values).map((value) => ({ raw: { ns: name.slice(0, name.indexOf(':')), value }, name })),
      ),
  },
  { weight: 1, arbitrary: fc.constantFrom(...NOBODY).map((raw) => ({ raw, name: null })) },
);

export interface RandomEvent {
  readonly atMs: number;
  readonly sourceId: number;
  readonly messageId: string;
  readonly raw: readonly RawIdentifier[];
  readonly isAuthenticated: boolean;
  /** Those that count, each once. */
  readonly names: readonly string[];
}

/** An event without its message. */
interface Sketch {
  readonly hours: number;
  readonly sourceId: number;
  readonly isAuthenticated: boolean;
  readonly identifiers: readonly Spelled[];
}

/** Times collide, so that ties are broken, too. */
const sketch = fc.record<Sketch>({
  hours: fc.integer({ min: 0, max: 80 }),
  sourceId: fc.integer({ min: 1, max: 2 }),
  isAuthenticated: fc.boolean(),
  identifiers: fc.array(spelled, { minLength: 1, maxLength: 4 }),
});

/** What happens, in order; numbers pick among what there is by then. */
export type Step =
  | { readonly kind: 'batch'; readonly isCold: boolean; readonly events: readonly RandomEvent[] }
  | { readonly kind: 'merge'; readonly picks: readonly number[]; readonly byProfile: boolean }
  | { readonly kind: 'unmerge'; readonly pick: number; readonly taken: number }
  | { readonly kind: 'unmergeMove' | 'unlink' | 'rules' | 'generic'; readonly pick: number };

interface Sketches {
  readonly kind: 'sketches';
  readonly isCold: boolean;
  readonly sketches: readonly Sketch[];
}

const pick = fc.nat({ max: 1_000 });
const decision: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('merge' as const),
    picks: fc.array(pick, { minLength: 2, maxLength: 3 }),
    byProfile: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('unmerge' as const), pick, taken: pick }),
  fc.record({ kind: fc.constantFrom('unmergeMove' as const, 'unlink' as const), pick }),
);
const protection: fc.Arbitrary<Step> = fc.record({ kind: fc.constantFrom('rules' as const, 'generic' as const), pick });

/**
 * Small histories: batches of events, and in between what people decide, other rules, and values that become generic or
 * are so no more.
 */
export function randomHistory({ withProtection }: { readonly withProtection: boolean }): fc.Arbitrary<Step[]> {
  const batch = fc.record<Sketches>({
    kind: fc.constant('sketches'),
    isCold: fc.boolean(),
    sketches: fc.array(sketch, { minLength: 1, maxLength: 5 }),
  });
  const others = withProtection
    ? [
        { weight: 1, arbitrary: decision },
        { weight: 1, arbitrary: protection },
      ]
    : [{ weight: 2, arbitrary: decision }];
  const steps = fc.array(fc.oneof({ weight: 3, arbitrary: batch }, ...others), { minLength: 2, maxLength: 9 });
  return steps.map(withMessages);
}

/** Each event with an id of its message, in the order in which they come. */
function withMessages(steps: readonly (Sketches | Step)[]): Step[] {
  let messages = 0;
  return steps.map((step): Step => {
    if (step.kind !== 'sketches') return step;
    const events = step.sketches.map(({ hours, identifiers, ...rest }): RandomEvent => {
      const counting = identifiers.flatMap(({ name }) => name ?? []);
      const names = counting.filter((name) => rest.isAuthenticated || !name.startsWith('crm_id:'));
      return {
        ...rest,
        atMs: START_MS + hours * HOUR_MS,
        messageId: `m${String(messages++)}`,
        raw: identifiers.map(({ raw }) => raw),
        names: [...new Set(names)],
      };
    });
    return { kind: 'batch', isCold: step.isCold, events };
  });
}
