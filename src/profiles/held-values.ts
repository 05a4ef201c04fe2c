import { canonicalText, compareCanonical, type CanonicalKey, type JsonValue } from '../events/event.model.js';
import { SURVIVORSHIPS, type Survivorship } from './trait-rule.model.js';

/*
 * What is kept of the values given for a trait, where more is needed than the newest.
 *
 * Invariants
 * H1  What is kept is a function of the set of observations: joining is commutative, associative and idempotent. Each rule
 *     keeps the greatest of a total order (most recent, longest, min, max), the newest of each rank (source priority), or
 *     the newest `n` of an order in which an observation can only rise (most frequent, union).
 * H2  Of all observations those of the greatest weight alone count; among them, but for the rules that take null as a
 *     value, those that are not null. Both are filters by the greatest, so H1 stands.
 * H3  `overflow` says that an observation that counts was left out: more than `n` were ever there.
 * H4  What a deletion takes back is gone from the anchor for good: `deletedAt` refuses observations from before it, in
 *     whatever order they come. A deletion is accepted after all that it takes back (`occurredAt <= acceptedAt`), so
 *     nothing that it should spare is lost with it.
 */

/** A value, once given. */
export interface Observation extends CanonicalKey {
  readonly value: JsonValue;
  /** Index into `PROVENANCES`. */
  readonly provenance: number;
  /** Its provenance where that has precedence, else the same for all. */
  readonly weight: number;
  /** Place of its source in the list of those that are believed first; 0 for rules that have none. */
  readonly rank: number;
}

export interface HeldValues {
  readonly kind: Survivorship;
  /** By canonical key, then text: equal sets are equal lists. */
  readonly kept: readonly Observation[];
  readonly overflow: boolean;
  /** When the trait was deleted last, ms; 0: never. */
  readonly deletedAt: number;
}

/** Most observations that count for `most_frequent`: the newest. */
export const MAX_FREQUENT = 64;
/** Most items of a `union`: those given last. */
export const MAX_UNION = 100;

/** What one observation is held as. @param kind `union` takes a list apart */
export function hold(kind: Survivorship, observation: Observation): HeldValues {
  const { value } = observation;
  const items = kind === 'union' && Array.isArray(value) ? value.filter((item) => item !== null) : null;
  if (items === null) return { kind, kept: [observation], overflow: false, deletedAt: 0 };
  if (items.length === 0) return { kind, kept: [{ ...observation, value: null }], overflow: false, deletedAt: 0 };
  return settle(
    kind,
    items.map((item) => ({ ...observation, value: item })),
    false,
  );
}

export function join(a: HeldValues, b: HeldValues): HeldValues {
  const deletedAt = Math.max(a.deletedAt, b.deletedAt);
  if (a.kept.length === 0) return { ...b, deletedAt };
  if (b.kept.length === 0) return { ...a, deletedAt };
  // Two kinds meet only while a change of the rule is being carried out.
  const kind = SURVIVORSHIPS.indexOf(a.kind) >= SURVIVORSHIPS.indexOf(b.kind) ? a.kind : b.kind;
  const weight = Math.max(weightOf(a), weightOf(b));
  const overflow = (a.overflow && weightOf(a) === weight) || (b.overflow && weightOf(b) === weight);
  return { ...settle(kind, [...a.kept, ...b.kept], overflow), deletedAt };
}

/** The same observations with their values in another form, in which equal values are equal, too. */
export function withValues(held: HeldValues, form: (value: JsonValue) => JsonValue): HeldValues {
  const { kind, deletedAt, overflow } = held;
  const kept = held.kept.map((each) => ({ ...each, value: form(each.value) }));
  // In the order of the new form, and once each: the two forms may have met while a rule was being carried out.
  return kept.length < 2 ? { ...held, kept } : { ...settle(kind, kept, overflow), deletedAt };
}

/** The observation whose value is shown, with what is shown; null if there is none. */
export function shown({ kind, kept }: HeldValues): Observation | null {
  const [first] = kept;
  if (first === undefined) return null;
  switch (kind) {
    case 'source_priority':
      return kept.reduce((best, each) => (compareByRank(each, best) < 0 ? each : best));
    case 'most_frequent':
      return mostFrequent(kept);
    case 'union': {
      const newest = kept.at(-1) ?? first;
      return { ...newest, value: kept.flatMap(({ value }) => (value === null ? [] : [value])) };
    }
    default:
      return first;
  }
}

function weightOf({ kept }: HeldValues): number {
  return kept[0]?.weight ?? -1;
}

