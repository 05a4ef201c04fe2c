import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { OutgoingHttpHeaders } from 'node:http';
import { GraphQLError, type ExecutionResult } from 'graphql';
import { createHandler, type Handler, type Response } from 'graphql-sse';
import { WeftError } from '../platform/errors.js';
import type { ApiServices } from './api-services.js';
import { hasScope, type Principal } from './auth/api-key.model.js';
import type { SessionWatch } from './auth/session-watch.js';
import { unauthenticated } from './auth/unauthenticated.js';
import type { DefinitionsWatch } from './definitions-watch.js';
import type { Admission } from './graphql/admission.js';
import { ApiContext } from './graphql/api-context.js';
import { maskedError, type ErrorPresenter } from './graphql/present-error.js';
import { readOperation, type Operation } from './graphql/read-operation.js';
import { bearerOf } from './auth/secret-of-request.js';
import { answerErrors, contextOf, demandKey, readJson } from './graphql.routes.js';
import { SseStream } from './sse-stream.js';
import {
  RESERVATION_LIMITS,
  StreamReservations,
  type Reservation,
  type ReservationLimits,
} from './stream-reservations.js';

export interface StreamLimits extends ReservationLimits {
  readonly maxStreams: number;
  /** A message that is not taken within this time ends its stream. */
  readonly writeTimeoutMs: number;
}

export interface StreamRoutesOptions {
  readonly admission: Admission;
  readonly services: ApiServices;
  readonly watch: DefinitionsWatch;
  readonly presenter: ErrorPresenter;
  /** Ends streams whose key has ended, in which nothing happens too. */
  readonly sessions: SessionWatch;
  readonly limits?: Partial<StreamLimits>;
}

const STREAM_LIMITS: StreamLimits = { ...RESERVATION_LIMITS, maxStreams: 10_000, writeTimeoutMs: 30_000 };
const TOKEN_HEADER = 'x-graphql-event-stream-token';

/** A request as the library hands it back to us. */
interface Asked {
  /** Null: nobody asks, we end a stream. */
  readonly request: FastifyRequest | null;
  readonly stream: SseStream;
  /** Of a stream that is shared; null: a connection for this operation alone. */
  readonly token: string | null;
  readonly onComplete: () => void;
}

type SseHandler = Handler<null, Asked>;
type Shared = Pick<Reservation, 'token' | 'stream'>;

/**
 * `/graphql/stream`: operations as server-sent events, by the protocol of graphql-sse
 * (https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md), in both its modes: a connection for each operation, or
 * one, reserved by `PUT`, that they share.
 *
 * A stream that ends without the event `complete` was cut off: ask again with the cursor of the last change. One whose key
 * was revoked says so in an event `next` with an error before it completes: asking again is no use.
 */
export function graphqlStreamRoutes(options: StreamRoutesOptions): FastifyPluginAsync {
  return async (app) => {
    const routes = new StreamRoutes(options);
    demandKey(app, options.services);
    readJson(app);
    answerErrors(app, options.presenter);
    app.route({
      method: ['GET', 'POST', 'PUT', 'DELETE'],
      url: '/graphql/stream',
      handler: (request, reply) => routes.answer(request, reply),
    });
    app.addHook('preClose', async () => {
      routes.close();
      return Promise.resolve();
    });
    return Promise.resolve();
  };
}

class StreamRoutes {
  readonly #limits: StreamLimits;
  readonly #handler: SseHandler;
  readonly #reservations: StreamReservations;
  /** Connections that events are written to. */
  readonly #open = new Set<FastifyRequest>();
  /** What is written to shared streams that are connected to, by token. */
  readonly #messages = new Map<string, AsyncGenerator<string>>();

  constructor(private readonly options: StreamRoutesOptions) {
    this.#limits = { ...STREAM_LIMITS, ...options.limits };
    this.#handler = sseHandler(options);
    this.#reservations = new StreamReservations(this.#limits, (shared) => void this.#abandon(shared));
  }

  async answer(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const { principal } = request;
    if (principal === null) throw unauthenticated();
    refuseEdgeKey(principal);
    const owner = principal.id;
    const token = tokenOf(request);
    const streams = (request.headers.accept ?? '').includes('text/event-stream');
    if (request.method === 'PUT') return this.#reserve(request, reply, owner);
    if (token === null) return this.#alone(request, reply, owner, streams);
    const { stream } = this.#reservations.find(token, owner);
    if (request.method === 'DELETE') return this.#stop(request, reply, { token, stream });
    return streams
      ? this.#connect(request, reply, owner, { token, stream })
      : this.#operate(request, reply, { token, stream });
  }

