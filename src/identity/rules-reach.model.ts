import { isNamespace } from '../events/event.model.js';
import type { Warning } from '../platform/warning.js';
import { genericBoundOf, sharedCountOf } from './generic-value.model.js';
import {
  isUnique,
  maxIdentifiersOf,
  type IdentityRules,
  type IdentityRuleSet,
  type NamespaceRule,
} from './identity-rules.model.js';

/*
 * Which raw components a change of the rules may resolve otherwise, told by how many values of which namespaces they have.
 *
 * Invariants
 * 1. A component that is not reached, and is as the rules before say, is as those after say. The other way round need not
 *    be so: a component that is reached may come out as it was.
 * 2. What normal forms are, and which origins count (normalisers, e-mail, regions), is decided when an event is accepted,
 *    and reaches nobody who is there.
 * 3. A limit, with its window, matters to components alone that have more values than the lesser of the two limits: in
 *    any other, each union keeps within both. It is so, too, for what follows from being unique, which takes two values.
 * 4. What values stand for many people follows from what is unique: components of so many that one of them may have such
 *    a value are reached where a namespace becomes unique.
 * 5. Where other values are blocked, whoever stands with one that is blocked is reached (`component-page.reader.ts`), and
 *    so is whoever was seen with one that was.
 */

/** A change of the rules, by what it reaches of what is stored. */
export interface RulesReach {
  /** Values of a namespace beyond which a component is reached. */
  readonly namespaces: ReadonlyMap<string, number>;
  /** The same for every namespace that neither of the rules lists; null: by these none is. */
  readonly others: number | null;
  /** Namespaces that at least one of the rules lists. */
  readonly listed: ReadonlySet<string>;
  /** Identifiers of all namespaces beyond which a component is reached; null: by these none is. */
  readonly identifiers: number | null;
  /** Whether other values are blocked: components that have one, and more than that, are reached. */
  readonly blocks: boolean;
  /** What of the change it is, for people, as `email (limit, window)`; empty: it reaches nobody. */
  readonly causes: readonly string[];
}

/** Who stands alone stands alone under any rules. */
const LEAST_IDENTIFIERS = 2;

/** Everybody who is more than one identifier: what no change, but a look at all of them, reaches. */
export const REACH_OF_ALL: RulesReach = {
  namespaces: new Map(),
  others: null,
  listed: new Set(),
  identifiers: LEAST_IDENTIFIERS - 1,
  blocks: true,
  causes: [],
};

export function reachOfRules(
  before: IdentityRuleSet,
  after: IdentityRuleSet & Pick<IdentityRules, 'generics'>,
): RulesReach {
  const listed = new Set([...before.namespaces.keys(), ...after.namespaces.keys()]);
  const namespaces = new Map<string, number>();
  const causes: string[] = [];
  const compare = (name: string, was: NamespaceRule, is: NamespaceRule): number | null => {
    const fields = differing(was, is);
    if (fields.length === 0) return null;
    causes.push(`${name} (${fields.join(', ')})`);
    const isOfLimit = fields.every((field) => field === 'limit' || field === 'window');
    return isOfLimit ? Math.min(was.limit, is.limit) : 0;
  };
  for (const ns of listed) {
    if (!isNamespace(ns)) continue;
    const beyond = compare(
      ns,
      before.namespaces.get(ns) ?? before.fallback,
      after.namespaces.get(ns) ?? after.fallback,
    );
    if (beyond !== null) namespaces.set(ns, beyond);
  }
  const others = compare('fallback', before.fallback, after.fallback);
  const [was, is] = [maxIdentifiersOf(before), maxIdentifiersOf(after)];
  if (was !== is) causes.push('max_identifiers');
  const blocked = blockedFields(before, after);
  if (blocked.length > 0) causes.push(`blocked (${blocked.join(', ')})`);
  // Those that are generic already are neighbours, too, and of other components.
  const neighbours = Math.max(LEAST_IDENTIFIERS - 1, genericBoundOf(after) - sharedCountOf(after));
  const beyond = [...(was === is ? [] : [was, is]), ...(areOthersUnique(before, after) ? [neighbours] : [])];
  const identifiers = beyond.length === 0 ? null : Math.min(...beyond);
  return { namespaces, others, listed, identifiers, blocks: blocked.length > 0, causes };
}

/** Whether a namespace is unique by one of the rules alone. */
export function areOthersUnique(before: IdentityRuleSet, after: IdentityRuleSet): boolean {
  const isOther = (was = before.fallback, is = after.fallback): boolean => isUnique(was) !== isUnique(is);
  const listed = [...new Set([...before.namespaces.keys(), ...after.namespaces.keys()])];
  return isOther() || listed.some((ns) => isOther(before.namespaces.get(ns), after.namespaces.get(ns)));
}

/** What is said of rules that block other values, to whoever has nobody resolved anew; null: they block the same. */
export function warningOfBlocked(before: IdentityRules, after: IdentityRuleSet): Warning | null {
  if (blockedFields(before, after).length === 0) return null;
  return {
    message:
      'what is blocked, or no longer is, holds for what comes: who was joined by such a value stays joined, and who was parted stays apart, until they are resolved anew',
    where: 'identity.blocked',
    hint: `weft apply --re-resolve does so with the change, weft identity reresolve --since ${String(before.version)} after it`,
  };
}

/** Of what is blocked that which differs, by the names that files have for it. */
function blockedFields(before: IdentityRuleSet, after: IdentityRuleSet): string[] {
  const patternsOf = ({ blockedPatterns }: IdentityRuleSet): Set<string> =>
    new Set(blockedPatterns.map(({ ns, pattern }) => `${ns ?? ''} ${pattern}`));
  const isSame = (a: ReadonlySet<string>, b: ReadonlySet<string>): boolean =>
    a.size === b.size && [...a].every((each) => b.has(each));
  return [
    ...(isSame(before.blockedValues, after.blockedValues) ? [] : ['values']),
    ...(isSame(patternsOf(before), patternsOf(after)) ? [] : ['patterns']),
    ...(isSame(before.blockedMailboxes, after.blockedMailboxes) ? [] : ['mailboxes']),
  ];
}

/** Of what resolves those who are there, by the names that files have for it. */
function differing(was: NamespaceRule, is: NamespaceRule): string[] {
  return [
    ...(was.priority === is.priority ? [] : ['priority']),
    ...(was.limit === is.limit ? [] : ['limit']),
    ...(was.windowMs === is.windowMs ? [] : ['window']),
    ...(was.mayMerge === is.mayMerge ? [] : ['may_merge']),
    ...((was.shared ?? 'link') === (is.shared ?? 'link') ? [] : ['shared']),
  ];
}

/** @param counts distinct values of a component, by namespace */
export function isReached(counts: ReadonlyMap<string, number>, reach: RulesReach): boolean {
  let identifiers = 0;
  let isBeyond = false;
  for (const [ns, count] of counts) {
    identifiers += count;
    const beyond = reach.listed.has(ns) ? reach.namespaces.get(ns) : reach.others;
    if (beyond !== undefined && beyond !== null && count > beyond) isBeyond = true;
  }
  if (identifiers < LEAST_IDENTIFIERS) return false;
  return isBeyond || (reach.identifiers !== null && identifiers > reach.identifiers);
}
