import type { FastifyRequest } from 'fastify';

const EDGE_KEY = 'weft_e_';

/**
 * The key that a request shows; null: none. A header counts before the query string, where only keys of pages may be:
 * those are public by nature, others end up in logs.
 */
export function secretOf({ headers: { authorization }, query }: FastifyRequest): string | null {
  if (authorization !== undefined) return bearerOf(authorization);
  const { key } = query as { readonly key?: unknown };
  return typeof key === 'string' && key.startsWith(EDGE_KEY) ? key : null;
}

/** RFC 6750 §2.1. Null for anything else. */
export function bearerOf(header: string | undefined): string | null {
  return /^bearer +(\S+) *$/i.exec(header ?? '')?.[1] ?? null;
}
