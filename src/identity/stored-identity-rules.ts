import {
  checkIdentityRules,
  DEFAULT_IDENTITY_RULES,
  type BlockedPattern,
  type IdentityRules,
  type IdentityRuleSet,
  type NamespaceRule,
} from './identity-rules.model.js';

/** Rules as JSON, complete: what the built-in ones become in later versions of the program does not change them. */
interface StoredRules {
  readonly namespaces: Readonly<Record<string, Partial<NamespaceRule>>>;
  readonly fallback: Partial<NamespaceRule>;
  readonly blockedValues: readonly string[];
  readonly blockedMailboxes: readonly string[];
  readonly blockedPatterns: readonly BlockedPattern[];
  readonly emails: { readonly gmail: boolean; readonly plusTagDomains: readonly string[] };
  readonly defaultRegion: string | null;
  readonly maxIdentifiers?: number;
}

/** Equal for equal rules: namespaces and values are sorted. */
export function storedRulesText(rules: IdentityRuleSet): string {
  return JSON.stringify(storedRules(rules));
}

export function storedRules(rules: IdentityRuleSet): StoredRules {
  return {
    namespaces: Object.fromEntries([...rules.namespaces].sort(([a], [b]) => (a < b ? -1 : 1)).map(inOrder)),
    fallback: fieldsInOrder(rules.fallback),
    blockedValues: [...rules.blockedValues].sort(),
    blockedMailboxes: [...rules.blockedMailboxes].sort(),
    blockedPatterns: rules.blockedPatterns.map(({ ns, pattern }) => ({ ns, pattern })),
    emails: { gmail: rules.emails.gmail, plusTagDomains: [...rules.emails.plusTagDomains].sort() },
    defaultRegion: rules.defaultRegion,
    ...(rules.maxIdentifiers === undefined ? {} : { maxIdentifiers: rules.maxIdentifiers }),
  };
}

/** @throws WeftError DEFINITION_INVALID */
export function rulesOfStored(version: number, text: string): IdentityRules {
  const stored = JSON.parse(text) as StoredRules;
  const { fallback } = DEFAULT_IDENTITY_RULES;
  return checkIdentityRules({
    version,
    // A field that was added to the rules since is as it was before there was one.
    namespaces: new Map(Object.entries(stored.namespaces).map(([ns, rule]) => [ns, { ...fallback, ...rule }])),
    fallback: { ...fallback, ...stored.fallback },
    blockedValues: new Set(stored.blockedValues),
    blockedMailboxes: new Set(stored.blockedMailboxes),
    blockedPatterns: stored.blockedPatterns,
    emails: { gmail: stored.emails.gmail, plusTagDomains: new Set(stored.emails.plusTagDomains) },
    defaultRegion: stored.defaultRegion,
    ...(stored.maxIdentifiers === undefined ? {} : { maxIdentifiers: stored.maxIdentifiers }),
  });
}

function inOrder([ns, rule]: readonly [string, NamespaceRule]): [string, NamespaceRule] {
  return [ns, fieldsInOrder(rule)];
}

function fieldsInOrder(rule: NamespaceRule): NamespaceRule {
  const { priority, limit, windowMs, normaliser, mayMerge, onlyFromAuthenticated = false, shared = 'link' } = rule;
  return {
    priority,
    limit,
    windowMs,
    normaliser,
    mayMerge,
    ...(onlyFromAuthenticated ? { onlyFromAuthenticated } : {}),
    ...(shared === 'link' ? {} : { shared }),
  };
}
