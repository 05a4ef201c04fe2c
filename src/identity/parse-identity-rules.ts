import { isSupportedCountry } from 'libphonenumber-js/min';
import { isNamespace } from '../events/event.model.js';
import { durationMs, durationHint } from '../platform/duration.js';
import { nearestName } from '../platform/near-names.js';
import type { Warning } from '../platform/warning.js';
import { YamlFile, type YamlValue } from '../platform/yaml-file.js';
import { problemOfPattern } from './blocked-patterns.js';
import {
  DEFAULT_IDENTITY_RULES,
  IDENTITY_RULE_LIMITS,
  MAX_PROFILE_IDENTIFIERS,
  isUnique,
  NORMALISERS,
  SHARED_POLICIES,
  type BlockedPattern,
  type IdentityRuleSet,
  type NamespaceRule,
} from './identity-rules.model.js';

/** Fields at the top of a file of identity rules. */
export const IDENTITY_FILE_FIELDS = ['identity'];

const FIELDS = ['default_region', 'max_identifiers', 'namespaces', 'fallback', 'blocked', 'email'];
const RULE_FIELDS = [
  'priority',
  'limit',
  'window',
  'unique',
  'normaliser',
  'may_merge',
  'only_from_authenticated',
  'shared',
];
const BLOCKED_FIELDS = ['values', 'except', 'patterns', 'mailboxes'];
const EMAIL_FIELDS = ['gmail', 'plus_tags'];

const { maxNamespaces, maxPriority, maxLimit, maxBlocked, maxPatterns, maxPatternLength, maxDomains, maxTextLength } =
  IDENTITY_RULE_LIMITS;

/** Rules as a file says them, and what in it is allowed and yet probably not meant. */
export interface ParsedIdentityRules {
  readonly rules: IdentityRuleSet;
  readonly warnings: readonly Warning[];
}

/**
 * Reads the rules of who is who in a file: the map `identity`. What it leaves out is as in {@link DEFAULT_IDENTITY_RULES},
 * whatever is in force: the same file always means the same rules. Blocked values are added to the built-in ones.
 *
 * @param file how messages call it
 * @param others further fields that the file may have; what they hold is read by somebody else
 * @throws WeftError DEFINITION_INVALID with every problem, one a line: `file:line:column: what; how to fix it`
 */
export function parseIdentityRules(text: string, file: string, others: readonly string[] = []): ParsedIdentityRules {
  const yaml = new YamlFile(text, file);
  yaml.throwProblems();
  const root = yaml.root.fields('the file', [...IDENTITY_FILE_FIELDS, ...others])?.get('identity');
  const fields = root?.fields('identity', FIELDS) ?? new Map<string, YamlValue>();
  const warnings: Warning[] = [];
  const fallback = readRule(fields.get('fallback'), 'fallback', DEFAULT_IDENTITY_RULES.fallback);
  const rules = {
    defaultRegion: readRegion(fields.get('default_region')),
    ...readMaxIdentifiers(fields.get('max_identifiers')),
    fallback,
    namespaces: readNamespaces(fields.get('namespaces'), fallback, warnings),
    ...readBlocked(fields.get('blocked')),
    emails: readEmails(fields.get('email')),
  };
  yaml.throwProblems();
  return { rules, warnings };
}

function readRegion(value: YamlValue | undefined): string | null {
  const region = value?.text('default_region', maxTextLength);
  if (region === undefined || isSupportedCountry(region)) return region ?? null;
  const upper = region.toUpperCase();
  const hint = isSupportedCountry(upper) ? `did you mean ${upper}?` : 'use an ISO 3166-1 code of two letters, as GB';
  value?.problem(`there are no telephone numbers of region ${region}`, hint);
  return null;
}

/** Of all namespaces together, of one profile. */
function readMaxIdentifiers(value: YamlValue | undefined): Pick<IdentityRuleSet, 'maxIdentifiers'> {
  const maxIdentifiers = value?.integer('max_identifiers', 2, MAX_PROFILE_IDENTIFIERS);
  return maxIdentifiers === undefined ? {} : { maxIdentifiers };
}

// --- namespaces -----------------------------------------------------------------------------------------------------

