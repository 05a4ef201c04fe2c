import type { Uuid } from '../platform/ids.js';

export type IdentifierPair = readonly [Uuid, Uuid];

/** Decisions by people. Pairs with an end that is not in the evidence have no effect. */
export interface IdentityLinks {
  /** Joined before any evidence, limits aside; the values so joined count as one towards limits. */
  readonly mustLinks: readonly IdentifierPair[];
  /** Never in one group, whatever the evidence; stronger than must-links. */
  readonly cannotLinks: readonly IdentifierPair[];
}

export const NO_LINKS: IdentityLinks = { mustLinks: [], cannotLinks: [] };

export function hasLinks({ mustLinks, cannotLinks }: IdentityLinks): boolean {
  return mustLinks.length > 0 || cannotLinks.length > 0;
}

/** All links of the two, each once; `a` itself where `b` adds nothing. */
export function unionOfLinks(a: IdentityLinks, b: IdentityLinks): IdentityLinks {
  if (a === b || !hasLinks(b)) return a;
  const mustLinks = unionOfPairs(a.mustLinks, b.mustLinks);
  const cannotLinks = unionOfPairs(a.cannotLinks, b.cannotLinks);
  const isMore = mustLinks.length > a.mustLinks.length || cannotLinks.length > a.cannotLinks.length;
  return isMore ? { mustLinks, cannotLinks } : a;
}

/** The pair as it is stored: the lesser id first. */
export function sortedPair(a: Uuid, b: Uuid): IdentifierPair {
  return a < b ? [a, b] : [b, a];
}

function unionOfPairs(a: readonly IdentifierPair[], b: readonly IdentifierPair[]): readonly IdentifierPair[] {
  const pairs = new Map<string, IdentifierPair>();
  for (const [x, y] of [...a, ...b]) {
    const pair = sortedPair(x, y);
    pairs.set(pair.join(' '), pair);
  }
  return [...pairs.values()];
}

/** Links by either end. */
export class LinkIndex {
  readonly #must = new Map<Uuid, Uuid[]>();
  readonly #cannot = new Map<Uuid, Uuid[]>();

  add({ mustLinks, cannotLinks }: IdentityLinks): void {
    for (const pair of mustLinks) addPair(this.#must, pair);
    for (const pair of cannotLinks) addPair(this.#cannot, pair);
  }

  /** Whom this identifier must stand together with. */
  mustWith(id: Uuid): readonly Uuid[] {
    return this.#must.get(id) ?? NOBODY;
  }

  hasCannot(id: Uuid): boolean {
    return this.#cannot.has(id);
  }

  of(id: Uuid): IdentityLinks {
    const must = this.#must.get(id);
    const cannot = this.#cannot.get(id);
    if (must === undefined && cannot === undefined) return NO_LINKS;
    const pairsWith = (others: readonly Uuid[]): IdentifierPair[] => others.map((other) => sortedPair(id, other));
    return { mustLinks: pairsWith(must ?? NOBODY), cannotLinks: pairsWith(cannot ?? NOBODY) };
  }

  /** All links that have an end among these. */
  around(ids: Iterable<Uuid>): IdentityLinks {
    if (this.#must.size === 0 && this.#cannot.size === 0) return NO_LINKS;
    const links: { mustLinks: IdentifierPair[]; cannotLinks: IdentifierPair[] } = { mustLinks: [], cannotLinks: [] };
    for (const id of ids) {
      const { mustLinks, cannotLinks } = this.of(id);
      links.mustLinks.push(...mustLinks);
      links.cannotLinks.push(...cannotLinks);
    }
    return {
      mustLinks: unionOfPairs(links.mustLinks, []),
      cannotLinks: unionOfPairs(links.cannotLinks, []),
    };
  }
}

const NOBODY: readonly Uuid[] = [];

function addPair(ends: Map<Uuid, Uuid[]>, [a, b]: IdentifierPair): void {
  for (const [end, other] of [
    [a, b],
    [b, a],
  ] as const) {
    const others = ends.get(end);
    if (others === undefined) ends.set(end, [other]);
    else if (!others.includes(other)) others.push(other);
  }
}
