import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { GraphQLError, type ExecutionResult, type FormattedExecutionResult } from 'graphql';
import type { Context, SubscribePayload } from 'graphql-ws';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocketServer, type WebSocket } from 'ws';
import type { CounterHandle, Metrics } from '../platform/metrics.js';
import type { ApiServices } from './api-services.js';
import { WeftError } from '../platform/errors.js';
import { hasScope, type Principal } from './auth/api-key.model.js';
import type { SessionWatch } from './auth/session-watch.js';
import type { DefinitionsWatch } from './definitions-watch.js';
import { ApiContext } from './graphql/api-context.js';
import type { Admission } from './graphql/admission.js';
import { maskedError, type ErrorPresenter } from './graphql/present-error.js';
import { readOperation, type Operation } from './graphql/read-operation.js';
import { SharedChanges, type SharedSubscriber } from './graphql/shared-changes.js';
import { bearerOf } from './auth/secret-of-request.js';
import { GRAPHQL_LIMITS } from './graphql.routes.js';
import { SocketGuard } from './socket-guard.js';
import { ToldSocket } from './told-socket.js';

export interface SocketLimits {
  /** Default 10,000. */
  readonly maxSockets: number;
  /** Between pings; a client that does not answer one within this time is cut off, ms. Default 12,000. */
  readonly keepAliveMs: number;
}

export interface GraphqlSocketOptions extends Partial<SocketLimits> {
  readonly admission: Admission;
  readonly services: ApiServices;
  readonly watch: DefinitionsWatch;
  readonly presenter: ErrorPresenter;
  /** Closes sockets whose key has ended, in which nothing happens too. */
  readonly sessions: SessionWatch;
  readonly metrics: Pick<Metrics, 'counter'>;
}

export interface GraphqlSocket {
  /** Closes every socket with 1001, upon which clients connect again elsewhere. */
  close(): Promise<void>;
}

const MAX_OPERATIONS_PER_SOCKET = 100;
const UNAUTHORIZED = 4401;
const INTERNAL_ERROR = 4500;
/** Registered for servers that are overloaded (https://www.iana.org/assignments/websocket); clients come back. */
const TRY_AGAIN_LATER = 1013;

interface Extra extends Record<PropertyKey, unknown> {
  readonly socket: WebSocket;
  readonly request: IncomingMessage;
  secret?: string;
  /** Whether an operation has been admitted, which closing the socket could cut off. */
  isInUse?: boolean;
}

/** As the library has it, and graphql-js. */
interface Result {
  readonly data?: ExecutionResult['data'] | undefined;
  readonly errors?: ExecutionResult['errors'] | undefined;
}

/** What the library executes, and how it is told what it shares with others. */
interface SocketOperation extends Operation {
  readonly subscriber: Omit<SharedSubscriber, 'operation'>;
}

type SocketContext = Context<Record<string, unknown>, Extra>;

/**
 * `/graphql` over WebSocket, protocol graphql-transport-ws. The key comes as `connectionParams: { apiKey }`, or as the
 * header or parameter `Authorization`.
 *
 * Close codes beside the protocol's own (4400, 4406, 4408, 4409, 4429): 4401 for a key that is missing, wrong, was
 * revoked or has expired, 4403 for one that may not read, 1013 for one that holds as many connections open as it may or
 * whose rate does not admit the first operation, 4500 for a fault of ours.
 */
export function attachGraphqlSocket(server: Server, options: GraphqlSocketOptions): GraphqlSocket {
  const { maxSockets = 10_000, keepAliveMs = 12_000 } = options;
  // Frames are written beside the library (`ToldSocket`), which needs whole and plain ones.
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: GRAPHQL_LIMITS.maxBodyBytes,
    perMessageDeflate: false,
  });
  const shown = (result: Result): FormattedExecutionResult => presented(result, options.presenter);
  const shared = new SharedChanges({ present: shown });
  const behind = options.metrics.counter(
    'subscribers_behind_total',
    'Times that a WebSocket subscriber had too much unsent to be told with the others, and read on by itself.',
  );
  const transport = useServer<Record<string, unknown>, Extra>(
    {
      onConnect: (context) => connect(context, options),
      onSubscribe: (context, id, payload) => subscribe(context, id, payload, options, behind),
      subscribe: (operation) => {
        const { subscriber, ...rest } = operation as SocketOperation;
        return shared.subscribe({ ...subscriber, operation: rest });
      },
      onNext: (_context, _id, _payload, _args, result) => (result.errors === undefined ? undefined : shown(result)),
      onError: (_context, _id, _payload, errors) =>
        errors.map((error) => maskedError(error, options.presenter).toJSON()),
      isProd: true,
    },
    sockets,
    keepAliveMs,
  );
  const guard = new SocketGuard(options.metrics);
  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    // Node stops listening before it hands the socket over: an unheard 'error' event would end the process.
    socket.on('error', destroyed);
    const path = (request.url ?? '').split('?', 1)[0];
    if (path !== '/graphql') refuse(socket, '404 Not Found');
    else if (sockets.clients.size >= maxSockets) refuse(socket, '503 Service Unavailable');
    else {
      sockets.handleUpgrade(request, socket, head, (client) => {
        // From here on the client tells of errors.
        socket.off('error', destroyed);
        guard.watch(client, socket);
        sockets.emit('connection', client, request);
      });
    }
  };
  server.on('upgrade', upgrade);
  return {
    close: async () => {
      server.off('upgrade', upgrade);
      const patience = setTimeout(() => {
        for (const client of sockets.clients) client.terminate();
      }, 1_000);
      await transport.dispose();
      clearTimeout(patience);
    },
  };
}

