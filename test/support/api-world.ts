import { createGraphRunner } from '../../src/create-scorer.js';
import { createHistoricalFeatures } from '../../src/create-historical-features.js';
import { createBackgroundJobs, type BackgroundJobs } from '../../src/create-background-jobs.js';
import { createSegmentPreviews } from '../../src/create-segment-previews.js';
import { BoundedPreviews } from '../../src/api/bounded-previews.js';
import { createPromotionPreviews } from '../../src/create-promotion-previews.js';
import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { ChangeFeedReader } from '../../src/activation/change-feed.reader.js';
import { createMergeProposals } from '../../src/create-merge-proposals.js';
import { createEndpoints } from '../../src/create-endpoints.js';
import { createEndpointPersons } from '../../src/endpoint-persons.js';
import { ChangeSubscriptionService } from '../../src/activation/change-subscription.service.js';
import { ChangeHub } from '../../src/activation/change-hub.js';
import type { WiredServices } from '../../src/api/api-services.js';
import { AuditLogReader } from '../../src/audit/audit-log.reader.js';
import { AuditLogStore } from '../../src/audit/audit-log.store.js';
import { AuditRecorder } from '../../src/audit/audit-recorder.js';
import { auditChainKey } from '../../src/start-audit.js';
import { ApiKeyEntity } from '../../src/api/auth/api-key.entity.js';
import type { ApiScope } from '../../src/api/auth/api-key.model.js';
import { ApiKeyService } from '../../src/api/auth/api-key.service.js';
import { ApiKeyStore } from '../../src/api/auth/api-key.store.js';
import { rateOf, RequestLimits } from '../../src/api/request-limits.js';
import type { Credentials } from '../../src/api/auth/credentials.js';
import { createProfileExports } from '../../src/create-profile-exports.js';
import {
  createTrainingSetExports,
  type TrainingSetExports,
  type TrainingSetExportParts,
} from '../../src/create-training-set-exports.js';
import { createWebhooks } from '../../src/create-webhooks.js';
import { createApiServer, type ApiServerDependencies } from '../../src/api/server.js';
import { createSegmentJobs, createSegmentOnceJobs } from '../../src/create-segment-jobs.js';
import { createLoads } from '../../src/create-loads.js';
import { createDeadLetters } from '../../src/create-dead-letters.js';
import { DefinitionsLoader } from '../../src/definitions.js';
import { AppliedWatch } from '../../src/events/applied-watch.js';
import { readLogProgress } from '../../src/events/applied-log.reader.js';
import type { RulesInForce } from '../../src/identity/identity-rules.reader.js';
import { AnchorStateStore } from '../../src/features/anchor-state.store.js';
import { RootSecret } from '../../src/platform/installation-secret.js';
import { createLogger } from '../../src/platform/logger.js';
import { Metrics } from '../../src/platform/metrics.js';
import { RateLimiter } from '../../src/platform/rate-limiter.js';
import { RepeatedLog } from '../../src/platform/repeated-log.js';
import { PlanService } from '../../src/plans/plan.service.js';
import { ProfileSnapshotReader } from '../../src/profile-snapshot.reader.js';
import { ProfileReader } from '../../src/profiles/profile.reader.js';
import { ScoringBatcher } from '../../src/scoring/scoring-batcher.js';
import { DEFAULT_MIN_SEGMENT_SIZE } from '../../src/segments/guard-segments.js';
import { takeSnapshot } from '../../src/segment-snapshot.js';
import { SegmentGuards } from '../../src/segments/segment-guards.reader.js';
import { MembershipStore } from '../../src/segments/membership.store.js';
import { ScheduleService } from '../../src/schedules/schedule.service.js';
import { LoadJobKind } from '../../src/sources/load-job.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { SourceService } from '../../src/sources/source.service.js';
import { observeWebhooks } from '../../src/sources/webhooks/observe-webhooks.js';
import { SourceStore } from '../../src/sources/source.store.js';
import { createWorld, DAY_MS, type World, type WorldOptions } from './world.js';

export interface GraphqlAnswer<T = Record<string, unknown>> {
  readonly status: number;
  readonly data?: T | null;
  readonly errors?: readonly {
    readonly message: string;
    readonly path?: readonly (string | number)[];
    readonly extensions: Readonly<Record<string, unknown>>;
  }[];
}

/** A world with the API listening on loopback. */
export interface ApiWorld extends World {
  readonly app: FastifyInstance;
  readonly url: string;
  readonly services: WiredServices;
  readonly hub: ChangeHub;
  readonly trainingSets: TrainingSetExports;
  readonly jobs: BackgroundJobs;
  /** Errors that callers saw only the id of. */
  readonly defects: unknown[];
  readonly keys: Readonly<Record<ApiScope, string>>;
  /** Profiles that were built from the database. */
  readThroughs(): number;
  /** Asks over HTTP; with the admin key unless another is given. */
  ask<T = Record<string, unknown>>(
    query: string,
    variables?: Record<string, unknown>,
    options?: { key?: string | null },
  ): Promise<GraphqlAnswer<T>>;
  /** The data of an answer that must have no errors. */
  data<T>(query: string, variables?: Record<string, unknown>): Promise<T>;
}

