import { LRUCache } from 'lru-cache';
import type {
  Identifier,
  IdentifierOrigin,
  IdentifierPolicy,
  RawIdentifier,
  ResolvedIdentifiers,
} from '../events/event.model.js';
import { GenerationCache } from '../platform/generation-cache.js';
import { hashId, type Uuid } from '../platform/ids.js';
import { blockedTest, type BlockedTest } from './blocked-patterns.js';
import { blockingRule } from './blocking-rule.js';
import { inAnchorOrder } from './generic-value.model.js';
import { areNewer, compareByPriority, ruleOf, type IdentityRules } from './identity-rules.model.js';
import { normaliseIdentifier, PhoneParser, type DropReason } from './normalise-identifier.js';

/** Identifiers one event may carry; those of lowest priority beyond it are dropped, which bounds a replay's cost. */
export const MAX_IDENTIFIERS_PER_EVENT = 32;

/** Longer raw values are refused unseen, so that cache keys have a bound. In UTF-16 code units. */
const MAX_RAW_LENGTH = 1024;
const MAX_NAMESPACE_LENGTH = 32;

/** What a raw identifier comes to. */
interface Entry {
  readonly identifier: Identifier | null;
  readonly priority: number;
  /** What an event that carries nothing else is answered, once there was one: no allocation from then on. */
  alone: ResolvedIdentifiers | null;
  /** The answer where it does not count. */
  readonly refused: ResolvedIdentifiers | null;
  /** The same for an origin that is not sure of whom it names. */
  readonly unauthenticated: ResolvedIdentifiers | null;
  /** By former rules, where it counts. */
  readonly formerIds: readonly Uuid[] | undefined;
}

/** What raw identifiers come to, where phone numbers without a country code are of one region. */
interface Regional {
  readonly phones: PhoneParser;
  readonly cache: GenerationCache<Entry>;
}

type Dropped = ResolvedIdentifiers['dropped'][number];

const NONE: ResolvedIdentifiers = Object.freeze({ identifiers: Object.freeze([]), dropped: Object.freeze([]) });

/** Regions of sources, other than that of the rules, of which anything is remembered. */
const MAX_REGIONS = 20;
/** Weft itself. */
const TRUSTED: IdentifierOrigin = { authenticated: true };

interface IdentifierPolicyOptions {
  /** Raw identifiers remembered with their outcome, for each region; about 0.5 KB each. */
  readonly cacheEntries?: number;
  /** By which values had other normal forms; default: none. */
  readonly former?: readonly IdentityRules[];
}

/** Former rules, with what reads telephone numbers by them. */
interface Former {
  readonly rules: IdentityRules;
  readonly phones: PhoneParser;
}

/**
 * Which identifiers of an event count, in which order: a function of the event and the rules alone. The caches only
 * spare work. Answers may be shared between calls and are frozen where they are.
 */
export class CachedIdentifierPolicy implements IdentifierPolicy {
  #rules: IdentityRules;
  #former: readonly Former[];
  #main: Regional;
  readonly #regions: LRUCache<string, Regional>;
  #isBlocked: BlockedTest;
  readonly #cacheEntries: number;

  constructor(rules: IdentityRules, { cacheEntries = 50_000, former = [] }: IdentifierPolicyOptions = {}) {
    this.#rules = rules;
    this.#former = formerOf(former);
    this.#cacheEntries = cacheEntries;
    this.#main = this.#regional(rules.defaultRegion);
    this.#regions = new LRUCache({ max: MAX_REGIONS });
    this.#isBlocked = blockedTest(rules);
  }

  get rules(): IdentityRules {
    return this.#rules;
  }

  get rulesVersion(): number {
    return this.#rules.version;
  }

