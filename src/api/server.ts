import Fastify, { type FastifyInstance } from 'fastify';
import { newId } from '../platform/ids.js';
import type { Metrics } from '../platform/metrics.js';
import type { ApiServices, DefinitionsSource } from './api-services.js';
import { DefinitionsWatch } from './definitions-watch.js';
import { createApollo } from './graphql/apollo.js';
import { buildApiSchema } from './graphql/build-schema.js';
import type { ErrorPresenter } from './graphql/present-error.js';
import { WarmQueries } from './graphql/warm-queries.js';
import { graphiqlRoutes } from './graphiql.routes.js';
import { graphqlRoutes } from './graphql.routes.js';
import { SessionWatch } from './auth/session-watch.js';
import { attachGraphqlSocket, type SocketLimits } from './graphql-socket.js';
import { graphqlStreamRoutes, type StreamLimits, type StreamRoutesOptions } from './graphql-stream.routes.js';
import { healthRoutes, type ReadinessCheck } from './health.routes.js';
import { observeRequests } from './observe-requests.js';
import { trackingRoutes } from './tracking.routes.js';
import { webhookRoutes } from './webhook.routes.js';
import { answerUnknownRoutes } from './unknown-route.js';

/** A request has to be here, body and all, within this time; Fastify takes Node's own bound away. */
const REQUEST_TIMEOUT_MS = 60_000;

/** What the composition root hands to the API. */
export interface ApiServerDependencies {
  readonly services: ApiServices;
  /** Not shared with a worker, which decides by itself when to load anew. */
  readonly definitions: DefinitionsSource;
  /** What has to be in order for this process to be sent requests, by name; beside the database. */
  readonly readiness: Readonly<Record<string, ReadinessCheck>>;
  readonly metrics: Pick<Metrics, 'contentType' | 'text' | 'counter' | 'histogram'>;
  /** Of the program, for those who ask what runs here. */
  readonly version: string;
  /** A defect of ours; the caller sees only the id. */
  readonly onDefect: (error: unknown, errorId: string) => void;
  /** Something in the background failed and is tried again. */
  readonly onError: (error: unknown) => void;
  /** Where browsers reach this server, if that is not what they name in their requests. */
  readonly publicUrl?: string;
  /** How soon definitions that another process changed are in force here, ms. Default 500. */
  readonly definitionsPollMs?: number;
  /** How late an expired key is noticed in a socket or stream in which nothing happens, ms. Default 1,000. */
  readonly sessionSweepMs?: number;
  /** Bounds of `/graphql` over WebSocket and of `/graphql/stream`, where not the usual ones. */
  readonly socketLimits?: Partial<SocketLimits>;
  readonly streamLimits?: Partial<StreamLimits>;
}

/**
 * The HTTP server with everything on it: `/` (what this is), `/v1` (tracking), `/graphql` (HTTP and WebSocket),
 * `/graphql/stream`, `/healthz`, `/readyz`, `/metrics`. It does not listen yet. Close it before the change hub: clients that are cut off come back, those
 * that are told that a subscription is complete do not.
 */
export async function createApiServer(deps: ApiServerDependencies): Promise<FastifyInstance> {
  const { services, onDefect, onError } = deps;
  const { clock, db } = services;
  const presenter: ErrorPresenter = { onDefect, newErrorId: () => newId(clock.now()) };
  const watch = new DefinitionsWatch({
    db,
    source: deps.definitions,
    onError,
    ...(deps.definitionsPollMs === undefined ? {} : { pollMs: deps.definitionsPollMs }),
  });
  const schema = buildApiSchema();
  const app = Fastify({
    forceCloseConnections: 'idle',
    requestTimeout: REQUEST_TIMEOUT_MS,
    genReqId: requestIds(newId(clock.now())),
    requestIdHeader: false,
  });
  observeRequests(app, deps.metrics);
  answerUnknownRoutes(app);
  await watch.start();
  app.addHook('onClose', () => watch.stop());

  const { sessionSweepMs: sweepMs } = deps;
  const sessions = new SessionWatch({ clock, onError, ...(sweepMs === undefined ? {} : { sweepMs }) });
  app.addHook('onClose', (_app, done) => {
    sessions.close();
    done();
  });
  const socket = attachGraphqlSocket(app.server, {
    schema,
    services,
    watch,
    presenter,
    sessions,
    ...deps.socketLimits,
  });
  app.addHook('preClose', () => socket.close());

  const { accept, credentials, sources, limits } = services;
  const publicUrl = deps.publicUrl === undefined ? {} : { publicUrl: deps.publicUrl };
  await app.register(trackingRoutes({ accept, keys: credentials, sources, limits, clock, onDefect, ...publicUrl }));
  await app.register(
    webhookRoutes({ receiver: services.webhooks.receiver, keys: credentials, sources, limits, clock, onDefect }),
  );
  const warm = new WarmQueries();
  const apollo = createApollo(schema, presenter, warm);
  await app.register(graphqlRoutes({ apollo, warm, services, watch, presenter }));
  await app.register(graphiqlRoutes);
  const streams: StreamRoutesOptions = {
    schema,
    services,
    watch,
    presenter,
    sessions,
    limits: deps.streamLimits ?? {},
  };
  await app.register(graphqlStreamRoutes(streams));
  const { readiness, metrics, version } = deps;
  await app.register(healthRoutes({ db, readiness, metrics, version }));
  return app;
}

/** Unique over processes; a random id for each request would cost as much as parsing it. */
function requestIds(processId: string): () => string {
  let count = 0;
  return () => `${processId}-${(++count).toString(36)}`;
}
