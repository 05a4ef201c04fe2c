import type { Identifier } from '../events/event.model.js';
import { compareByPriority, isUnique, ruleOf, type IdentityRules } from './identity-rules.model.js';

/*
 * A value is generic when the evidence that names it names more than a bound of other values of unique namespaces: it
 * stands for many people, as the address of an office does. So whether it is one is a function of the set of evidence,
 * and of who decided that it is none.
 *
 * A value that rules block came in before they did. Once those whom the rules concern are resolved anew it counts as
 * generic, whatever it was seen with and whoever says that it is none, until rules that do not block it are resolved.
 * Nobody's neighbour is one: it would not be there had the rules always been so.
 *
 * An event counts as if it did not carry it, unless it carries nothing else: then it is all by itself. It is kept in the
 * event and in its evidence, after all that counts, for the evidence decides, and may decide otherwise one day.
 */

/** Neighbours of unique namespaces beyond which a value is generic. */
export const GENERIC_BOUND = 50;

/** Values that are generic at once, by what they were seen with: more would be a mistake of whoever sends them. */
export const MAX_GENERIC_VALUES = 10_000;

/** Blocked values that count as generic at once. All of them are held in memory, about 0.1 KB each. */
export const MAX_BLOCKED_VALUES = 50_000;

/** Values that processes know because they count for nobody, or did until lately. Beyond it the eldest of the latter are not known. */
export const MAX_KNOWN_VALUES = 2 * (MAX_GENERIC_VALUES + MAX_BLOCKED_VALUES);

/** How long a value is known that counts again: a process that has not heard of it may accept events, ms. */
export const FORMER_KEPT_MS = 24 * 60 * 60 * 1000;

/** Least time between two looks at one component for generic values, ms. */
export const SUSPECT_PAUSE_MS = 10_000;

/** From a revision of a value that was given up to the next look at the value, ms. */
export const GENERIC_RETRY_MS = 60 * 60 * 1000;

/** A value that is generic, or was, or that somebody decided about. */
export interface GenericValue extends Identifier {
  readonly isGeneric: boolean;
  /** Whether it is so because rules block it. */
  readonly isBlocked: boolean;
  /** Distinct values of unique namespaces that it was seen with, when that was last counted. */
  readonly neighbours: number;
  /** When it became generic, or what it is else, ms; of one that counts again, when all was moved. */
  readonly changedAt: number;
  /** Whether it counts again, and not all that names it is where it belongs by that. */
  readonly isMoving: boolean;
  /** Whether somebody decided that it is none. */
  readonly isKept: boolean;
  readonly decidedBy: string | null;
  /** ms */
  readonly decidedAt: number | null;
  readonly reason: string;
}

/** What a set of identifiers counts for. Both by falling priority; the first that counts is the anchor. */
export interface CountedIdentifiers {
  readonly counted: readonly Identifier[];
  /** Undefined: there are none. */
  readonly uncounted?: readonly Identifier[];
}

/**
 * @param identifiers the anchor first. One that hangs on a generic value though it carries others is counted for that
 *   value alone, until it hangs elsewhere.
 */
export function countedOf(
  identifiers: readonly Identifier[],
  { generics }: Pick<IdentityRules, 'generics'>,
): CountedIdentifiers {
  const [anchor, second] = identifiers;
  if (generics === undefined || generics.ids.size === 0 || anchor === undefined || second === undefined) {
    return { counted: identifiers };
  }
  if (generics.ids.has(anchor.id)) return { counted: [anchor], uncounted: identifiers.slice(1) };
  const uncounted = identifiers.filter(({ id }) => generics.ids.has(id));
  if (uncounted.length === 0) return { counted: identifiers };
  return { counted: identifiers.filter(({ id }) => !generics.ids.has(id)), uncounted };
}

/** In the order that an event has them: by falling priority, but what is generic last. The same array if they are. */
export function inAnchorOrder(identifiers: readonly Identifier[], rules: IdentityRules): readonly Identifier[] {
  const { generics } = rules;
  const isGeneric = ({ id }: Identifier): number => Number(generics?.ids.has(id) ?? false);
  const order = (a: Identifier, b: Identifier): number => isGeneric(a) - isGeneric(b) || compareByPriority(rules, a, b);
  const isOrdered = identifiers.every((identifier, i) => {
    const before = identifiers[i - 1];
    return before === undefined || order(before, identifier) <= 0;
  });
  return isOrdered ? identifiers : [...identifiers].sort(order);
}

/** The value that an event belongs to which hangs on one that is generic; null: it hangs on none, or names nobody else who counts. */
export function ownerOfShared(identifiers: readonly Identifier[], rules: IdentityRules): Identifier | null {
  const isGeneric = (identifier: Identifier | undefined): boolean =>
    identifier !== undefined && rules.generics?.ids.has(identifier.id) === true;
  if (!isGeneric(identifiers[0])) return null;
  const [owner] = inAnchorOrder(identifiers, rules);
  return owner === undefined || isGeneric(owner) ? null : owner;
}

/**
 * The value that an event belongs to which hangs elsewhere because the value did not count when it was accepted; null:
 * it hangs where it belongs. Other priorities than it was accepted by do not move it.
 */
export function ownerOfLate([anchor, ...others]: readonly Identifier[], rules: IdentityRules): Identifier | null {
  const { ids, former } = rules.generics ?? {};
  if (anchor === undefined || former === undefined || ids?.has(anchor.id) === true) return null;
  const owner = others.find(({ id }) => former.has(id));
  return owner !== undefined && compareByPriority(rules, owner, anchor) < 0 ? owner : null;
}

/** Whether a component with these numbers of distinct values may have a generic one that is not known yet. */
export function isSuspicious(countsPerNamespace: ReadonlyMap<string, number>, rules: IdentityRules): boolean {
  // Generic values of unique namespaces are neighbours too, and may be of other components.
  let unique = sharedCountOf(rules, (ns) => isUniqueIn(ns, rules));
  for (const [ns, count] of countsPerNamespace) {
    if (isUniqueIn(ns, rules)) unique += count;
  }
  return unique > genericBoundOf(rules);
}

function isUniqueIn(ns: string, rules: IdentityRules): boolean {
  const rule = ruleOf(rules, ns);
  return rule !== undefined && isUnique(rule);
}

/** How many values are generic because many people share them: of some namespaces; default: of all. */
export function sharedCountOf(
  { generics }: Pick<IdentityRules, 'generics'>,
  isOf: (ns: string) => boolean = () => true,
): number {
  if (generics?.shared === undefined) return generics?.ids.size ?? 0;
  let count = 0;
  for (const [ns, own] of generics.shared) if (isOf(ns)) count += own;
  return count;
}

export function genericBoundOf({ genericBound = GENERIC_BOUND }: Pick<IdentityRules, 'genericBound'>): number {
  return genericBound;
}
