import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../../platform/clock.js';
import { WeftError } from '../../platform/errors.js';
import { ReadThroughCache } from '../../platform/read-through-cache.js';
import { isOrigin, prefixOf, type Principal } from '../auth/api-key.model.js';
import { secretOf } from '../auth/secret-of-request.js';
import { cacheControl, entityTag, namesTag, type Caching } from './caching.model.js';

/*
 * What HTTP adds for pages that ask across origins (https://fetch.spec.whatwg.org/#http-cors-protocol):
 *
 *  1. Only edge keys are for pages of other origins. The answers to all others carry nothing that lets a page read them,
 *     but for what rule 5 says.
 *  2. An edge key says which origins may ask. A request of another is refused before its body is read. One without
 *     `Origin` is no page's of another origin, and passes.
 *  3. A preflight carries no key. It is allowed to the origins of any edge key in use, which tells nobody anything but
 *     that; the request that follows is held against its own key.
 *  4. Nothing is ever sent by cookie, so credentials are never allowed.
 *  5. Any page may read why it was refused before anything was looked up (401, 403, 429, 503): code, message and hint, and
 *     how long to wait. There is no data in them, and a page that is told nothing takes them for a broken network.
 */

/** How long a browser need not ask again whether it may, s. */
const PREFLIGHT_MAX_AGE_S = 600;
/** How old the list of all origins may be, ms. */
const ORIGINS_TTL_MS = 10_000;
/** How old it may be while the database is away, ms. */
const ORIGINS_STAND_IN_MS = 600_000;
/** How long a preflight waits for the database before the list that was is good enough, ms. */
const ORIGINS_PATIENCE_MS = 100;
/** Of more than these nobody is told apart in a preflight: all may then send, and each is held against its key. */
const MAX_ORIGINS = 10_000;
const EXPOSED_HEADERS = 'etag, retry-after';
const VARY = 'Origin, Accept, Authorization';
const READABLE_REFUSALS: ReadonlySet<number> = new Set([401, 403, 429, 503]);
const MAX_SHOWN_ORIGIN = 200;

/** @throws WeftError FORBIDDEN for a page of an origin that the key does not list */
export function admitOrigin(request: FastifyRequest, reply: FastifyReply, principal: Principal): void {
  if (!principal.scopes.includes('edge')) return;
  const { origin } = request.headers;
  // What is said of an answer later takes the place of it; errors stay with it.
  reply.header('vary', VARY).header('cache-control', cacheControl('none'));
  if (origin === undefined) return;
  if (!isOriginAllowed(principal, origin)) {
    throw notForOrigin(origin.slice(0, MAX_SHOWN_ORIGIN), prefixOf(secretOf(request) ?? ''));
  }
  const allowed = principal.origins.includes(origin) ? origin : '*';
  reply.header('access-control-allow-origin', allowed).header('access-control-expose-headers', EXPOSED_HEADERS);
}

function notForOrigin(shown: string, keyPrefix: string): WeftError {
  const wanted = isOrigin(shown) ? shown : 'https://shop.example';
  return new WeftError('FORBIDDEN', `this key is not allowed for pages of ${shown}`, {
    where: 'origin',
    hint: `add the origin with weft keys origins ${keyPrefix} --add ${wanted}`,
  });
}

/** Lets the page that asked read a refusal, and has no cache keep it. Where the origin was admitted it may already. */
export function letPagesRead({ headers: { origin } }: FastifyRequest, reply: FastifyReply, status: number): void {
  reply.header('cache-control', cacheControl('none'));
  if (origin === undefined || !READABLE_REFUSALS.has(status)) return;
  reply.header('vary', VARY);
  if (reply.hasHeader('access-control-allow-origin')) return;
  reply.header('access-control-allow-origin', origin).header('access-control-expose-headers', EXPOSED_HEADERS);
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

interface OriginSource {
  /** The origins of the keys that may be used now, at most so many. */
  originsInUse(limit: number): Promise<readonly string[]>;
}

/** The origins of all edge keys in use, from a moment ago. */
export class EdgeOrigins {
  /** Of one entry. */
  readonly #origins: ReadThroughCache<ReadonlySet<string>>;

  constructor(keys: OriginSource, clock: Clock, onError: (error: unknown) => void) {
    this.#origins = new ReadThroughCache<ReadonlySet<string>>({
      maxAgeMs: ORIGINS_TTL_MS,
      maxEntries: 1,
      clock,
      load: async () => new Set(await keys.originsInUse(MAX_ORIGINS)),
      standIn: {
        refreshAfterMs: ORIGINS_TTL_MS,
        maxAgeMs: ORIGINS_STAND_IN_MS,
        patienceMs: ORIGINS_PATIENCE_MS,
        mayStandIn: () => true,
        onError,
      },
    });
  }

  async allow(origin: string): Promise<boolean> {
    if (origin === '') return false;
    const origins = await this.#origins.get('');
    if (origins === null) return false;
    return origins.has(origin) || origins.has('*') || origins.size >= MAX_ORIGINS;
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