function readNamespaces(
  value: YamlValue | undefined,
  fallback: NamespaceRule,
  warnings: Warning[],
): ReadonlyMap<string, NamespaceRule> {
  const standing = DEFAULT_IDENTITY_RULES.namespaces;
  const rules = new Map(standing);
  const seen = new Set<string>();
  for (const [ns, item] of value?.entries('namespaces') ?? []) {
    if (!isNamespace(ns)) {
      const hint = '1 to 32 lower-case letters, digits and underscores, beginning with a letter, as loyalty_card';
      item.problem(`${ns.slice(0, 64)} is no name of a namespace`, hint);
      continue;
    }
    if (seen.has(ns)) item.problem(`the namespace ${ns} is there twice`, 'write it once');
    seen.add(ns);
    const near = standing.has(ns) ? undefined : nearestName(ns, standing.keys());
    if (near !== undefined) {
      warnings.push({ message: `the namespace ${ns} is not a known one`, where: ns, hint: `did you mean ${near}?` });
    }
    rules.set(ns, readRule(item, ns, standing.get(ns) ?? fallback));
  }
  if (rules.size > maxNamespaces) value?.problem('too many namespaces', `list at most ${String(maxNamespaces)}`);
  return rules;
}

/** What is not said is as in `base`. */
function readRule(value: YamlValue | undefined, what: string, base: NamespaceRule): NamespaceRule {
  if (value === undefined || value.scalar === null) return base;
  const fields = value.fields(what, RULE_FIELDS);
  if (fields === undefined) return base;
  const isGuarded =
    fields.get('only_from_authenticated')?.bool(`only_from_authenticated of ${what}`) ?? base.onlyFromAuthenticated;
  const shared = fields.get('shared')?.oneOf(`shared of ${what}`, SHARED_POLICIES) ?? base.shared ?? 'link';
  return {
    priority: fields.get('priority')?.integer(`priority of ${what}`, 0, maxPriority) ?? base.priority,
    ...readLimit(fields, what, base),
    normaliser: fields.get('normaliser')?.oneOf(`the normaliser of ${what}`, NORMALISERS) ?? base.normaliser,
    mayMerge: fields.get('may_merge')?.bool(`may_merge of ${what}`) ?? base.mayMerge,
    ...(isGuarded === true ? { onlyFromAuthenticated: true } : {}),
    ...(shared === 'link' ? {} : { shared }),
  };
}

function readLimit(
  fields: ReadonlyMap<string, YamlValue>,
  what: string,
  base: NamespaceRule,
): Pick<NamespaceRule, 'limit' | 'windowMs'> {
  const [limitAt, windowAt, uniqueAt] = [fields.get('limit'), fields.get('window'), fields.get('unique')];
  const unique = uniqueAt?.bool(`unique of ${what}`);
  const limit = limitAt?.integer(`limit of ${what}`, 1, maxLimit);
  const windowMs = windowAt === undefined ? undefined : readWindow(windowAt, what);
  if (unique === true) {
    if (limit !== undefined && limit !== 1) limitAt?.problem('a unique namespace has the limit 1', 'leave limit out');
    if (typeof windowMs === 'number') windowAt?.problem('a unique namespace has no window', 'leave window out');
    return { limit: 1, windowMs: null };
  }
  const found = {
    limit: limit ?? base.limit,
    windowMs: windowMs === undefined ? base.windowMs : windowMs,
  };
  if (unique === false && isUnique({ ...base, ...found })) {
    uniqueAt?.problem(`${what} would still be unique, with the limit 1`, 'give a limit of 2 or more, or a window');
  }
  return found;
}

/** Null for `ever`; undefined where it cannot be read. */
function readWindow(value: YamlValue, what: string): number | null | undefined {
  const { scalar } = value;
  const text = typeof scalar === 'number' ? String(scalar) : value.text(`window of ${what}`, maxTextLength);
  if (text === undefined) return undefined;
  if (text === 'ever') return null;
  try {
    return durationMs(text);
  } catch {
    return value.problem(`window of ${what} is no length of time`, `${durationHint(text)}; or ever`);
  }
}

// --- blocked values -------------------------------------------------------------------------------------------------

