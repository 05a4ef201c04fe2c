import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { GraphQLError, type ExecutionResult, type GraphQLSchema } from 'graphql';
import { createHandler, type Handler } from 'graphql-sse';
import { WeftError } from '../platform/errors.js';
import type { ApiServices } from './api-services.js';
import type { SessionWatch } from './auth/session-watch.js';
import type { DefinitionsWatch } from './definitions-watch.js';
import { ApiContext } from './graphql/api-context.js';
import { maskedError, type ErrorPresenter } from './graphql/present-error.js';
import { readOperation, type Operation } from './graphql/read-document.js';
import { answerErrors, bearerOf, contextOf, demandKey, readJson, unauthenticated } from './graphql.routes.js';

export interface StreamRoutesOptions {
  readonly schema: GraphQLSchema;
  readonly services: ApiServices;
  readonly watch: DefinitionsWatch;
  readonly presenter: ErrorPresenter;
  /** Ends streams whose key has ended, in which nothing happens too. */
  readonly sessions: SessionWatch;
  /** Default 10,000. */
  readonly maxStreams?: number;
  /** A message that is not taken within this time ends its stream. Default 30,000. */
  readonly writeTimeoutMs?: number;
}

/** Messages that wait for a stream at most; a subscription is not read on until they are sent. */
const MAX_UNSENT = 16;

interface Stream {
  readonly request: FastifyRequest;
  unsent: number;
  /** Called when `unsent` fell, or the stream ended. */
  wake: (() => void) | null;
  ended: boolean;
  /** The key was revoked, or has expired, since the stream began. */
  isKeyGone: boolean;
  /** Called when the stream ended: nobody has to watch its key any more. */
  unwatch: (() => void) | null;
}

/**
 * `/graphql/stream`: operations as server-sent events, one connection each (graphql-sse, distinct connections mode).
 * A stream that ends without the event `complete` was cut off: ask again with the cursor of the last change. One whose key
 * was revoked says so in an event `next` with an error before it completes: asking again is no use.
 */
export function graphqlStreamRoutes(options: StreamRoutesOptions): FastifyPluginAsync {
  return async (app) => {
    const { services, presenter, maxStreams = 10_000, writeTimeoutMs = 30_000 } = options;
    const streams = new Set<Stream>();
    const handler = sseHandler(options);
    demandKey(app, services);
    readJson(app);
    answerErrors(app, presenter);
    app.route({
      method: ['GET', 'POST'],
      url: '/graphql/stream',
      handler: async (request, reply) => {
        if (!(request.headers.accept ?? '').includes('text/event-stream')) {
          throw new WeftError('BAD_REQUEST', 'this address only streams', {
            where: 'accept',
            hint: 'send "Accept: text/event-stream", or ask /graphql',
          });
        }
        if (streams.size >= maxStreams) throw new WeftError('OVERLOADED', 'too many streams', { retryAfterMs: 5_000 });
        const stream: Stream = { request, unsent: 0, wake: null, ended: false, isKeyGone: false, unwatch: null };
        streams.add(stream);
        try {
          await serve(handler, stream, reply, writeTimeoutMs);
        } catch (error) {
          // The stream has begun: there is no other way to tell than to cut it off.
          if (!reply.sent && !reply.raw.headersSent) throw error;
          presenter.onDefect(error, presenter.newErrorId());
          reply.raw.destroy();
        } finally {
          end(stream);
          streams.delete(stream);
        }
      },
    });
    app.addHook('preClose', async () => {
      for (const { request } of streams) request.raw.socket.destroy();
      return Promise.resolve();
    });
    return Promise.resolve();
  };
}

type SseHandler = Handler<FastifyRequest, Stream>;

function sseHandler({ schema, services, watch, presenter, sessions }: StreamRoutesOptions): SseHandler {
  return createHandler<FastifyRequest, Stream, Operation['contextValue']>({
    // No token: never the single connection mode.
    authenticate: () => null,
    validate: () => [],
    onSubscribe: ({ context: stream }, asked) => readOperation(schema, asked, contextOfStream(stream, services, watch)),
    onOperation: (_context, { context: stream }, _args, result) =>
      isSubscription(result) ? endingWithKey(result, stream, services, sessions) : undefined,
    onNext: async (_context, { context: stream }, result) => {
      await sendable(stream);
      const { errors, ...rest } = result as ExecutionResult;
      if (errors === undefined) return undefined;
      return { ...rest, errors: errors.map((error) => maskedError(error, presenter)) };
    },
  });
}

