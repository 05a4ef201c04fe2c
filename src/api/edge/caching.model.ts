/**
 * Who may keep an answer: `shared` caches, only the one who asked (`private`), or nobody (`none`). In rising order of
 * strictness.
 */
export const CACHING = ['shared', 'private', 'none'] as const;
export type Caching = (typeof CACHING)[number];

/** How long a shared cache may answer by itself, s. */
export const SHARED_MAX_AGE_S = 5;
/** How long beyond that it may, while it asks anew (RFC 5861 §3), s. */
export const SHARED_STALE_S = 30;

const CONTROL: Readonly<Record<Caching, string>> = {
  shared: `public, max-age=${String(SHARED_MAX_AGE_S)}, stale-while-revalidate=${String(SHARED_STALE_S)}`,
  // Kept, but asked for again each time, which costs no body where nothing changed.
  private: 'private, no-cache',
  none: 'no-store',
};

/** What the resolvers of one request say of its answer; the strictest counts. */
export class CachingNotes {
  #strictest: Caching | null = null;

  note(caching: Caching): void {
    const before = this.#strictest;
    if (before === null || CACHING.indexOf(caching) > CACHING.indexOf(before)) this.#strictest = caching;
  }

  /** Null: nobody said anything. */
  get caching(): Caching | null {
    return this.#strictest;
  }

  /** For a second attempt at the request. */
  clear(): void {
    this.#strictest = null;
  }
}

export function cacheControl(caching: Caching): string {
  return CONTROL[caching];
}

/**
 * A weak validator (RFC 9110 §8.8.1): the same answer may leave in other bytes, compressed by a proxy for one, and
 * nobody asks for parts of it, which is all that a strong one would add.
 *
 * Two sums in the manner of FNV-1a (Fowler, Noll, Vo) over UTF-16 units, and the length: nobody gains by two answers to one
 * address that have one tag, and SHA-1 would take four times as long.
 */
export function entityTag(body: string): string {
  let a = 0x811c9dc5;
  let b = 0x9e3779b9;
  for (let i = 0; i < body.length; i++) {
    const unit = body.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ unit, 0x0100019d);
  }
  return `W/"${(a >>> 0).toString(36)}-${(b >>> 0).toString(36)}-${body.length.toString(36)}"`;
}

/** Whether a header `If-None-Match` names the tag, by weak comparison (RFC 9110 §13.1.2). */
export function namesTag(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  if (header.trim() === '*') return true;
  const opaque = tag.replace(/^W\//, '');
  return header.split(',').some((each) => each.trim().replace(/^W\//, '') === opaque);
}
