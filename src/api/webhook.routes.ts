import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify';
import type { WebhookReceiver } from '../sources/webhooks/webhook-receiver.js';
import type { OpenWebhook } from '../sources/webhooks/open-webhook.js';
import { WEBHOOK_LIMITS } from '../sources/webhooks/webhook.model.js';
import type { ChallengeAnswer, HmacOptions } from '../sources/webhooks/webhook.model.js';
import { describeSigning } from '../sources/webhooks/webhook-signature.js';
import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { isKey } from '../platform/key.js';
import { answerErrors } from './answer-errors.js';
import { secretOfHeader, verifyIngestKey, type IngestKeyLookup } from './auth/ingest-key.js';
import { plainBody } from './decode-body.js';
import { readRawBodies } from './raw-bodies.js';
import type { LimitedSource, RequestLimits } from './request-limits.js';

export interface WebhookDependencies extends IngestKeyLookup {
  readonly receiver: Pick<WebhookReceiver, 'open' | 'receive'>;
  readonly limits: Pick<RequestLimits, 'admitEvents'>;
  readonly clock: Clock;
  /** Told of errors that are defects of ours; the caller sees only the id. */
  readonly onDefect: (error: unknown, requestId: string) => void;
}

/**
 * Inbound webhooks: `POST /v1/webhooks/<key of the source>` takes deliveries, GET answers handshakes. Who sends is proved
 * by a signature over the body as it came, so no key is asked for. 200 is sent once the events are durable; 401 keeps
 * nothing; 429 and 503 ask for the same again.
 */
export function webhookRoutes(deps: WebhookDependencies): FastifyPluginCallback {
  return (app, _options, done) => {
    readRawBodies(app);
    answerErrors(app, deps.onDefect);
    app.get('/v1/webhooks/:key', { exposeHeadRoute: false }, (request, reply) => handleChallenge(deps, request, reply));
    app.post('/v1/webhooks/:key', { bodyLimit: WEBHOOK_LIMITS.maxBodyBytes }, (request, reply) =>
      handleDelivery(deps, request, reply),
    );
    done();
  };
}

async function handleChallenge(
  deps: WebhookDependencies,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const hook = await webhookOf(deps, request);
  const answer = hook.answerGet(request.query as Record<string, unknown>, deps.clock.now());
  if (answer !== null) return sendAnswer(reply, answer);
  throw new WeftError('FORBIDDEN', 'this is no handshake, or its token is another one', {
    hint: 'give the network the verify token that weft webhooks create showed, or set it by weft webhooks rotate-secret',
  });
}

async function handleDelivery(
  deps: WebhookDependencies,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const hook = await webhookOf(deps, request);
  if (hook.needsWriteKey) await checkWriteKey(deps, hook, request);
  const raw = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const plain = await plainBody(raw, WEBHOOK_LIMITS.maxBodyBytes);
  const source = await sourceOf(deps, hook);
  const result = await deps.receiver.receive(hook, { headers: request.headers, raw }, plain, (events) => {
    deps.limits.admitEvents({ id: `webhook:${source.key}`, ratePerSecond: null }, source, events);
  });
  if (result.kind === 'handshake') return sendAnswer(reply, result.answer);
  if (result.kind === 'taken') return { success: true, ...result.counts };
  throw new WeftError('UNAUTHENTICATED', REASONS[result.reason], {
    where: `/v1/webhooks/${hook.webhook.key}`,
    hint: hook.signature === null ? 'send a write key' : signingHint(hook.signature),
  });
}

/** What to sign is no secret: it is in the documentation of each network. What a signature should have been, is. */
function signingHint(signature: HmacOptions): string {
  return `sign with the secret that the webhook was given: ${describeSigning(signature).join('; ')}`;
}

const REASONS = {
  missing: 'the delivery is not signed',
  invalid: 'the signature does not fit the delivery',
  stale: 'the delivery was signed too long ago, or in the future',
} as const;

async function webhookOf({ receiver }: WebhookDependencies, request: FastifyRequest): Promise<OpenWebhook> {
  const { key } = request.params as { key: string };
  const hook = isKey(key) ? await receiver.open(key) : null;
  if (hook !== null) return hook;
  throw new WeftError('NOT_FOUND', 'there is no such webhook', { hint: 'weft webhooks list shows all of them' });
}

async function sourceOf({ sources }: WebhookDependencies, { webhook }: OpenWebhook): Promise<LimitedSource> {
  const source = await sources.findById(webhook.sourceId);
  if (source === null) throw new Error('a webhook without its source');
  return source;
}

async function checkWriteKey(deps: WebhookDependencies, hook: OpenWebhook, request: FastifyRequest): Promise<void> {
  const { authorization } = request.headers;
  const secret =
    authorization === undefined
      ? (request.query as Record<string, unknown>)['writeKey']
      : secretOfHeader(authorization);
  const { source } = await verifyIngestKey(deps, secret);
  if (source.id === hook.webhook.sourceId) return;
  throw new WeftError('FORBIDDEN', 'this key is for another source', {
    hint: `make one with weft keys create --scope ingest --source ${hook.webhook.key}`,
  });
}

/** What comes back is in part what was asked: it must not become a page. */
function sendAnswer(reply: FastifyReply, { type, body }: ChallengeAnswer): FastifyReply {
  return reply
    .header('x-content-type-options', 'nosniff')
    .header('cache-control', 'no-store')
    .type(`${type}; charset=utf-8`)
    .send(body);
}
