import { isNamespace, type Identifier } from '../events/event.model.js';
import { WeftError } from '../platform/errors.js';
import type { Uuid } from '../platform/ids.js';

const WEEK_MS = 7 * 24 * 60 * 60 * 1000;

/** How raw values of a namespace are brought to the one form that is compared; see `normalise-identifier.ts`. */
export const NORMALISERS = ['email', 'phone', 'handle', 'id', 'device'] as const;
export type NormaliserName = (typeof NORMALISERS)[number];

/** What becomes of an identifier that several people sign in with; see `shared-identifiers.ts`. */
export const SHARED_POLICIES = ['link', 'isolate', 'last_user'] as const;
export type SharedPolicy = (typeof SHARED_POLICIES)[number];

/** What identity resolution knows about one namespace. */
export interface NamespaceRule {
  /** Higher wins: the identifier of highest priority is the anchor, the one of lowest priority is demoted first. */
  readonly priority: number;
  /** Most distinct values one profile may hold, ≥ 1; within `windowMs` if that is set, else ever. */
  readonly limit: number;
  /** Length in ms of the sliding window of first-seen times in which `limit` holds; null: ever. */
  readonly windowMs: number | null;
  readonly normaliser: NormaliserName;
  /** False: may attach a lone identifier to a profile, but never brings two established profiles together. */
  readonly mayMerge: boolean;
  /** True: counts only where the source is sure of whom it names, see `IdentifierOrigin`; default: false. */
  readonly onlyFromAuthenticated?: boolean;
  /** Of its identifiers that are seen with two values of a unique namespace; default: `link`. */
  readonly shared?: SharedPolicy;
}

/** What one mailbox is called by: addresses that differ in this only are one identifier. */
export interface EmailRules {
  /** Of gmail.com, also known as googlemail.com: dots in the mailbox, and what follows a `+`, are left out. */
  readonly gmail: boolean;
  /** Domains of whose mailboxes what follows a `+` is left out; lower case. */
  readonly plusTagDomains: ReadonlySet<string>;
}

/** Values that stand for nobody, as an RE2 expression that the whole value matches. */
export interface BlockedPattern {
  /** Null: in any namespace. */
  readonly ns: string | null;
  /** Compared with the value trimmed and in lower case. */
  readonly pattern: string;
}

/** The values that stand for many people, or for nobody; see `generic-value.model.ts`. */
export interface GenericValues {
  /** Grows with each change. */
  readonly version: number;
  readonly ids: ReadonlySet<Uuid>;
  /** How many of them many people share, by namespace: the others stand for nobody because they are blocked; default: all do. */
  readonly shared?: ReadonlyMap<string, number>;
  /**
   * Values that were among them and count again: until all that names them is moved, evidence may name them that is of
   * other components than they are, and events may come that were accepted while they did not count; default: none.
   */
  readonly former?: ReadonlySet<Uuid>;
}

/** The rules as data. Whatever changes the outcome of normalisation or resolution stands here, under one version. */
export interface IdentityRules {
  /** 1…32767; stored with each event. Grows with any change of the rules. */
  readonly version: number;
  readonly namespaces: ReadonlyMap<string, NamespaceRule>;
  /** For namespaces that are not listed and match {@link isNamespace}. */
  readonly fallback: NamespaceRule;
  /** Values that stand for nobody in any namespace; trimmed, lower case. */
  readonly blockedValues: ReadonlySet<string>;
  /** Mailboxes (the part before the `@`) that no person reads; lower case. */
  readonly blockedMailboxes: ReadonlySet<string>;
  readonly blockedPatterns: readonly BlockedPattern[];
  readonly emails: EmailRules;
  /** ISO 3166-1 alpha-2 code for phone numbers without a country code; null: such numbers are malformed. */
  readonly defaultRegion: string | null;
  /** Most identifiers one profile may hold, of all namespaces together, ≥ 1; default: {@link MAX_PROFILE_IDENTIFIERS}. */
  readonly maxIdentifiers?: number;
  /** Neighbours of unique namespaces beyond which a value is generic, ≥ 1; default: `GENERIC_BOUND`. */
  readonly genericBound?: number;
  /** Values that stand for many people, as the evidence says; default: none. */
  readonly generics?: GenericValues;
}

/** Whether the second are newer, be it by the rules or by the generic values. */
export function areNewer(standing: IdentityRules, other: IdentityRules): boolean {
  if (other.version !== standing.version) return other.version > standing.version;
  return (other.generics?.version ?? 0) > (standing.generics?.version ?? 0);
}

/** More identifiers than one person has, and as many as one profile can be told in an answer. */
export const MAX_PROFILE_IDENTIFIERS = 1_000;

/** The rules without the version that they get when they are applied. */
export type IdentityRuleSet = Omit<IdentityRules, 'version' | 'generics'>;