  close(): void {
    for (const request of this.#open) request.raw.socket.destroy();
    this.#reservations.releaseAll();
  }

  async #alone(request: FastifyRequest, reply: FastifyReply, owner: string, streams: boolean): Promise<void> {
    if (!streams || request.method === 'DELETE') {
      throw new WeftError('BAD_REQUEST', 'this address only streams', {
        where: 'accept',
        hint: `send "Accept: text/event-stream", or ${TOKEN_HEADER} of a stream reserved by PUT, or ask /graphql`,
      });
    }
    this.#demandRoom();
    await this.#send({ request, stream: new SseStream(), token: null, onComplete: () => undefined }, reply, owner);
  }

  async #reserve(request: FastifyRequest, reply: FastifyReply, owner: string): Promise<void> {
    const { token, stream } = this.#reservations.reserve(owner);
    await relay(reply, await this.#handler(asSse({ request, stream, token, onComplete: () => undefined }, '*/*')));
  }

  async #connect(
    request: FastifyRequest,
    reply: FastifyReply,
    owner: string,
    { token, stream }: Shared,
  ): Promise<void> {
    this.#demandRoom();
    await this.#send({ request, stream, token, onComplete: () => undefined }, reply, owner);
  }

  async #operate(request: FastifyRequest, reply: FastifyReply, { token, stream }: Shared): Promise<void> {
    const operationId = this.#reservations.begin(token, operationIdOf(request));
    const onComplete = (): void => this.#reservations.complete(token, operationId);
    try {
      const answer = await this.#handler(asSse({ request, stream, token, onComplete }, '*/*'));
      if (answer[1].status >= 400) await this.#forget(request, { token, stream }, operationId);
      await relay(reply, answer);
    } catch (error) {
      await this.#forget(request, { token, stream }, operationId);
      throw error;
    }
  }

  async #stop(request: FastifyRequest, reply: FastifyReply, { token, stream }: Shared): Promise<void> {
    const { operationId } = request.query as { operationId?: unknown };
    const answer = await this.#handler(asSse({ request, stream, token, onComplete: () => undefined }, '*/*'));
    if (typeof operationId === 'string') this.#reservations.complete(token, operationId);
    await relay(reply, answer);
  }

  /** The library keeps the ids of operations that it has refused. */
  async #forget(request: FastifyRequest, { token, stream }: Shared, operationId: string): Promise<void> {
    const url = `/graphql/stream?operationId=${operationId}`;
    const asked = asSse({ request, stream, token, onComplete: () => undefined }, '*/*');
    await this.#handler({ ...asked, method: 'DELETE', url });
    this.#reservations.complete(token, operationId);
  }

  async #send(asked: Asked & { readonly request: FastifyRequest }, reply: FastifyReply, owner: string): Promise<void> {
    const { request, stream, token } = asked;
    const { presenter, services } = this.options;
    const close = services.limits.openConnection({ id: owner });
    try {
      const answer = await this.#handler(asSse(asked, 'text/event-stream'));
      const [messages, { status, statusText, headers }] = answer;
      if (messages === null || typeof messages === 'string') return await relay(reply, answer);
      this.#opened(request, token, messages);
      reply.hijack();
      reply.raw.writeHead(status, statusText, { ...reply.getHeaders(), ...headers } as OutgoingHttpHeaders);
      await stream.pump(messages, reply.raw, this.#limits.writeTimeoutMs);
    } catch (error) {
      // The stream has begun: there is no other way to tell than to cut it off.
      if (!reply.sent && !reply.raw.headersSent) throw error;
      presenter.onDefect(error, presenter.newErrorId());
      reply.raw.destroy();
    } finally {
      close();
      const wasOpened = this.#open.delete(request);
      if (token === null) stream.end();
      else if (wasOpened) this.#closed(token);
    }
  }

  #opened(request: FastifyRequest, token: string | null, messages: AsyncGenerator<string>): void {
    this.#open.add(request);
    if (token === null) return;
    this.#messages.set(token, messages);
    this.#reservations.connected(token);
  }

  #closed(token: string): void {
    this.#messages.delete(token);
    this.#reservations.release(token);
  }

  /** Ends a stream as the library does when its client leaves. One that nobody connected to is connected to for that. */
  async #abandon({ token, stream }: Shared): Promise<void> {
    try {
      this.#reservations.release(token);
      const asked = asSse({ request: null, stream, token, onComplete: () => undefined }, 'text/event-stream');
      const messages = this.#messages.get(token) ?? (await this.#handler(asked))[0];
      if (messages !== null && typeof messages !== 'string') await messages.return(undefined);
    } catch (error) {
      this.options.presenter.onDefect(error, this.options.presenter.newErrorId());
    }
  }

  #demandRoom(): void {
    if (this.#open.size < this.#limits.maxStreams) return;
    throw new WeftError('OVERLOADED', 'too many streams', { retryAfterMs: 5_000 });
  }
}