function contextOfStream(stream: Stream, services: ApiServices, watch: DefinitionsWatch): ApiContext {
  const context = contextOf(stream.request, services, watch);
  return new ApiContext(services, watch, context.principal, async () => {
    const isValid = await context.isStillValid();
    stream.isKeyGone ||= !isValid;
    return isValid;
  });
}

/** The same results, that also end when the key does while nothing happens. */
function endingWithKey(results: Results, stream: Stream, services: ApiServices, sessions: SessionWatch): Results {
  const { principal, headers } = stream.request;
  stream.unwatch = sessions.add({
    expiresAt: principal?.expiresAt ?? null,
    isStillValid: async () => (await services.credentials.verify(bearerOf(headers.authorization) ?? '')) !== null,
    end: () => {
      stream.isKeyGone = true;
      void results.return();
    },
  });
  return withReasonOfEnd(results, stream);
}

type Results = AsyncGenerator<ExecutionResult, void, undefined>;

/**
 * A resolver that ends because the key is gone only ends; that all is well would be a false message. Not a generator: the
 * `return` of one waits for its pending `next`, which is what a client that leaves wants to end.
 */
function withReasonOfEnd(results: Results, stream: Stream): Results {
  let isTold = false;
  const wrapped: Results = {
    next: async () => {
      const step = await results.next();
      if (step.done !== true || !stream.isKeyGone || isTold) return step;
      isTold = true;
      const error = unauthenticated();
      return { done: false, value: { errors: [new GraphQLError(error.message, { originalError: error })] } };
    },
    return: (value) => results.return(value),
    throw: (error) => results.throw(error),
    [Symbol.asyncIterator]: () => wrapped,
  };
  return wrapped;
}

function isSubscription(result: object): result is Results {
  return Symbol.asyncIterator in result;
}

async function serve(handler: SseHandler, stream: Stream, reply: FastifyReply, writeTimeoutMs: number): Promise<void> {
  const { request } = stream;
  const [body, init] = await handler({
    method: request.method,
    url: request.url,
    headers: { get: (name) => (name === 'accept' ? 'text/event-stream' : stringOf(request.headers[name])) },
    body: () => request.body as string,
    raw: request,
    context: stream,
  });
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(init.status, init.statusText, { ...init.headers });
  if (body === null || typeof body === 'string') {
    raw.end(body ?? undefined);
    return;
  }
  const stop = (): void => {
    end(stream);
    void body.return(undefined);
  };
  raw.once('close', stop);
  raw.setTimeout(0);
  for await (const message of body) {
    if (!(await written(raw, message, writeTimeoutMs))) break;
    if (message.startsWith('event: next')) {
      stream.unsent--;
      stream.wake?.();
    }
  }
  raw.off('close', stop);
  raw.end();
}

/** Waits until the stream may take one more message, and counts it. */
async function sendable(stream: Stream): Promise<void> {
  while (stream.unsent >= MAX_UNSENT && !stream.ended) {
    await new Promise<void>((resolve) => {
      stream.wake = resolve;
    });
    stream.wake = null;
  }
  stream.unsent++;
}

function end(stream: Stream): void {
  stream.ended = true;
  stream.unwatch?.();
  stream.wake?.();
}

/** False when the client is gone, or takes nothing any more. */
function written(raw: FastifyReply['raw'], message: string, timeoutMs: number): Promise<boolean> {
  if (!raw.writable) return Promise.resolve(false);
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      raw.destroy();
      resolve(false);
    }, timeoutMs);
    timer.unref();
    raw.write(message, (error) => {
      clearTimeout(timer);
      resolve(error === null || error === undefined);
    });
  });
}

function stringOf(header: string | string[] | undefined): string | null {
  return Array.isArray(header) ? header.join(', ') : (header ?? null);
}