export const IDENTITY_RULE_LIMITS = {
  maxNamespaces: 200,
  maxPriority: 1_000,
  /** Of values of one namespace that a profile may hold. */
  maxLimit: 1_000,
  /** Of blocked values, and of blocked mailboxes, beyond the built-in ones. */
  maxBlocked: 2_000,
  maxPatterns: 50,
  maxPatternLength: 200,
  /** Of domains whose plus tags are left out. */
  maxDomains: 200,
  maxTextLength: 256,
  /** As many as the log can tell apart. */
  maxVersion: 32_767,
} as const;

/** Equal for rules by which raw values have the same normal forms. */
export function normalFormKey({ namespaces, fallback, emails, defaultRegion }: IdentityRuleSet): string {
  const normalisers = [...namespaces].map(([ns, { normaliser }]) => `${ns} ${normaliser}`).sort();
  return JSON.stringify([
    normalisers,
    fallback.normaliser,
    emails.gmail,
    [...emails.plusTagDomains].sort(),
    defaultRegion,
  ]);
}

/** Two different values of a unique namespace never stand for one profile. */
export function isUnique(rule: NamespaceRule): boolean {
  return rule.limit === 1 && rule.windowMs === null;
}

/** False if some namespace may attach lone identifiers only. */
function mayAllMerge(rules: IdentityRules): boolean {
  return !someRule(rules, ({ mayMerge }) => !mayMerge);
}

/**
 * True if a set of identifiers that was seen once has nothing new to say: of its evidence the least row will do. Not so
 * where it matters by whom a group is named, or who was there last.
 */
export function isHeardOnce(rules: IdentityRules): boolean {
  return mayAllMerge(rules) && !someRule(rules, ({ shared }) => shared === 'last_user');
}

/** Whether identifiers that several people share are looked for. */
export function caresForSharing(rules: IdentityRules): boolean {
  return someRule(rules, ({ shared = 'link' }) => shared !== 'link');
}

function someRule({ namespaces, fallback }: IdentityRules, is: (rule: NamespaceRule) => boolean): boolean {
  if (is(fallback)) return true;
  for (const rule of namespaces.values()) if (is(rule)) return true;
  return false;
}

export function maxIdentifiersOf({ maxIdentifiers = MAX_PROFILE_IDENTIFIERS }: IdentityRuleSet): number {
  return maxIdentifiers;
}

/** The rule of a namespace; undefined if its name is not allowed. */
export function ruleOf(rules: IdentityRules, ns: string): NamespaceRule | undefined {
  return rules.namespaces.get(ns) ?? (isNamespace(ns) ? rules.fallback : undefined);
}

/**
 * The order of identifiers: by falling priority, then by namespace, then by value, both by UTF-16 code unit.
 * The namespace must be one that {@link ruleOf} knows; others sort last.
 */
export function compareByPriority(rules: IdentityRules, a: Identifier, b: Identifier): number {
  if (a.ns !== b.ns) {
    const byPriority = (ruleOf(rules, b.ns)?.priority ?? -Infinity) - (ruleOf(rules, a.ns)?.priority ?? -Infinity);
    if (byPriority > 0 || byPriority < 0) return byPriority;
    return a.ns < b.ns ? -1 : 1;
  }
  return a.value < b.value ? -1 : a.value > b.value ? 1 : 0;
}

/**
 * True if a component with these numbers of distinct values needs no replay: no union can exceed a limit, so all of
 * its identifiers are one group. A total within the limit is within it in every window. Exact in one direction only:
 * false means "replay and see". The component must be connected by its evidence and must-links, which a raw component
 * is by definition.
 */
export function withinLimits(
  countsPerNamespace: ReadonlyMap<string, number>,
  rules: IdentityRules,
  hasCannotLinks = false,
): boolean {
  if (hasCannotLinks) return false;
  let identifiers = 0;
  for (const [ns, count] of countsPerNamespace) {
    const rule = ruleOf(rules, ns);
    if (rule === undefined || count > rule.limit || !rule.mayMerge) return false;
    identifiers += count;
  }
  return identifiers <= maxIdentifiersOf(rules);
}

/**
 * True for values that stand for nobody: placeholders, and values of nothing but zeros and separators such as the zero
 * UUID. `value` may be raw or normalised; case, outer white space, invisible characters and other forms of the same
 * characters, such as full-width ones, do not matter.
 */
export function isBlockedValue(value: string, rules: IdentityRuleSet): boolean {
  const folded = foldedValue(value);
  return rules.blockedValues.has(folded) || isZeros(folded) || isBlockedAddress(folded, rules);
}

/** The form of a value in which blocked ones are told. */
export function foldedValue(value: string): string {
  const seen = ASCII.test(value) ? value : value.normalize('NFKC').replace(INVISIBLE, '');
  return seen.trim().toLowerCase();
}

