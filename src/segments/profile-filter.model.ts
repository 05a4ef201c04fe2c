import type { Uuid } from '../platform/ids.js';
import { ORDERED_KEYS, type KeyRange } from '../profiles/search-key.model.js';

/** One thing that is asked of profiles, and that an index can tell. */
export type FilterTerm =
  /** A value of a field is one of these keys. */
  | { readonly kind: 'keys'; readonly fieldId: number; readonly keys: readonly Buffer[] }
  /** A value of a field lies in a stretch of keys. */
  | { readonly kind: 'range'; readonly fieldId: number; readonly range: KeyRange }
  /** It is known by one of these identifiers. */
  | { readonly kind: 'identifiers'; readonly ids: readonly Uuid[] }
  /** It is known by an identifier of a namespace that begins with a text. */
  | { readonly kind: 'identifier_prefix'; readonly namespace: string; readonly prefix: string }
  /** It is in one of these segments, which it entered from the one instant on and before the other, ms. */
  | { readonly kind: 'segments'; readonly ids: readonly number[]; readonly fromMs: number; readonly toMs: number }
  /** Its first event was applied from the one instant on and before the other, ms. */
  | { readonly kind: 'created'; readonly fromMs: number; readonly toMs: number };

/** What profiles are to be. An empty `and` is true of all, an empty `or` of none. */
export type ProfileFilter =
  | { readonly kind: 'term'; readonly term: FilterTerm }
  | { readonly kind: 'and' | 'or'; readonly all: readonly ProfileFilter[] }
  | { readonly kind: 'not'; readonly of: ProfileFilter };

/** What profiles are put in order by; those that lack the field are left out. Ties go by id. */
export type SearchOrder = {
  readonly descending: boolean;
} & ({ readonly by: 'id' } | { readonly by: 'created' } | { readonly by: 'field'; readonly fieldId: number });

/** A place in the order. */
export interface SearchPlace {
  readonly id: Uuid;
  /** By what it is in order: nothing, an instant in ms, or a key. */
  readonly key: null | number | Buffer;
}

export interface ProfileSearch {
  readonly filter: ProfileFilter;
  readonly order: SearchOrder;
  /** Where to go on; null: at the start. */
  readonly after: SearchPlace | null;
  readonly limit: number;
}

export interface FoundProfiles {
  /** At most one more than `limit`. */
  readonly places: readonly SearchPlace[];
  /** Set where the search stopped for having looked at enough: it goes on behind this place. */
  readonly stoppedAt: SearchPlace | null;
}

/** How many profiles there are. */
export interface ProfileCount {
  readonly value: number;
  readonly relation: 'exact' | 'at_least' | 'estimate';
}

/** True of every profile. */
export const EVERYBODY: ProfileFilter = { kind: 'and', all: [] };

export function termOf(term: FilterTerm): ProfileFilter {
  return { kind: 'term', term };
}

/** True of those of whom the filter is, and who are in the order: all that its pages hold. */
export function listed(filter: ProfileFilter, order: SearchOrder): ProfileFilter {
  if (order.by !== 'field') return filter;
  const { fieldId } = order;
  const isWithin = ({ from, to }: KeyRange): boolean =>
    Buffer.compare(from, ORDERED_KEYS.from) >= 0 && Buffer.compare(to, ORDERED_KEYS.to) <= 0;
  const isImplied = conjuncts(filter).some(
    (term) => term.kind === 'range' && term.fieldId === fieldId && isWithin(term.range),
  );
  if (isImplied) return filter;
  const present = termOf({ kind: 'range', fieldId, range: ORDERED_KEYS });
  return filter.kind === 'and' && filter.all.length === 0 ? present : { kind: 'and', all: [filter, present] };
}

/** The terms that have to be true for the whole to be: those that are joined by `and` alone. */
export function conjuncts(filter: ProfileFilter): FilterTerm[] {
  if (filter.kind === 'term') return [filter.term];
  return filter.kind === 'and' ? filter.all.flatMap(conjuncts) : [];
}

/** The terms that are not negated. */
export function positiveTerms(filter: ProfileFilter): FilterTerm[] {
  if (filter.kind === 'term') return [filter.term];
  return filter.kind === 'not' ? [] : filter.all.flatMap(positiveTerms);
}

/**
 * Terms of which at least one is true wherever the filter is, with the fewest profiles in all; null where there are none,
 * as for a negation.
 * @param sizeOf profiles of which a term is true, or more than can be gone through
 */
export function narrowest(
  filter: ProfileFilter,
  sizeOf: (term: FilterTerm) => number,
): { readonly terms: readonly FilterTerm[]; readonly size: number } | null {
  switch (filter.kind) {
    case 'term':
      return { terms: [filter.term], size: sizeOf(filter.term) };
    case 'not':
      return null;
    case 'and': {
      const each = filter.all.flatMap((part) => narrowest(part, sizeOf) ?? []);
      return each.length === 0 ? null : each.reduce((least, next) => (next.size < least.size ? next : least));
    }
    case 'or': {
      const each = filter.all.map((part) => narrowest(part, sizeOf));
      if (each.some((part) => part === null)) return null;
      const parts = each.filter((part) => part !== null);
      return { terms: parts.flatMap(({ terms }) => terms), size: parts.reduce((sum, { size }) => sum + size, 0) };
    }
  }
}
