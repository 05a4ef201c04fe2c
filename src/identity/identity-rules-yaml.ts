import { Document, isMap } from 'yaml';
import { durationText } from '../platform/duration.js';
import { DEFAULT_IDENTITY_RULES, isUnique, type IdentityRuleSet, type NamespaceRule } from './identity-rules.model.js';

/** Rules as somebody would write them, with all that they say of namespaces; `parseIdentityRules` reads them back. */
export function identityRulesYaml(rules: IdentityRuleSet): string {
  const { blockedValues, blockedMailboxes } = DEFAULT_IDENTITY_RULES;
  const blocked = {
    values: added(rules.blockedValues, blockedValues),
    except: [...added(blockedValues, rules.blockedValues), ...added(blockedMailboxes, rules.blockedMailboxes)],
    patterns: rules.blockedPatterns.map(({ ns, pattern }) => (ns === null ? pattern : { namespace: ns, pattern })),
    mailboxes: added(rules.blockedMailboxes, blockedMailboxes),
  };
  const { gmail, plusTagDomains } = rules.emails;
  const email = { ...(gmail ? { gmail } : {}), ...listed({ plus_tags: [...plusTagDomains].sort() }) };
  const document = new Document({
    identity: {
      ...(rules.defaultRegion === null ? {} : { default_region: rules.defaultRegion }),
      ...(rules.maxIdentifiers === undefined ? {} : { max_identifiers: rules.maxIdentifiers }),
      namespaces: Object.fromEntries([...rules.namespaces].map(([ns, rule]) => [ns, ruleFields(rule)])),
      fallback: ruleFields(rules.fallback),
      ...nonEmpty('blocked', listed(blocked)),
      ...nonEmpty('email', email),
    },
  });
  for (const path of [...rules.namespaces.keys()].map((ns) => ['identity', 'namespaces', ns])) flow(document, path);
  flow(document, ['identity', 'fallback']);
  return document.toString({ lineWidth: 0, flowCollectionPadding: true });
}

/** The fields of a namespace as a file has them. */
export function ruleFields(rule: NamespaceRule): Record<string, string | number | boolean> {
  const { priority, limit, windowMs, normaliser, mayMerge, onlyFromAuthenticated = false, shared = 'link' } = rule;
  return {
    priority,
    ...(isUnique(rule) ? { unique: true } : { limit, window: windowMs === null ? 'ever' : durationText(windowMs) }),
    normaliser,
    may_merge: mayMerge,
    ...(onlyFromAuthenticated ? { only_from_authenticated: true } : {}),
    ...(shared === 'link' ? {} : { shared }),
  };
}

function added(values: ReadonlySet<string>, standing: ReadonlySet<string>): string[] {
  return [...values].filter((value) => !standing.has(value)).sort();
}

/** Only lists that have something in them. */
function listed(lists: Readonly<Record<string, readonly unknown[]>>): Record<string, readonly unknown[]> {
  return Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0));
}

function nonEmpty(name: string, fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.keys(fields).length === 0 ? {} : { [name]: fields };
}

function flow(document: Document, path: readonly string[]): void {
  const node: unknown = document.getIn(path);
  if (isMap(node)) node.flow = true;
}
