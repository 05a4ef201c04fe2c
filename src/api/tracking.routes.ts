import type { FastifyInstance, FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify';
import type { EventAcceptor, EventSource, IncomingItem } from '../events/accept.model.js';
import { EVENT_TYPES } from '../events/event.model.js';
import type { AcceptResult, EventType } from '../events/event.model.js';
import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { hasScope } from './auth/api-key.model.js';
import type { ApiKey } from './auth/api-key.model.js';
import { decodeBody } from './decode-body.js';
import { toHttpFailure } from './http-errors.js';
import { mapBatch, mapSingleCall } from './map-tracking-call.js';

export const TRACKING_LIMITS = {
  /** Of a body, compressed or not, and of what it expands to. */
  maxBodyBytes: 500 * 1024,
  maxBatchEvents: 2_500,
} as const;

export interface TrackingDependencies {
  readonly accept: EventAcceptor;
  readonly keys: { verify(secret: string): Promise<ApiKey | null> };
  readonly sources: { findById(id: number): Promise<EventSource | null> };
  /** Takes one token an event; returns 0, or the time in ms after which the tokens will be there. */
  readonly limiter: { take(key: string, tokens: number): number };
  readonly clock: Clock;
  /** Told of errors that are defects of ours; the caller sees only the id. */
  readonly onDefect: (error: unknown, requestId: string) => void;
}

const BATCH_NAMES = ['batch', 'import'] as const;

/**
 * The tracking API, compatible with Segment's HTTP tracking API: `POST /v1/<call>`, by full name or first letter, and
 * `/v1/batch`, also `/v1/import`. JSON whatever the content type, because browsers send `text/plain` to avoid a
 * preflight. A key with the scope `ingest` comes as Basic user, as Bearer token, or as `writeKey` in the body.
 *
 * 200 is sent when the events are durable. A client that gets anything else, or nothing, may send all of it again: the
 * message ids keep events from counting twice.
 */
export function trackingRoutes(deps: TrackingDependencies): FastifyPluginCallback {
  return (app, _options, done) => {
    readRawBodies(app);
    answerErrors(app, deps);
    allowBrowsers(app);
    for (const type of EVENT_TYPES) {
      const handler = (request: FastifyRequest, reply: FastifyReply): Promise<unknown> =>
        handleSingle(deps, type, request, reply);
      for (const name of [type, type.charAt(0)]) addRoute(app, name, handler);
    }
    const handler = (request: FastifyRequest): Promise<unknown> => handleBatch(deps, request);
    for (const name of [...BATCH_NAMES, 'b']) addRoute(app, name, handler);
    done();
  };
}

type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;

function addRoute(app: FastifyInstance, name: string, handler: Handler): void {
  const url = `/v1/${name}`;
  app.post(url, { bodyLimit: TRACKING_LIMITS.maxBodyBytes }, handler);
  app.options(url, (_request, reply) => reply.code(204).send());
}

// --- calls ----------------------------------------------------------------------------------------------------------

const SUCCESS = { success: true } as const;

async function handleSingle(
  deps: TrackingDependencies,
  type: EventType,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const receivedAtMs = deps.clock.now();
  const { body, key } = await authenticatedBody(deps, request);
  const [result] = await take(deps, key, [mapSingleCall(body, type)], receivedAtMs);
  if (result?.status !== 'refused') return SUCCESS;
  const { status: _, ...refusal } = result;
  return reply.code(refusal.code === 'TOO_LARGE' ? 413 : 400).send({ success: false, ...refusal });
}

async function handleBatch(deps: TrackingDependencies, request: FastifyRequest): Promise<unknown> {
  const receivedAtMs = deps.clock.now();
  const { body, key } = await authenticatedBody(deps, request);
  const items = mapBatch(body);
  if (items === null) {
    throw new WeftError('BAD_REQUEST', 'batch is not a list', { where: 'batch', hint: 'send { "batch": [ … ] }' });
  }
  if (items.length > TRACKING_LIMITS.maxBatchEvents) {
    throw new WeftError('PAYLOAD_TOO_LARGE', `more than ${String(TRACKING_LIMITS.maxBatchEvents)} events in a batch`, {
      where: 'batch',
      hint: 'send fewer events at a time',
    });
  }
  return batchAnswer(await take(deps, key, items, receivedAtMs));
}

function take(
  deps: TrackingDependencies,
  key: IngestKey,
  items: readonly IncomingItem[],
  receivedAtMs: number,
): Promise<AcceptResult[]> {
  const waitMs = deps.limiter.take(key.id, items.length);
  if (waitMs > 0) {
    const error = new WeftError('RATE_LIMITED', 'this key sends more events than it may', {
      hint: 'wait as long as Retry-After says, then send the same again',
      retryAfterMs: waitMs,
    });
    return Promise.reject(error);
  }
  return deps.accept.accept(key.source, items, { historical: false, receivedAtMs });
}

function batchAnswer(results: readonly AcceptResult[]): unknown {
  const rejected: { index: number; code: string; reason: string }[] = [];
  let accepted = 0;
  for (const [index, result] of results.entries()) {
    if (result.status === 'refused') rejected.push({ index, code: result.code, reason: result.reason });
    else if (result.status === 'accepted') accepted += 1;
  }
  if (rejected.length === 0) return SUCCESS;
  return { success: true, accepted, duplicates: results.length - accepted - rejected.length, rejected };
}

// --- keys -----------------------------------------------------------------------------------------------------------

interface IngestKey {
  readonly id: string;
  readonly source: EventSource;
}

/** A key in the header is checked before the body is looked at; one in the body cannot be. */
async function authenticatedBody(
  deps: TrackingDependencies,
  request: FastifyRequest,
): Promise<{ body: Record<string, unknown>; key: IngestKey }> {
  const header = request.headers.authorization;
  const early = header === undefined ? null : await authenticate(deps, secretOfHeader(header));
  const raw = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const body = await decodeBody(raw, TRACKING_LIMITS.maxBodyBytes);
  return { body, key: early ?? (await authenticate(deps, body['writeKey'])) };
}

async function authenticate(deps: TrackingDependencies, secret: unknown): Promise<IngestKey> {
  const key = typeof secret === 'string' ? await deps.keys.verify(secret) : null;
  if (key === null) {
    throw new WeftError('UNAUTHENTICATED', 'the write key is missing or not valid', {
      hint: 'send a key with the scope ingest as Basic user, as Bearer token, or as "writeKey" in the body',
    });
  }
  const source = hasScope(key, 'ingest') && key.sourceId !== null ? await deps.sources.findById(key.sourceId) : null;
  if (source === null) {
    throw new WeftError('FORBIDDEN', 'this key may not send events', {
      hint: 'use a key with the scope ingest that belongs to a source',
    });
  }
  return { id: key.id, source };
}

/** RFC 7617 (Basic: the key is the user, the password is ignored) and RFC 6750 (Bearer). Null for anything else. */
function secretOfHeader(header: string): string | null {
  const space = header.indexOf(' ');
  const scheme = header.slice(0, space).toLowerCase();
  const credentials = header.slice(space + 1).trim();
  if (scheme === 'bearer') return credentials;
  if (scheme !== 'basic') return null;
  const userAndPassword = Buffer.from(credentials, 'base64').toString('latin1');
  const colon = userAndPassword.indexOf(':');
  return colon === -1 ? userAndPassword : userAndPassword.slice(0, colon);
}

// --- HTTP -----------------------------------------------------------------------------------------------------------

function readRawBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addHook('onRequest', (request, _reply, done) => {
    // The framework answers 415 to a malformed type before any parser is asked; here the type means nothing.
    request.headers['content-type'] = 'application/octet-stream';
    done();
  });
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, body);
  });
}

/** Any page may call: the write key authorises, no cookie does. */
function allowBrowsers(app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('access-control-allow-origin', '*');
    if (request.method === 'OPTIONS') {
      reply.header('access-control-allow-methods', 'POST');
      reply.header('access-control-allow-headers', 'authorization, content-type, content-encoding');
      reply.header('access-control-max-age', '86400');
    }
    done();
  });
}

function answerErrors(app: FastifyInstance, deps: TrackingDependencies): void {
  app.setErrorHandler((error, request, reply) => {
    const { status, code, reason, hint, retryAfterS, isDefect } = toHttpFailure(error);
    if (isDefect) deps.onDefect(error, request.id);
    if (retryAfterS !== undefined) reply.header('retry-after', String(retryAfterS));
    const id = isDefect ? { requestId: request.id } : {};
    return reply.code(status).send({ success: false, code, reason, ...(hint === undefined ? {} : { hint }), ...id });
  });
}
