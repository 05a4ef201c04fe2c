import type { FastifyReply, FastifyRequest } from 'fastify';
import { WeftError } from '../../platform/errors.js';
import type { ApiKey, Principal } from '../auth/api-key.model.js';
import { isUsable } from '../auth/api-key.model.js';
import { cacheControl, entityTag, namesTag, type Caching } from './caching.model.js';

/*
 * What HTTP adds for pages that ask across origins (https://fetch.spec.whatwg.org/#http-cors-protocol):
 *
 *  1. Only edge keys are for pages of other origins. The answers to all others carry nothing that lets a page read them.
 *  2. An edge key says which origins may ask. A request of another is refused before its body is read. One without
 *     `Origin` is no page's of another origin, and passes.
 *  3. A preflight carries no key. It is allowed to the origins of any edge key in use, which tells nobody anything but
 *     that; the request that follows is held against its own key.
 *  4. Nothing is ever sent by cookie, so credentials are never allowed.
 */

/** How long a browser need not ask again whether it may, s. */
const PREFLIGHT_MAX_AGE_S = 600;
/** How old the list of all origins may be, ms. */
const ORIGINS_TTL_MS = 10_000;
const EDGE_KEY = 'weft_e_';

/** The key in the query string, where only keys of pages may be: those are public by nature, others end up in logs. */
export function keyInQuery({ query }: FastifyRequest): string | null {
  const { key } = query as { readonly key?: unknown };
  return typeof key === 'string' && key.startsWith(EDGE_KEY) ? key : null;
}

/** @throws WeftError FORBIDDEN for a page of an origin that the key does not list */
export function admitOrigin(request: FastifyRequest, reply: FastifyReply, principal: Principal): void {
  if (!principal.scopes.includes('edge')) return;
  const { origin } = request.headers;
  // What is said of an answer later takes the place of it; errors stay with it.
  reply.header('vary', 'Origin, Accept, Authorization').header('cache-control', cacheControl('none'));
  if (origin === undefined) return;
  if (!isOriginAllowed(principal, origin)) {
    throw new WeftError('FORBIDDEN', 'this key is not for pages of this origin', {
      where: 'origin',
      hint: 'make a key with the origin of the page, as in weft keys create --scope edge --origin https://shop.example',
    });
  }
  reply.header('access-control-allow-origin', principal.origins.includes(origin) ? origin : '*');
}

/** @param origin undefined: of no page of another origin */
function isOriginAllowed({ scopes, origins }: Principal, origin: string | undefined): boolean {
  return !scopes.includes('edge') || origin === undefined || origins.includes(origin) || origins.includes('*');
}

/** Answers 204 to a preflight, with what the page may send if its origin is that of an edge key. */
export async function answerPreflight(
  { headers: { origin = '' } }: FastifyRequest,
  reply: FastifyReply,
  origins: EdgeOrigins,
): Promise<FastifyReply> {
  reply.header('vary', 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers');
  if (await origins.allow(origin)) {
    reply
      .header('access-control-allow-origin', origin)
      .header('access-control-allow-methods', 'GET, POST')
      .header('access-control-allow-headers', 'authorization, content-type')
      .header('access-control-max-age', String(PREFLIGHT_MAX_AGE_S));
  }
  return reply.code(204).send();
}

/** The origins of all edge keys in use, from a moment ago. */
export class EdgeOrigins {
  readonly #keys: { list(): Promise<readonly ApiKey[]> };
  readonly #now: () => number;
  #origins: Promise<ReadonlySet<string>> | null = null;
  #loadedAtMs = 0;

  /** @param now ms */
  constructor(keys: { list(): Promise<readonly ApiKey[]> }, now: () => number) {
    this.#keys = keys;
    this.#now = now;
  }

  async allow(origin: string): Promise<boolean> {
    if (origin === '') return false;
    const nowMs = this.#now();
    if (this.#origins === null || nowMs - this.#loadedAtMs >= ORIGINS_TTL_MS) {
      this.#loadedAtMs = nowMs;
      const loading = this.#load(nowMs);
      this.#origins = loading;
      loading.catch(() => {
        if (this.#origins === loading) this.#origins = null;
      });
    }
    const origins = await this.#origins;
    return origins.has(origin) || origins.has('*');
  }

  async #load(nowMs: number): Promise<ReadonlySet<string>> {
    const keys = await this.#keys.list();
    return new Set(keys.filter((key) => isUsable(key, nowMs)).flatMap(({ origins }) => origins));
  }
}

/**
 * Says who may keep the answer to a `GET` if its resolvers said so, and leaves the body out where the one who asks has it.
 *
 * Shared caches find an answer by its address. So only one that is wholly of its address is theirs: the key has to be in
 * it, too, or they would answer to whoever has none.
 *
 * @returns the body to be sent; empty with status 304
 */
export function cacheable(request: FastifyRequest, reply: FastifyReply, said: Caching | null, body: string): string {
  if (request.method !== 'GET' || said === null) return body;
  const caching = said === 'shared' && request.headers.authorization !== undefined ? 'private' : said;
  reply.header('cache-control', cacheControl(caching));
  if (caching === 'none') return body;
  const tag = entityTag(body);
  reply.header('etag', tag);
  if (!namesTag(request.headers['if-none-match'], tag)) return body;
  reply.code(304).removeHeader('content-type');
  return '';
}