export interface ApiWorldOptions extends WorldOptions {
  readonly hub?: Partial<ConstructorParameters<typeof ChangeHub>[0]>;
  readonly server?: Partial<ApiServerDependencies>;
  readonly trainingSets?: Partial<TrainingSetExportParts>;
  /** WebSockets and event streams of one key. Default: the usual bound. */
  readonly connectionsPerKey?: number;
  /** Default: the keys alone. */
  readonly credentials?: (
    made: Pick<WiredServices, 'keys' | 'sources' | 'clock'> & { readonly metrics: Metrics },
  ) => Credentials;
}

/** For tests that are not about rates; a rate that a key has is kept. */
const MANY = 1_000_000;

export async function createApiWorld(options: ApiWorldOptions = {}): Promise<ApiWorld> {
  const world = await createWorld(undefined, {
    ...options,
    entities: [SourceEntity, ApiKeyEntity],
    onCommitted: (batch) => {
      hub.notify(batch.changes);
      if (batch.appliedPos !== null) applied.published(batch.appliedPos);
      options.onCommitted?.(batch);
    },
  });
  const { db, clock, engine } = world;
  const defects: unknown[] = [];
  const onDefect = (error: unknown): void => {
    defects.push(error);
  };
  const applied: AppliedWatch = new AppliedWatch({ read: () => readLogProgress(db), onError: onDefect });
  const feed = new ChangeFeedReader(db);
  const hub: ChangeHub = new ChangeHub({ feed, pollMs: 20, onError: onDefect, ...options.hub });
  const onRules = ({ rules, former }: RulesInForce): void => {
    engine.policy.use(rules, former);
  };
  const definitions = new DefinitionsLoader(db, engine.scorer, onRules, world.secret);
  const graphs = createGraphRunner(db, {});
  let readThroughs = 0;
  const profiles = new ProfileReader();
  const sources = new SourceService(new SourceStore(db.dataSource), clock);
  const secret = new RootSecret(Buffer.from('the secret of a world that ends with its test'));
  const keys = new ApiKeyService({
    store: new ApiKeyStore(db.dataSource),
    clock,
    secret,
    randomBytes,
    onLastUsedError: onDefect,
  });
  const metrics = new Metrics({ defaults: false });
  const webhooks = createWebhooks({
    db,
    clock,
    secret,
    sources,
    acceptor: engine.accept,
    deadLetters: engine.deadLetters,
    observer: observeWebhooks(metrics, new RepeatedLog(createLogger({ level: 'silent' }), clock)),
  });
  const trainingSets = createTrainingSetExports({
    ...{ db, clock, engine, onError: onDefect },
    config: { exportsPath: world.exportsPath, exportsMaxBytes: 4_000_000, exportsKeptMs: 7 * DAY_MS },
    observer: { ended: () => undefined, defect: onDefect, evicted: () => undefined, foldersDiffer: () => undefined },
    ...options.trainingSets,
  });
  const { segments } = engine.services;
  const { sealer } = engine;
  const previewParts = { db, clock, sealer, definitions, segments, minSegmentSize: DEFAULT_MIN_SEGMENT_SIZE };
  const previews = createSegmentPreviews(previewParts);
  const jobs = createBackgroundJobs({
    ...{ db, clock, onError: onDefect },
    kinds: createSegmentOnceJobs(
      { db, clock, accept: engine.accept, sources, segments, sleep: () => Promise.resolve() },
      previews,
    ),
    observer: { ended: () => undefined, defect: onDefect },
  });
  const services: WiredServices = {
    db,
    clock,
    secret,
    policy: engine.policy,
    log: engine.log,
    applied,
    snapshots: new ProfileSnapshotReader({
      db,
      store: () => options.sharedStore ?? world.store,
      definitions: () => definitions.current(),
      profiles,
      anchors: new AnchorStateStore(),
      memberships: new MembershipStore(),
      observer: {
        readThrough: (count) => {
          readThroughs += count;
        },
        storeFailed: onDefect,
      },
    }),
    profiles,
    feed,
    hub,
    changeSubscriptions: new ChangeSubscriptionService({ db, clock }),
    endpoints: createEndpoints({
      ...{ db, clock, secret, networks: ['127.0.0.0/8'], random: () => 0.5, onError: onDefect },
      persons: createEndpointPersons({ db, clock, definitions }),
      sealer: engine.sealer,
      observer: {
        attempted: () => undefined,
        skipped: () => undefined,
        died: () => undefined,
        paused: () => undefined,
      },
    }).service,
    batcher: new ScoringBatcher(),
    graphs,
    accept: engine.accept,
    letters: createDeadLetters(engine, sources, engine.accept, { db, clock }),
    retractions: engine.retractions,
    erasures: engine.erasures,
    sealer: engine.sealer,
    identity: engine.identity,
    matching: engine.matching,
    profileExports: createProfileExports({ db, clock, log: engine.log, definitions }),
    sources,
    schedules: new ScheduleService({
      db,
      clock,
      kinds: [
        new LoadJobKind(createLoads(engine, sources, engine.accept, { db, clock })),
        ...createSegmentJobs({
          ...{ db, clock, sources, accept: engine.accept },
          ...{ segments: engine.services.segments, segmentWork: engine.segmentWork },
          sleep: () => Promise.resolve(),
        }),
      ],
    }),
    jobs: jobs.service,
    trainingSets,
    keys,
    credentials: options.credentials?.({ keys, sources, clock, metrics }) ?? keys,
    webhooks,
    segments: engine.services.segments,
    segmentWork: engine.segmentWork,
    mergeProposals: createMergeProposals({ db, clock, minSegmentSize: DEFAULT_MIN_SEGMENT_SIZE }),
    takeSnapshot: (lists, ask) => takeSnapshot({ db, clock }, lists, ask),
    segmentGuards: new SegmentGuards(db, clock, DEFAULT_MIN_SEGMENT_SIZE),
    segmentPreviews: new BoundedPreviews(previews, { what: 'segments', command: 'weft segment preview' }),
    promotionPreviews: new BoundedPreviews(
      createPromotionPreviews({ db, clock, definitions, models: engine.services.models, observer: {} }),
      { what: 'promotions', command: 'weft model promote --dry-run' },
    ),
    features: engine.services.features,
    historical: createHistoricalFeatures(engine, { db, clock }),
    models: engine.services.models,
    traits: engine.services.traits,
    identityRules: engine.services.identityRules,
    plans: new PlanService({ db, clock, sources, onApplied: () => world.plans.refresh() }),
    audit: new AuditRecorder({
      store: new AuditLogStore(db, clock, auditChainKey(secret)),
      clock,
      onError: onDefect,
      onLost: (events) => onDefect(new Error(`${String(events)} audit events are lost`)),
    }),
    auditLog: new AuditLogReader(db),
    limits: new RequestLimits({
      ...(options.connectionsPerKey === undefined ? {} : { connectionsPerKey: options.connectionsPerKey }),
      events: new RateLimiter({ ...rateOf(MANY), maxKeys: 100 }, clock),
      requests: new RateLimiter({ ...rateOf(MANY), maxKeys: 100 }, clock),
      sources: new RateLimiter({ ...rateOf(1), maxKeys: 100 }, clock),
      metrics,
    }),
  };
  const app = await createApiServer({
    services,
    definitions,
    readiness: {},
    metrics,
    version: '0.0.0',
    onDefect,
    onError: onDefect,
    definitionsPollMs: 20,
    sessionSweepMs: 20,
    ...options.server,
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const url = `http://127.0.0.1:${String(port)}`;
  const source = await sources.ensure({ key: 'web', kind: 'http' });
  const secretOf = async (scope: ApiScope): Promise<string> =>
    (
      await keys.create({
        name: scope,
        scopes: scope === 'pii' ? ['read', 'pii'] : [scope],
        ...(scope === 'ingest' ? { sourceId: source.id } : {}),
        ...(scope === 'edge' ? { ratePerSecond: 100_000 } : {}),
      })
    ).secret;
  const secrets = {
    admin: await secretOf('admin'),
    read: await secretOf('read'),
    pii: await secretOf('pii'),
    ingest: await secretOf('ingest'),
    edge: await secretOf('edge'),
  };

  const ask: ApiWorld['ask'] = async (query, variables, { key = secrets.admin } = {}) => {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(key === null ? {} : { authorization: `Bearer ${key}` }) },
      body: JSON.stringify({ query, variables }),
    });
    return { status: response.status, ...((await response.json()) as object) };
  };
  return {
    ...world,
    app,
    url,
    services,
    hub,
    trainingSets,
    jobs,
    defects,
    keys: secrets,
    readThroughs: () => readThroughs,
    ask,
    data: async <T>(query: string, variables?: Record<string, unknown>): Promise<T> => {
      const { data, errors } = await ask(query, variables);
      if (errors !== undefined) throw new Error(JSON.stringify(errors));
      return data as T;
    },
    close: async () => {
      await app.close();
      await services.audit.stop();
      await hub.close();
      await jobs.runner.stop();
      await world.close();
    },
  };
}