function settle(kind: Survivorship, all: readonly Observation[], overflow: boolean): HeldValues {
  let weight = -1;
  for (const each of all) weight = Math.max(weight, each.weight);
  let counting = all.filter((each) => each.weight === weight);
  if (kind !== 'most_recent' && kind !== 'source_priority') {
    const valued = counting.filter(({ value }) => value !== null);
    if (valued.length === 0) return { kind, kept: [newestOf(counting)], overflow: false, deletedAt: 0 };
    counting = valued;
  }
  const kept = keep(kind, counting);
  const most = kind === 'union' ? MAX_UNION : MAX_FREQUENT;
  kept.sort(compareObservations);
  return {
    kind,
    kept: kept.length > most ? kept.slice(-most) : kept,
    overflow: overflow || kept.length > most,
    deletedAt: 0,
  };
}

/** Those that may be shown, now or once others have come; in no order. */
function keep(kind: Survivorship, counting: readonly Observation[]): Observation[] {
  switch (kind) {
    case 'most_recent':
      return [newestOf(counting)];
    case 'longest':
      return [bestOf(counting, compareByLength)];
    case 'min':
      return [bestOf(counting, (a, b) => compareValues(a.value, b.value, 1))];
    case 'max':
      return [bestOf(counting, (a, b) => compareValues(a.value, b.value, -1))];
    case 'source_priority':
      return newestBy(counting, ({ rank }) => rank);
    case 'most_frequent':
      return newestBy(counting, canonicalText);
    case 'union':
      return newestBy(counting, ({ value }) => JSON.stringify(value));
  }
}

function newestBy(all: readonly Observation[], keyOf: (each: Observation) => unknown): Observation[] {
  const newest = new Map<unknown, Observation>();
  for (const each of all) {
    const key = keyOf(each);
    const standing = newest.get(key);
    if (standing === undefined || compareObservations(each, standing) > 0) newest.set(key, each);
  }
  return [...newest.values()];
}

function newestOf(all: readonly Observation[]): Observation {
  return all.reduce((newest, each) => (compareObservations(each, newest) > 0 ? each : newest));
}

/** The least by `compare`; of equal ones the newest. */
function bestOf(all: readonly Observation[], compare: (a: Observation, b: Observation) => number): Observation {
  return all.reduce((best, each) => {
    const order = compare(each, best);
    return order < 0 || (order === 0 && compareObservations(each, best) > 0) ? each : best;
  });
}

/** A total order: one event may give several items of a union. */
function compareObservations(a: Observation, b: Observation): number {
  const order = compareCanonical(a, b);
  if (order !== 0) return order;
  const [x, y] = [JSON.stringify(a.value), JSON.stringify(b.value)];
  return x < y ? -1 : x > y ? 1 : 0;
}

/** What a source says last counts for it: where that is null, the next one is asked. */
function compareByRank(a: Observation, b: Observation): number {
  if ((a.value === null) !== (b.value === null)) return a.value === null ? 1 : -1;
  return a.value === null ? -compareObservations(a, b) : a.rank - b.rank;
}

function mostFrequent(kept: readonly Observation[]): Observation {
  const groups = new Map<string, { count: number; newest: Observation }>();
  // By rising key: the last of a value is its newest.
  for (const each of kept) {
    const text = JSON.stringify(each.value);
    groups.set(text, { count: (groups.get(text)?.count ?? 0) + 1, newest: each });
  }
  const [first, ...others] = [...groups.values()];
  if (first === undefined) throw new Error('nothing is held');
  return others.reduce(
    (best, each) =>
      each.count > best.count || (each.count === best.count && compareObservations(each.newest, best.newest) > 0)
        ? each
        : best,
    first,
  ).newest;
}

/** Texts by UTF-16 units and lists by items, longest first; whatever has no length comes last. */
function compareByLength(a: Observation, b: Observation): number {
  return lengthOf(b.value) - lengthOf(a.value);
}

function lengthOf(value: JsonValue): number {
  return typeof value === 'string' || Array.isArray(value) ? value.length : -1;
}

/** Numbers, then texts by UTF-16 code unit, then all else by its JSON; within a kind by `direction`. */
function compareValues(a: JsonValue, b: JsonValue, direction: 1 | -1): number {
  const kinds = kindOf(a) - kindOf(b);
  if (kinds !== 0) return kinds;
  if (typeof a === 'number' && typeof b === 'number') return (a - b) * direction;
  const [x, y] = typeof a === 'string' && typeof b === 'string' ? [a, b] : [JSON.stringify(a), JSON.stringify(b)];
  return (x < y ? -1 : x > y ? 1 : 0) * direction;
}

function kindOf(value: JsonValue): number {
  return typeof value === 'number' ? 0 : typeof value === 'string' ? 1 : 2;
}