  /**
   * Puts other rules in force; older ones than those in force are not.
   * @param former by which values had other normal forms
   */
  use(rules: IdentityRules, former: readonly IdentityRules[] = []): void {
    if (!areNewer(this.#rules, rules)) return;
    const isSame = rules.version === this.#rules.version;
    this.#rules = rules;
    // What a raw value comes to does not depend on which are generic.
    if (isSame) return;
    this.#former = formerOf(former);
    this.#isBlocked = blockedTest(rules);
    this.forget();
  }

  /** Forgets what it has seen so far. */
  forget(): void {
    this.#main = this.#regional(this.#rules.defaultRegion);
    this.#regions.clear();
  }

  resolve(raw: readonly RawIdentifier[], origin: IdentifierOrigin = TRUSTED): ResolvedIdentifiers {
    const [only] = raw;
    if (only === undefined) return NONE;
    const regional = this.#regionalOf(origin);
    const isTrusted = origin.authenticated === true;
    if (raw.length === 1) return aloneOf(this.#entryOf(only, regional), isTrusted);

    const kept: Entry[] = [];
    let dropped: Dropped[] | null = null;
    let former: Uuid[] | null = null;
    for (const item of raw) {
      const entry = this.#entryOf(item, regional);
      const refused = isTrusted ? entry.refused : entry.unauthenticated;
      const formerIds = refused === null ? entry.formerIds : refused.formerIds;
      if (formerIds !== undefined) (former ??= []).push(...formerIds);
      if (refused !== null) {
        (dropped ??= []).push(...refused.dropped);
      } else {
        this.#insert(kept, entry);
        const excess = kept.length > MAX_IDENTIFIERS_PER_EVENT ? kept.pop()?.identifier : null;
        if (excess) {
          (dropped ??= []).push({ ns: excess.ns, reason: 'too_many' });
          (former ??= []).push(excess.id);
        }
      }
    }
    const identifiers: Identifier[] = [];
    for (const { identifier } of kept) if (identifier !== null) identifiers.push(identifier);
    const hasGenerics = (this.#rules.generics?.ids.size ?? 0) > 0;
    const ordered = hasGenerics ? inAnchorOrder(identifiers, this.#rules) : identifiers;
    const resolved = { identifiers: ordered, dropped: dropped ?? NONE.dropped };
    return former === null ? resolved : { ...resolved, formerIds: former };
  }

  blockedBy({ ns, value: raw }: RawIdentifier): string | null {
    if (this.resolve([{ ns, value: raw }]).dropped[0]?.reason !== 'blocked') return null;
    const rule = ruleOf(this.#rules, ns);
    const { phones } = this.#main;
    const normal = rule && normaliseIdentifier(rule.normaliser, raw, phones, this.#rules.emails).value;
    return blockingRule(ns, raw, this.#rules) ?? (normal === undefined ? null : blockingRule(ns, normal, this.#rules));
  }

  /** Insertion by priority: events carry two or three identifiers, mostly in order already. Equal ones go in once. */
  #insert(sorted: Entry[], entry: Entry): void {
    let i = sorted.length;
    for (; i > 0; i--) {
      const before = sorted[i - 1];
      if (before === undefined) break;
      const order = this.#compare(before, entry);
      if (order === 0) return;
      if (order < 0) break;
    }
    if (i === sorted.length) sorted.push(entry);
    else sorted.splice(i, 0, entry);
  }

  #compare(a: Entry, b: Entry): number {
    if (a.priority !== b.priority) return b.priority - a.priority;
    if (a.identifier === null || b.identifier === null) return 0;
    return compareByPriority(this.#rules, a.identifier, b.identifier);
  }

  #regional(region: string | null): Regional {
    return { phones: new PhoneParser(region), cache: new GenerationCache(this.#cacheEntries) };
  }

  #regionalOf({ region }: IdentifierOrigin): Regional {
    if (region == null || region === this.#rules.defaultRegion) return this.#main;
    let regional = this.#regions.get(region);
    if (regional === undefined) this.#regions.set(region, (regional = this.#regional(region)));
    return regional;
  }

  #entryOf(item: RawIdentifier, { cache, phones }: Regional): Entry {
    const { ns, value } = item;
    if (ns.length > MAX_NAMESPACE_LENGTH) return dropEntry(ns, 'unknown_namespace');
    if (value.length > MAX_RAW_LENGTH) return dropEntry(ns, 'too_long');
    const key = `${ns}\0${value}`;
    let entry = cache.get(key);
    if (entry === undefined) {
      entry = this.#withFormer(this.#evaluate(ns, value, phones), ns, value);
      cache.set(key, entry);
    }
    return entry;
  }

  #evaluate(ns: string, raw: string, phones: PhoneParser): Entry {
    const rule = ruleOf(this.#rules, ns);
    if (rule === undefined) return dropEntry(ns, 'unknown_namespace');
    const { value, reason } = normaliseIdentifier(rule.normaliser, raw, phones, this.#rules.emails);
    // As it was sent, too: `N/A` is no address, but what is wrong with it is that it is said of everybody.
    const isBlocked = this.#isBlocked(ns, raw) || (value !== undefined && this.#isBlocked(ns, value));
    if (value === undefined) return dropEntry(ns, isBlocked ? 'blocked' : reason);
    const id = hashId(ns, value);
    if (isBlocked) return dropEntry(ns, 'blocked', id);
    const identifier = Object.freeze({ id, ns, value });
    const unauthenticated = rule.onlyFromAuthenticated === true ? droppedAs(ns, 'unauthenticated', id) : null;
    return { identifier, priority: rule.priority, alone: null, refused: null, unauthenticated, formerIds: undefined };
  }

  /** The ids that former rules give where they are others. */
  #withFormer(entry: Entry, ns: string, raw: string): Entry {
    if (this.#former.length === 0) return entry;
    const ids = new Set<Uuid>();
    for (const { rules, phones } of this.#former) {
      const rule = ruleOf(rules, ns);
      const value = rule && normaliseIdentifier(rule.normaliser, raw, phones, rules.emails).value;
      if (value !== undefined) ids.add(hashId(ns, value));
    }
    if (entry.identifier !== null) ids.delete(entry.identifier.id);
    if (ids.size === 0) return entry;
    const withIds = (refused: ResolvedIdentifiers | null): ResolvedIdentifiers | null =>
      refused === null
        ? null
        : Object.freeze({ ...refused, formerIds: Object.freeze([...new Set([...(refused.formerIds ?? []), ...ids])]) });
    return {
      ...entry,
      refused: withIds(entry.refused),
      unauthenticated: withIds(entry.unauthenticated),
      formerIds: Object.freeze([...ids]),
    };
  }
}

function formerOf(rules: readonly IdentityRules[]): Former[] {
  return rules.map((each) => ({ rules: each, phones: new PhoneParser(each.defaultRegion) }));
}

/** Shared between calls, so frozen. */
function aloneOf(entry: Entry, isTrusted: boolean): ResolvedIdentifiers {
  const refused = isTrusted ? entry.refused : entry.unauthenticated;
  if (refused !== null) return refused;
  return (entry.alone ??= answerOf(entry));
}

function answerOf({ identifier, formerIds }: Entry): ResolvedIdentifiers {
  const identifiers = identifier === null ? NONE.identifiers : Object.freeze([identifier]);
  const { dropped } = NONE;
  return Object.freeze(formerIds === undefined ? { identifiers, dropped } : { identifiers, dropped, formerIds });
}

function dropEntry(ns: string, reason: DropReason, id?: Uuid): Entry {
  const refused = droppedAs(ns, reason, id);
  return {
    identifier: null,
    priority: -Infinity,
    alone: null,
    refused,
    unauthenticated: refused,
    formerIds: undefined,
  };
}

/** @param id what it would have been: who was erased under it is not to come back under other identifiers */
function droppedAs(ns: string, reason: DropReason, id?: Uuid): ResolvedIdentifiers {
  const dropped = Object.freeze([Object.freeze({ ns, reason })]);
  return Object.freeze({
    identifiers: NONE.identifiers,
    dropped,
    ...(id === undefined ? undefined : { formerIds: Object.freeze([id]) }),
  });
}
