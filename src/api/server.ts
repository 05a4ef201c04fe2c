import type { GraphQLSchema } from 'graphql';
import Fastify, { type FastifyInstance, type FastifyPluginAsync } from 'fastify';
import { DamagedItemService } from '../features/damaged-item.service.js';
import { EntityRecordService } from '../features/entity-record.service.js';
import { EventSampleReader } from '../events/event-sample.reader.js';
import { VocabularyReader } from '../features/vocabulary.reader.js';
import { maskPayload } from '../privacy/mask.model.js';
import { FeatureReferenceService } from '../monitoring/feature-reference.service.js';
import { MaterializationService } from '../features/materialization.service.js';
import { NamespaceReader } from '../identity/namespace.reader.js';
import { NETWORK_NAMESPACES } from '../sources/webhooks/interaction.model.js';
import { newId } from '../platform/ids.js';
import type { Metrics } from '../platform/metrics.js';
import { parseQueryString } from '../platform/query-string.js';
import type { DefinitionsSource } from './api-definitions.model.js';
import type { ApiServices, WiredServices } from './api-services.js';
import { EdgeSigning } from './auth/edge-signing.js';
import { answerBrokenRequest } from './broken-request.js';
import { DefinitionsWatch } from './definitions-watch.js';
import { StoredDocumentService } from './documents/stored-document.service.js';
import { StoredDocuments } from './documents/stored-documents.js';
import { EdgeProfiles } from './edge/edge-profiles.js';
import { EdgeScores } from './edge/edge-scores.js';
import { oipRoutes } from './oip/oip.routes.js';
import { createApollo } from './graphql/apollo.js';
import { Admission } from './graphql/admission.js';
import { buildApiSchema } from './graphql/build-schema.js';
import type { ErrorPresenter } from './graphql/present-error.js';
import { problemOfDocument } from './graphql/read-document.js';
import { SnapshotBatcher } from './graphql/snapshot-batcher.js';
import { WarmQueries } from './graphql/warm-queries.js';
import { feastRoutes } from './feast/feast.routes.js';
import { graphiqlRoutes } from './graphiql.routes.js';
import { graphqlRoutes } from './graphql.routes.js';
import { SessionWatch } from './auth/session-watch.js';
import { attachGraphqlSocket, type SocketLimits } from './graphql-socket.js';
import { graphqlStreamRoutes, type StreamLimits, type StreamRoutesOptions } from './graphql-stream.routes.js';
import { endConnections } from './end-connections.js';
import { healthRoutes, type ReadinessCheck } from './health.routes.js';
import { modelRoutes } from './model.routes.js';
import { observeRequests } from './observe-requests.js';
import { profileExportRoutes } from './profile-export.routes.js';
import { trackingRoutes } from './tracking.routes.js';
import { trainingSetRoutes } from './training-set.routes.js';
import { webhookRoutes } from './webhook.routes.js';
import { answerUnknownRoutes } from './unknown-route.js';
import { ListService } from '../profiles/list.service.js';
import { ConsentService } from '../profiles/consent.service.js';
import { TraitDeletionService } from '../profiles/trait-deletion.service.js';

/** Fastify takes Node's own bound away. */
const REQUEST_TIMEOUT_MS = 60_000;
const DRAIN_MS = 5_000;

/** What the composition root hands to the API. */
export interface ApiServerDependencies {
  readonly services: WiredServices;
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
  /** Keys without the scope admin may only ask by stored documents. Default: false. */
  readonly storedDocumentsOnly?: boolean;
  /** Where browsers reach this server, if that is not what they name in their requests. */
  readonly publicUrl?: string;
  /** Whose `X-Forwarded-` headers are believed: addresses, networks, `loopback`, `linklocal`, `uniquelocal`. Default: nobody's. */
  readonly trustedProxies?: readonly string[];
  /** How soon definitions that another process changed are in force here, ms. Default 500. */
  readonly definitionsPollMs?: number;
  /** How late an expired key is noticed in a socket or stream in which nothing happens, ms. Default 1,000. */
  readonly sessionSweepMs?: number;
  /** A request has to be here, body and all, within this time. Default 60,000. */
  readonly requestTimeoutMs?: number;
  /** What is under way when the server closes has this time to be answered, then its connection ends. Default 5,000. */
  readonly drainMs?: number;
  /** Bounds of `/graphql` over WebSocket and of `/graphql/stream`, where not the usual ones. */
  readonly socketLimits?: Partial<SocketLimits>;
  readonly streamLimits?: Partial<StreamLimits>;
}

/** Without proxies, headers are not looked at. */
function trustedBy({ trustedProxies = [] }: ApiServerDependencies): string[] | false {
  return trustedProxies.length === 0 ? false : [...trustedProxies];
}

function featureServices({
  services: wired,
  metrics,
  onError,
}: ApiServerDependencies): Pick<
  ApiServices,
  'entityRecords' | 'damagedItems' | 'vocabulary' | 'materialization' | 'featureReferences'
> {
  const { db, clock, sealer } = wired;
  const damaged = metrics.counter(
    'entity_unreadable_items_total',
    'Items asked for whose states could not be read, marked to be folded anew from their events.',
  );
  const onMarked = (items: number): void => {
    damaged.add(items);
  };
  return {
    entityRecords: new EntityRecordService(wired),
    damagedItems: new DamagedItemService({ db, clock, onMarked, onError }),
    vocabulary: new VocabularyReader({ ...wired, samples: new EventSampleReader(db, sealer), mask: maskPayload }),
    materialization: new MaterializationService(db),
    featureReferences: new FeatureReferenceService(wired),
  };
}

