import type { FastifyInstance, FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify';
import type { AcceptOptions, EventAcceptor, IncomingItem } from '../events/accept.model.js';
import type { RawInput } from '../events/dead-letter.model.js';
import type { EventClient } from '../events/enrichment.model.js';
import type { EventLog } from '../events/event-log.model.js';
import { EVENT_TYPES } from '../events/event.model.js';
import type { AcceptResult, EventType, JsonValue } from '../events/event.model.js';
import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { answerErrors } from './answer-errors.js';
import { analyticsJsSettings } from './analytics-js-settings.js';
import { secretOfHeader, verifyIngestKey, type IngestKey, type IngestKeyLookup } from './auth/ingest-key.js';
import { APPLIED_CURSOR } from './graphql/cursors.js';
import { decodeBody } from './decode-body.js';
import { retryAfterSeconds, toHttpFailure } from './http-errors.js';
import { clientOfCall, mapBatch, mapSingleCall, rawCall } from './map-tracking-call.js';
import { PIXEL, pixelCall } from './pixel-call.js';
import { readRawBodies } from './raw-bodies.js';
import type { RequestLimits } from './request-limits.js';

export const TRACKING_LIMITS = {
  /** Of a body, compressed or not, and of what it expands to. */
  maxBodyBytes: 500 * 1024,
  maxBatchEvents: 2_500,
} as const;

export interface TrackingDependencies extends IngestKeyLookup {
  readonly accept: EventAcceptor;
  /** How far the log goes that the acceptor appends to. */
  readonly log: Pick<EventLog, 'appendedPos'>;
  readonly limits: Pick<RequestLimits, 'admitEvents'>;
  readonly clock: Clock;
  /** Told of errors that are defects of ours; the caller sees only the id. */
  readonly onDefect: (error: unknown, requestId: string) => void;
  /** Where browsers reach this server, if that is not what they name in their requests; for analytics.js. */
  readonly publicUrl?: string;
}

const BATCH_NAMES = ['batch', 'import'] as const;

/**
 * The tracking API, compatible with Segment's HTTP tracking API: `POST /v1/<call>`, by full name or first letter, and
 * `/v1/batch`, also `/v1/import`. JSON whatever the content type, because browsers send `text/plain` to avoid a
 * preflight. A key with the scope `ingest` comes as Basic user, as Bearer token, or as `writeKey` in the query (beacons cannot
 * set headers) or the body. Beside it stand `GET /v1/pixel/<call>`, which answers an image, and the settings that
 * analytics.js asks for.
 *
 * 200 is sent when the events are durable. A client that gets anything else, or nothing, may send all of it again: the
 * message ids keep events from counting twice.
 */
export function trackingRoutes(deps: TrackingDependencies): FastifyPluginCallback {
  return (app, _options, done) => {
    readRawBodies(app);
    answerErrors(app, deps.onDefect);
    allowBrowsers(app);
    for (const type of EVENT_TYPES) {
      const handler = (request: FastifyRequest, reply: FastifyReply): Promise<unknown> =>
        handleSingle(deps, type, request, reply);
      for (const name of [type, type.charAt(0)]) addRoute(app, name, handler);
    }
    const handler = (request: FastifyRequest): Promise<unknown> => handleBatch(deps, request);
    for (const name of [...BATCH_NAMES, 'b']) addRoute(app, name, handler);
    for (const type of EVENT_TYPES) {
      // Whoever only asks for the head has not shown the image.
      app.get(`/v1/pixel/${type}`, { exposeHeadRoute: false }, (request, reply) =>
        handlePixel(deps, type, request, reply),
      );
    }
    app.get('/v1/projects/:writeKey/settings', (request, reply) => handleSettings(deps, request, reply));
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

/** With a token by which a read can wait for the events of the call, and for all before: see `edgeProfile(after)`. */
function success({ log }: TrackingDependencies): { readonly success: true; readonly token: string } {
  return { success: true, token: APPLIED_CURSOR.encode({ pos: log.appendedPos }) };
}

async function handleSingle(
  deps: TrackingDependencies,
  type: EventType,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const receivedAtMs = deps.clock.now();
  const { body, key } = await authenticatedBody(deps, request);
  const rawOf = (): RawInput => ({ form: { kind: 'call', type }, input: rawCall(body) });
  const clientOf = (): EventClient => clientOfCall(body, connectionOf(request, key));
  const [result] = await take(deps, key, [mapSingleCall(body, type)], { receivedAtMs, rawOf, clientOf });
  if (result?.status !== 'refused') return success(deps);
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
  const { batch, sentAt } = body as { batch: unknown[]; sentAt?: JsonValue };
  const rawOf = (index: number): RawInput => ({
    form: { kind: 'batch_item', ...(sentAt === undefined ? undefined : { sentAt }) },
    input: rawCall(batch[index]),
  });
  const clientOf = (index: number): EventClient => clientOfCall(batch[index], connectionOf(request, key));
  return batchAnswer(deps, await take(deps, key, items, { receivedAtMs, rawOf, clientOf }));
}

/** Always an image, for whoever shows it; whether the call was taken is said by the status. */
async function handlePixel(
  deps: TrackingDependencies,
  type: EventType,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const receivedAtMs = deps.clock.now();
  void reply.header('cache-control', 'no-store, private').type('image/gif');
  try {
    const call = pixelCall(request.query as Record<string, unknown>);
    const key = await verifyIngestKey(deps, call['writeKey']);
    const rawOf = (): RawInput => ({ form: { kind: 'call', type }, input: rawCall(call) });
    const clientOf = (): EventClient => clientOfCall(call, connectionOf(request, key));
    const [result] = await take(deps, key, [mapSingleCall(call, type)], { receivedAtMs, rawOf, clientOf });
    if (result?.status === 'refused') reply.code(400).header('x-weft-refusal', result.code);
  } catch (error) {
    const { status, code, retryAfterMs, isDefect } = toHttpFailure(error);
    if (isDefect) deps.onDefect(error, request.id);
    if (retryAfterMs !== undefined) reply.header('retry-after', retryAfterSeconds(retryAfterMs));
    reply.code(status).header('x-weft-refusal', code);
  }
  return reply.send(PIXEL);
}

/** The browser's own word for where it found us is right for it, but not for a cache between us. */
async function handleSettings(
  deps: TrackingDependencies,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const { writeKey } = request.params as { writeKey: string };
  await verifyIngestKey(deps, writeKey);
  const { publicUrl } = deps;
  const url = publicUrl ?? `${request.protocol}://${request.host}`;
  if (!URL.canParse(url)) {
    throw new WeftError('BAD_REQUEST', 'the request does not say where it was sent', {
      where: 'host',
      hint: 'send the header Host, or set WEFT_PUBLIC_URL on the server',
    });
  }
  reply.header('cache-control', `${publicUrl === undefined ? 'private' : 'public'}, max-age=60`);
  return analyticsJsSettings(writeKey, new URL(url));
}

async function take(
  deps: TrackingDependencies,
  key: IngestKey,
  items: readonly IncomingItem[],
  options: Pick<AcceptOptions, 'receivedAtMs' | 'rawOf' | 'clientOf'>,
): Promise<AcceptResult[]> {
  deps.limits.admitEvents(key, key.source, items.length);
  return deps.accept.accept(key.source, items, { historical: false, ...options });
}

/** What the connection shows of a visitor; null where it is that of a server, which sends for others. */
function connectionOf({ ip, headers }: FastifyRequest, { source }: IngestKey): EventClient | null {
  return source.authenticated === true ? null : { address: ip, userAgent: headers['user-agent'] ?? null };
}

function batchAnswer(deps: TrackingDependencies, results: readonly AcceptResult[]): unknown {
  const rejected: { index: number; code: string; reason: string }[] = [];
  let accepted = 0;
  for (const [index, result] of results.entries()) {
    if (result.status === 'refused') rejected.push({ index, code: result.code, reason: result.reason });
    else if (result.status === 'accepted') accepted += 1;
  }
  if (rejected.length === 0) return success(deps);
  return { ...success(deps), accepted, duplicates: results.length - accepted - rejected.length, rejected };
}

// --- keys -----------------------------------------------------------------------------------------------------------

/** A key in the header or the query is checked before the body is looked at; one in the body cannot be. */
async function authenticatedBody(
  deps: TrackingDependencies,
  request: FastifyRequest,
): Promise<{ body: Record<string, unknown>; key: IngestKey }> {
  const secret = earlySecret(request);
  const early = secret === undefined ? null : await verifyIngestKey(deps, secret);
  const raw = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const body = await decodeBody(raw, TRACKING_LIMITS.maxBodyBytes);
  return { body, key: early ?? (await verifyIngestKey(deps, body['writeKey'])) };
}

/** What the header or the query says; undefined where neither says anything. */
function earlySecret({ headers, query }: FastifyRequest): unknown {
  return headers.authorization === undefined
    ? (query as Record<string, unknown>)['writeKey']
    : secretOfHeader(headers.authorization);
}

// --- HTTP -----------------------------------------------------------------------------------------------------------

/** Any page may call: the write key authorises, no cookie does. */
function allowBrowsers(app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('access-control-allow-origin', '*');
    reply.header('access-control-expose-headers', 'retry-after');
    if (request.method === 'OPTIONS') {
      reply.header('access-control-allow-methods', 'GET, POST');
      reply.header('access-control-allow-headers', 'authorization, content-type, content-encoding, x-retry-count');
      reply.header('access-control-max-age', '86400');
    }
    done();
  });
}