function presented({ data, errors }: Result, presenter: ErrorPresenter): FormattedExecutionResult {
  const shown = data === undefined ? {} : { data };
  if (errors === undefined) return shown;
  return { ...shown, errors: errors.map((error) => maskedError(error, presenter).toJSON()) };
}

function destroyed(this: Duplex): void {
  this.destroy();
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

async function connect(
  { connectionParams, extra }: SocketContext,
  { services, presenter, sessions }: GraphqlSocketOptions,
): Promise<boolean> {
  try {
    const secret = secretOf(connectionParams ?? {}, extra.request);
    const key = secret === null ? null : await services.credentials.verify(secret);
    if (secret === null || key === null) {
      extra.socket.close(UNAUTHORIZED, 'Unauthorized');
      return false;
    }
    const { socket } = extra;
    // One that was closed meanwhile never closes again: nothing would take it off the watch.
    if (socket.readyState !== socket.OPEN) return false;
    extra.secret = secret;
    // Public by nature, and edge keys have nothing to subscribe to: sockets would be anybody's to hold.
    if (!hasScope(key, 'read') && !hasScope(key, 'ingest')) return false;
    const closed = openConnection(socket, key, services);
    if (closed === null) return false;
    const leave = sessions.add({
      expiresAt: key.expiresAt,
      isStillValid: async () => (await services.credentials.verify(secret)) !== null,
      end: () => {
        socket.close(UNAUTHORIZED, 'Unauthorized');
      },
    });
    socket.once('close', () => {
      leave();
      closed();
    });
    return true;
  } catch (error) {
    presenter.onDefect(error, presenter.newErrorId());
    extra.socket.close(INTERNAL_ERROR, 'Internal server error');
    return false;
  }
}

/** Null where the key holds as many as it may: the socket is closed. */
function openConnection(socket: WebSocket, key: Principal, { limits }: ApiServices): (() => void) | null {
  try {
    return limits.openConnection(key);
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    socket.close(TRY_AGAIN_LATER, error.message);
    return null;
  }
}

function secretOf(params: Readonly<Record<string, unknown>>, { headers }: IncomingMessage): string | null {
  const { apiKey } = params;
  if (typeof apiKey === 'string') return apiKey;
  const authorization = params['Authorization'] ?? params['authorization'] ?? headers.authorization;
  return typeof authorization === 'string' ? bearerOf(authorization) : null;
}

/** The key is looked at again for each operation: a socket may outlive it by days. */
async function subscribe(
  { extra, subscriptions }: SocketContext,
  id: string,
  payload: SubscribePayload,
  { admission, services, watch }: GraphqlSocketOptions,
  behind: CounterHandle,
): Promise<SocketOperation | readonly GraphQLError[]> {
  const { secret, socket } = extra;
  const key = secret === undefined ? null : await services.credentials.verify(secret);
  if (key === null || secret === undefined) {
    socket.close(UNAUTHORIZED, 'Unauthorized');
    return [new GraphQLError('the key is not valid any more')];
  }
  if (Object.keys(subscriptions).length > MAX_OPERATIONS_PER_SOCKET) {
    return [new GraphQLError(`more than ${String(MAX_OPERATIONS_PER_SOCKET)} operations on one connection`)];
  }
  const refusal = services.limits.refusalOfRequest(key);
  if (refusal !== undefined) {
    // Clients come back by themselves after a close, and never after an error of an operation. One that connects anew has
    // nothing to lose by it; elsewhere it would cut off what is under way.
    if (extra.isInUse !== true) socket.close(TRY_AGAIN_LATER, refusal.message);
    return [new GraphQLError(refusal.message, { originalError: refusal })];
  }
  extra.isInUse = true;
  const onKeyGone = (): void => {
    socket.close(UNAUTHORIZED, 'Unauthorized');
  };
  const isStillValid = async (): Promise<boolean> => {
    if ((await services.credentials.verify(secret)) !== null) return true;
    onKeyGone();
    return false;
  };
  const read = readOperation(admission, payload, new ApiContext(services, watch, key, isStillValid));
  if ('errors' in read) return read.errors;
  const listener = new ToldSocket(socket, extra.request.socket, id, behind);
  return { ...read, subscriber: { secret, listener, onKeyGone } };
}