const ASCII = /^[ -~]*$/;
/** Characters without a shape of their own: zero-width ones, marks of direction, fillers. */
const INVISIBLE = /[\p{Cf}\p{Default_Ignorable_Code_Point}]/gu;

/** True for the empty string and for strings of zeros and the separators of UUIDs, MAC addresses and numbers. */
export function isZeros(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    if (!'0-:._ +'.includes(value.charAt(i))) return false;
  }
  return true;
}

/** Addresses nobody reads (`noreply@…`), and placeholders such as `test@test.com`: a blocked word on both sides. */
function isBlockedAddress(folded: string, rules: IdentityRuleSet): boolean {
  const at = folded.indexOf('@');
  if (at < 1) return false;
  const mailbox = folded.slice(0, at);
  if (rules.blockedMailboxes.has(mailbox)) return true;
  if (!rules.blockedValues.has(mailbox)) return false;
  const domain = folded.slice(at + 1);
  return domain === mailbox || domain.startsWith(`${mailbox}.`);
}

/**
 * Checks rules before they take effect.
 * @throws WeftError DEFINITION_INVALID naming the namespace and field at fault
 */
export function checkIdentityRules(rules: IdentityRules): IdentityRules {
  if (!Number.isInteger(rules.version) || rules.version < 1 || rules.version > IDENTITY_RULE_LIMITS.maxVersion) {
    throw invalid('version', 'must be an integer from 1 to 32767');
  }
  for (const [ns, rule] of [...rules.namespaces, ['fallback', rules.fallback] as const]) {
    if (!isNamespace(ns))
      throw invalid(ns, 'a namespace has 1 to 32 lower-case letters, digits and underscores, a letter first');
    if (!Number.isFinite(rule.priority)) throw invalid(`${ns}.priority`, 'must be a finite number');
    if (!Number.isInteger(rule.limit) || rule.limit < 1) throw invalid(`${ns}.limit`, 'must be an integer ≥ 1');
    if (rule.windowMs !== null && (!Number.isInteger(rule.windowMs) || rule.windowMs < 1)) {
      throw invalid(`${ns}.windowMs`, 'must be an integer ≥ 1, or null for ever');
    }
  }
  return rules;
}

function invalid(where: string, hint: string): WeftError {
  return new WeftError('DEFINITION_INVALID', 'an identity rule is not usable', { where: `identity.${where}`, hint });
}

/** What the built-in rules of all namespaces have in common. */
const COMMON = { limit: 5, windowMs: null, mayMerge: true } as const;
const HANDLE: NamespaceRule = { ...COMMON, priority: 60, normaliser: 'handle' };

const HANDLE_NAMESPACES = [
  'twitter',
  'instagram',
  'facebook',
  'linkedin',
  'tiktok',
  'youtube',
  'pinterest',
  'reddit',
  'threads',
  'mastodon',
  'bluesky',
  'telegram',
  'github',
];

const BLOCKED_VALUES = [
  '',
  'null',
  '(null)',
  '<null>',
  'none',
  'nil',
  'undefined',
  'nan',
  'n/a',
  'na',
  '#n/a',
  'unknown',
  '0',
  '-1',
  'anonymous',
  'guest',
  'test',
  'true',
  'false',
  '[object object]',
];

const BLOCKED_MAILBOXES = [
  'noreply',
  'no-reply',
  'no_reply',
  'donotreply',
  'do-not-reply',
  'do_not_reply',
  'mailer-daemon',
];

export const DEFAULT_IDENTITY_RULES: IdentityRules = checkIdentityRules({
  version: 1,
  namespaces: new Map<string, NamespaceRule>([
    ['user_id', { ...COMMON, priority: 100, limit: 1, normaliser: 'id' }],
    ['crm_id', { ...COMMON, priority: 90, limit: 1, normaliser: 'id' }],
    ['email', { ...COMMON, priority: 80, normaliser: 'email' }],
    ['phone', { ...COMMON, priority: 70, normaliser: 'phone' }],
    ...HANDLE_NAMESPACES.map((ns): [string, NamespaceRule] => [ns, HANDLE]),
    ['device_id', { ...COMMON, priority: 40, limit: 10, windowMs: WEEK_MS, normaliser: 'id' }],
    ['anonymous_id', { ...COMMON, priority: 20, windowMs: WEEK_MS, normaliser: 'id' }],
  ]),
  fallback: { ...COMMON, priority: 50, normaliser: 'id' },
  blockedValues: new Set(BLOCKED_VALUES),
  blockedMailboxes: new Set(BLOCKED_MAILBOXES),
  blockedPatterns: [],
  emails: { gmail: false, plusTagDomains: new Set() },
  defaultRegion: null,
});