type Blocked = Pick<IdentityRuleSet, 'blockedValues' | 'blockedMailboxes' | 'blockedPatterns'>;

function readBlocked(value: YamlValue | undefined): Blocked {
  const { blockedValues, blockedMailboxes } = DEFAULT_IDENTITY_RULES;
  const fields = value?.fields('blocked', BLOCKED_FIELDS);
  const excepted = new Set(readTexts(fields?.get('except'), 'except', maxBlocked));
  for (const except of excepted) {
    if (blockedValues.has(except) || blockedMailboxes.has(except)) continue;
    const near = nearestName(except, [...blockedValues, ...blockedMailboxes].filter(Boolean));
    const hint = near === undefined ? 'except takes built-in values away; leave it out' : `did you mean "${near}"?`;
    fields?.get('except')?.problem(`"${except}" is not blocked`, hint);
  }
  const without = (standing: ReadonlySet<string>, added: readonly string[]): ReadonlySet<string> =>
    new Set([...standing].filter((each) => !excepted.has(each)).concat(added));
  return {
    blockedValues: without(blockedValues, readTexts(fields?.get('values'), 'values', maxBlocked)),
    blockedMailboxes: without(blockedMailboxes, readTexts(fields?.get('mailboxes'), 'mailboxes', maxBlocked)),
    blockedPatterns: readPatterns(fields?.get('patterns')),
  };
}

/** Trimmed, in lower case, each once. Numbers and booleans count as the texts that they look like. */
function readTexts(value: YamlValue | undefined, what: string, most: number): string[] {
  const items = value?.items(what) ?? [];
  if (items.length > most) value?.problem(`too many ${what}`, `list at most ${String(most)}`);
  const texts = items.slice(0, most).flatMap((item) => {
    const { scalar } = item;
    if (typeof scalar === 'number' || typeof scalar === 'boolean') return [String(scalar)];
    return item.text(`each of ${what}`, maxTextLength)?.trim().toLowerCase() ?? [];
  });
  return [...new Set(texts)];
}

function readPatterns(value: YamlValue | undefined): BlockedPattern[] {
  const items = value?.items('patterns') ?? [];
  if (items.length > maxPatterns) value?.problem('too many patterns', `list at most ${String(maxPatterns)}`);
  return items.slice(0, maxPatterns).flatMap((item) => readPattern(item) ?? []);
}

/** A pattern alone holds in all namespaces. */
function readPattern(item: YamlValue): BlockedPattern | undefined {
  if (typeof item.scalar === 'string') return checkedPattern(item, null);
  const fields = item.fields('a pattern', ['pattern', 'namespace']);
  const at = fields?.get('pattern');
  if (fields === undefined) return undefined;
  if (at === undefined)
    return item.problem('the pattern is missing', 'write { namespace: email, pattern: ".*@example.com" }');
  const ns = fields.get('namespace')?.text('the namespace', maxTextLength) ?? null;
  if (ns !== null && !isNamespace(ns)) return item.problem(`${ns} is no name of a namespace`, 'as email');
  return checkedPattern(at, ns);
}

function checkedPattern(at: YamlValue, ns: string | null): BlockedPattern | undefined {
  const pattern = at.text('a pattern', maxPatternLength);
  if (pattern === undefined) return undefined;
  const problem = problemOfPattern(pattern);
  return problem === null ? { ns, pattern } : at.problem(problem.what, problem.hint);
}

// --- e-mail ---------------------------------------------------------------------------------------------------------

const DOMAIN = /^[a-z0-9-]+(\.[a-z0-9-]+)+$/;

function readEmails(value: YamlValue | undefined): IdentityRuleSet['emails'] {
  const fields = value?.fields('email', EMAIL_FIELDS);
  const at = fields?.get('plus_tags');
  const domains = readTexts(at, 'plus_tags', maxDomains);
  for (const domain of domains) {
    if (!DOMAIN.test(domain)) at?.problem(`"${domain}" is no domain`, 'write domains of providers, as outlook.com');
  }
  return { gmail: fields?.get('gmail')?.bool('gmail') ?? false, plusTagDomains: new Set(domains) };
}