/** Public by nature, and edge keys have nothing to subscribe to: streams would be anybody's to hold. */
function refuseEdgeKey(principal: Principal): void {
  if (hasScope(principal, 'read') || hasScope(principal, 'ingest')) return;
  throw new WeftError('FORBIDDEN', 'this key may not stream', {
    where: 'authorization',
    hint: 'ask /graphql: there is nothing that an edge key could subscribe to',
  });
}

function sseHandler({ admission, services, watch, presenter, sessions }: StreamRoutesOptions): SseHandler {
  return createHandler<null, Asked, Operation['contextValue']>({
    authenticate: ({ context: { token } }) => token,
    validate: () => [],
    onSubscribe: ({ context: asked }, params) => {
      const read = readOperation(admission, params, contextOfStream(asked, services, watch));
      // Without a property of this name the library does not take it for a result.
      return 'errors' in read ? ({ data: undefined, errors: read.errors } as object as ExecutionResult) : read;
    },
    onOperation: (_context, { context: asked }, _args, result) =>
      isSubscription(result) ? endingWithKey(result, asked, services, sessions) : undefined,
    onNext: async (_context, { context: { stream } }, result) => {
      await stream.sendable();
      const { errors, ...rest } = result as ExecutionResult;
      if (errors === undefined) return undefined;
      return { ...rest, errors: errors.map((error) => maskedError(error, presenter)) };
    },
    onComplete: (_context, { context: { onComplete } }) => {
      onComplete();
    },
  });
}

function contextOfStream({ request, stream }: Asked, services: ApiServices, watch: DefinitionsWatch): ApiContext {
  if (request === null) throw unauthenticated();
  const context = contextOf(request, services, watch);
  return new ApiContext(services, watch, context.principal, async () => {
    const isValid = await context.isStillValid();
    stream.isKeyGone ||= !isValid;
    return isValid;
  });
}

type Results = AsyncGenerator<ExecutionResult, void, undefined>;

/** The same results, that also end when the key does while nothing happens. */
function endingWithKey(
  results: Results,
  { request, stream }: Asked,
  services: ApiServices,
  sessions: SessionWatch,
): Results {
  const secret = bearerOf(request?.headers.authorization) ?? '';
  const unwatch = sessions.add({
    expiresAt: request?.principal?.expiresAt ?? null,
    isStillValid: async () => (await services.credentials.verify(secret)) !== null,
    end: () => {
      stream.isKeyGone = true;
      void results.return();
    },
  });
  return withReasonOfEnd(results, stream, unwatch);
}

/**
 * A resolver that ends because the key is gone only ends; that all is well would be a false message. Not a generator: the
 * `return` of one waits for its pending `next`, which is what a client that leaves wants to end.
 */
function withReasonOfEnd(results: Results, stream: SseStream, onEnd: () => void): Results {
  let isTold = false;
  const wrapped: Results = {
    next: async () => {
      const step = await results.next();
      if (step.done === true) onEnd();
      if (step.done !== true || !stream.isKeyGone || isTold) return step;
      isTold = true;
      const error = unauthenticated();
      return { done: false, value: { errors: [new GraphQLError(error.message, { originalError: error })] } };
    },
    return: (value) => {
      onEnd();
      return results.return(value);
    },
    throw: (error) => {
      onEnd();
      return results.throw(error);
    },
    [Symbol.asyncIterator]: () => wrapped,
  };
  return wrapped;
}

function isSubscription(result: object): result is Results {
  return Symbol.asyncIterator in result;
}

/** @param accept as the library wants it, which reads no lists */
function asSse(asked: Asked, accept: string): Parameters<SseHandler>[0] {
  const { request } = asked;
  return {
    method: request?.method ?? 'GET',
    url: request?.url ?? '/graphql/stream',
    headers: { get: (name) => (name === 'accept' ? accept : stringOf(request?.headers[name])) },
    body: () => (request?.body ?? null) as string | null,
    raw: null,
    context: asked,
  };
}

async function relay(reply: FastifyReply, [body, { status, headers }]: Response): Promise<void> {
  await reply
    .code(status)
    .headers({ ...headers })
    .send(typeof body === 'string' ? body : undefined);
}

/** Null: an operation with a connection of its own. */
function tokenOf({ headers, query }: FastifyRequest): string | null {
  const given = headers[TOKEN_HEADER] ?? (query as { token?: unknown }).token;
  return typeof given === 'string' ? given : null;
}

function operationIdOf({ method, body, query }: FastifyRequest): unknown {
  const inQuery = (): unknown => {
    const { extensions } = query as { extensions?: unknown };
    try {
      return typeof extensions === 'string' ? JSON.parse(extensions) : undefined;
    } catch {
      return undefined;
    }
  };
  const extensions = method === 'GET' ? inQuery() : (body as { extensions?: unknown } | null | undefined)?.extensions;
  return (extensions as { operationId?: unknown } | null | undefined)?.operationId;
}

function stringOf(header: string | string[] | undefined): string | null {
  return Array.isArray(header) ? header.join(', ') : (header ?? null);
}