/** What is said of people by events that Weft itself writes. */
function personServices({
  services: wired,
}: ApiServerDependencies): Pick<ApiServices, 'traitDeletion' | 'consents' | 'lists'> {
  return {
    traitDeletion: new TraitDeletionService(wired),
    consents: new ConsentService(wired),
    lists: new ListService({ ...wired, uses: (tx) => wired.segments.listUses(tx) }),
  };
}

/**
 * The HTTP server with everything on it: `/` (what this is), `/v1` (tracking), `/graphql` (HTTP and WebSocket),
 * `/graphql/stream`, `/get-online-features` and others of Feast's, `/exports/profiles`, `/label-files`, `/training-sets`, `/models`, `/v2` (Open Inference Protocol), `/healthz`, `/readyz`, `/metrics`. It does not listen yet. Close it before the change hub: clients that are cut off come back, those
 * that are told that a subscription is complete do not.
 */
export async function createApiServer(deps: ApiServerDependencies): Promise<FastifyInstance> {
  const { services: wired, onDefect, onError } = deps;
  const { clock, db } = wired;
  const presenter: ErrorPresenter = { onDefect, newErrorId: () => newId(clock.now()) };
  const stored = new StoredDocuments(db);
  const watch = new DefinitionsWatch({
    db,
    documents: stored,
    source: deps.definitions,
    onError,
    ...(deps.definitionsPollMs === undefined ? {} : { pollMs: deps.definitionsPollMs }),
  });
  const schema = buildApiSchema();
  const admission = new Admission({ schema, stored, storedOnly: deps.storedDocumentsOnly ?? false });
  const namespaces = new NamespaceReader({
    db,
    clock,
    declared: () => [...watch.current.identityRules.namespaces.keys(), ...NETWORK_NAMESPACES],
  });
  const services: ApiServices = {
    ...wired,
    ...edgeServices(deps, schema, watch),
    namespaces,
    ...personServices(deps),
    ...featureServices(deps),
  };
  const { requestTimeoutMs = REQUEST_TIMEOUT_MS, drainMs = DRAIN_MS } = deps;
  const app = Fastify({
    forceCloseConnections: 'idle',
    trustProxy: trustedBy(deps),
    requestTimeout: requestTimeoutMs,
    http: {
      // Where this is the longer, Node swaps the two.
      headersTimeout: requestTimeoutMs,
      // Node looks every 30 s, which is how much longer a request might drip.
      connectionsCheckingInterval: Math.min(5_000, Math.ceil(requestTimeoutMs / 4)),
    },
    genReqId: requestIds(newId(clock.now())),
    requestIdHeader: false,
    clientErrorHandler: answerBrokenRequest,
    routerOptions: { querystringParser: parseQueryString },
  });
  endConnections(app, drainMs);
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
    admission,
    services,
    watch,
    presenter,
    sessions,
    metrics: deps.metrics,
    ...deps.socketLimits,
  });
  app.addHook('preClose', () => socket.close());

  const { accept, credentials, sources, limits } = services;
  const publicUrl = deps.publicUrl === undefined ? {} : { publicUrl: deps.publicUrl };
  await app.register(
    trackingRoutes({ accept, keys: credentials, sources, limits, clock, onDefect, log: wired.log, ...publicUrl }),
  );
  await app.register(
    webhookRoutes({ receiver: services.webhooks.receiver, keys: credentials, sources, limits, clock, onDefect }),
  );
  await app.register(exportRoutes(services, onDefect));
  await app.register(feastRoutes({ services, watch, onDefect }));
  await app.register(oipRoutes({ services, watch, version: deps.version, onDefect }));
  const warm = new WarmQueries();
  const apollo = createApollo(admission, presenter, warm);
  await app.register(graphqlRoutes({ apollo, warm, admission, services, watch, presenter, onError }));
  await app.register(graphiqlRoutes);
  const streams: StreamRoutesOptions = {
    admission,
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

/** What is fetched and sent as files. */
function exportRoutes(services: ApiServices, onDefect: ApiServerDependencies['onDefect']): FastifyPluginAsync {
  const { profileExports, trainingSets, models, credentials, audit, db, clock } = services;
  return async (app) => {
    await app.register(profileExportRoutes({ exports: profileExports, credentials, audit, onDefect }));
    await app.register(trainingSetRoutes({ ...trainingSets, db, clock, credentials, audit, onDefect }));
    await app.register(modelRoutes({ models, credentials, audit, onDefect }));
  };
}

function edgeServices(
  { services: { db, clock, secret, snapshots, applied, batcher: scoring }, metrics, onError }: ApiServerDependencies,
  schema: GraphQLSchema,
  watch: DefinitionsWatch,
): Pick<ApiServices, 'documents' | 'edge' | 'edgeSigning'> {
  const batcher = SnapshotBatcher.of(snapshots);
  return {
    documents: new StoredDocumentService({
      db,
      clock,
      problemOf: (text) => problemOfDocument(schema, text),
      changed: () => watch.refresh(),
    }),
    edge: new EdgeProfiles({
      atHand: (identifierId) => snapshots.atHand(identifierId),
      lastAtHand: (identifierId) => snapshots.lastAtHand(identifierId),
      // Nothing else is read with it: each read stands for itself.
      read: (identifierId) => batcher.ofIdentifier(identifierId, {}),
      readCommitted: (identifierId) => batcher.committedOfIdentifier(identifierId, {}),
      applied,
      scores: new EdgeScores({ batcher: scoring, clock }),
      metrics,
      onError,
      now: () => performance.now(),
      wallClock: () => clock.now(),
    }),
    edgeSigning: new EdgeSigning(secret),
  };
}

/** Unique over processes; a random id for each request would cost as much as parsing it. */
function requestIds(processId: string): () => string {
  let count = 0;
  return () => `${processId}-${(++count).toString(36)}`;
}
