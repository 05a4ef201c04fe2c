import { changedFields, changedFieldsText, type FieldValue } from '../platform/changed-fields.js';
import { ruleFields } from './identity-rules-yaml.js';
import { maxIdentifiersOf, type IdentityRuleSet, type NamespaceRule } from './identity-rules.model.js';

/** What other rules change, in lines that say it to people: `+` more, `-` less, `~` otherwise. Empty: nothing. */
export function diffIdentityRules(before: IdentityRuleSet, after: IdentityRuleSet): readonly string[] {
  const lines: string[] = [];
  if (before.defaultRegion !== after.defaultRegion) {
    lines.push(`~ default_region: ${before.defaultRegion ?? 'none'} -> ${after.defaultRegion ?? 'none'}`);
  }
  if (maxIdentifiersOf(before) !== maxIdentifiersOf(after)) {
    lines.push(`~ max_identifiers: ${String(maxIdentifiersOf(before))} -> ${String(maxIdentifiersOf(after))}`);
  }
  for (const [ns, rule] of after.namespaces) {
    const was = before.namespaces.get(ns);
    if (was === undefined) lines.push(`+ ${ns}: ${fieldsText(ruleFields(rule))}`);
    else lines.push(...diffRules(ns, was, rule));
  }
  for (const ns of before.namespaces.keys()) if (!after.namespaces.has(ns)) lines.push(`- ${ns}`);
  lines.push(...diffRules('fallback', before.fallback, after.fallback));
  lines.push(...diffLists('blocked value', [...before.blockedValues], [...after.blockedValues]));
  lines.push(...diffLists('blocked mailbox', [...before.blockedMailboxes], [...after.blockedMailboxes]));
  lines.push(...diffLists('blocked pattern', patternsOf(before), patternsOf(after)));
  if (before.emails.gmail !== after.emails.gmail) {
    lines.push(`~ email: gmail ${String(before.emails.gmail)} -> ${String(after.emails.gmail)}`);
  }
  lines.push(...diffLists('plus tags of', [...before.emails.plusTagDomains], [...after.emails.plusTagDomains]));
  return lines;
}

function diffRules(ns: string, before: NamespaceRule, after: NamespaceRule): string[] {
  const changes = changedFields(comparedFields(before), comparedFields(after), UNSAID);
  return changes.length === 0 ? [] : [`~ ${ns}: ${changedFieldsText(changes)}`];
}

/** With what `unique` means, so that a limit does not seem to be gone. */
function comparedFields(rule: NamespaceRule): Record<string, FieldValue> {
  const { priority, ...fields } = ruleFields(rule);
  return { priority: priority ?? rule.priority, limit: 1, window: 'ever', ...fields };
}

function diffLists(what: string, before: readonly string[], after: readonly string[]): string[] {
  const [was, is] = [new Set(before), new Set(after)];
  return [
    ...[...is].filter((value) => !was.has(value)).map((value) => `+ ${what} "${value}"`),
    ...[...was].filter((value) => !is.has(value)).map((value) => `- ${what} "${value}"`),
  ];
}

function patternsOf({ blockedPatterns }: IdentityRuleSet): string[] {
  return blockedPatterns.map(({ ns, pattern }) => (ns === null ? pattern : `${ns}: ${pattern}`));
}

function fieldsText(fields: Readonly<Record<string, FieldValue>>): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name} ${String(value)}`)
    .join(', ');
}

/** What fields mean that are left out because of what they say. */
const UNSAID: Readonly<Record<string, FieldValue>> = { shared: 'link', only_from_authenticated: false, unique: false };
