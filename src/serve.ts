import { createHistoricalFeatures } from './create-historical-features.js';
import { createPromotionPreviews } from './create-promotion-previews.js';
import { createSegmentPreviews } from './create-segment-previews.js';
import { BoundedPreviews } from './api/bounded-previews.js';
import { createGraphRunner, createScorer } from './create-scorer.js';
import type { AddressInfo } from 'node:net';
import { ChangeFeedReader } from './activation/change-feed.reader.js';
import { ChangeHub } from './activation/change-hub.js';
import { anyOf, type Credentials } from './api/auth/credentials.js';
import { IssuerKeys } from './api/auth/issuer-keys.js';
import { TokenVerifier } from './api/auth/token-verifier.js';
import type { ReadinessCheck } from './api/health.routes.js';
import { rateOf, RequestLimits } from './api/request-limits.js';
import { createApiServer } from './api/server.js';
import type { App } from './app.js';
import { DefinitionsLoader } from './definitions.js';
import { readAppliedPos, readLogProgress } from './events/applied-log.reader.js';
import { createProfileExports } from './create-profile-exports.js';
import { AppliedWatch } from './events/applied-watch.js';
import { AnchorStateStore } from './features/anchor-state.store.js';
import type { RulesInForce } from './identity/identity-rules.reader.js';
import { AuditLogReader } from './audit/audit-log.reader.js';
import { ClockDifference, clockProblems } from './monitoring/clock-difference.js';
import { listenError } from './platform/listen-error.js';
import { RateLimiter } from './platform/rate-limiter.js';
import { ProfileSnapshotReader } from './profile-snapshot.reader.js';
import { ProfileReader } from './profiles/profile.reader.js';
import type { GraphRunner } from './scoring/graph-runner.js';
import { ScoringBatcher } from './scoring/scoring-batcher.js';
import { createMergeProposals } from './create-merge-proposals.js';
import { takeSnapshot } from './segment-snapshot.js';
import type { ListService } from './profiles/list.service.js';
import type { SegmentSnapshotAsk } from './segments/segment-snapshot.model.js';
import { SegmentGuards } from './segments/segment-guards.reader.js';
import { MembershipStore } from './segments/membership.store.js';
import { startChangeSubscriptions } from './start-change-subscriptions.js';
import { VERSION } from './version.js';

const MAX_RATE_LIMITED_KEYS = 10_000;
/** Events that may wait to be applied before this process says that it is not ready. */
const MAX_READY_LAG_EVENTS = 100_000;

/**
 * Opens the doors of a started program: HTTP, GraphQL, subscriptions. They close with it, before anything they need.
 * @throws WeftError CONFIG_INVALID if the address cannot be listened on
 */
export async function serve(app: App): Promise<{ readonly url: string }> {
  const { db, clock, engine, lifecycle, logger, repeatedLog, config } = app;
  const onError = (error: unknown): void => {
    repeatedLog.warn(error, 'work in the background failed and is tried again');
  };
  // Its own copy of definitions and sessions: the worker decides by itself when to load anew.
  const scorer = await lifecycle.start('scorer', () => createScorer(db, app.scoring), {
    stop: (started) => started.close(),
  });
  const onRules = ({ rules, former }: RulesInForce): void => {
    engine.policy.use(rules, former);
  };
  const definitions = new DefinitionsLoader(db, scorer, onRules, app.secret);
  const feed = new ChangeFeedReader(db);
  const hub = await lifecycle.start('change hub', () => new ChangeHub({ feed, onError }), {
    stop: (started) => started.close(),
  });
  const applied = new AppliedWatch({ read: () => readLogProgress(db), onError });
  app.onCommitted((batch) => {
    hub.notify(batch.changes);
    if (batch.appliedPos !== null) applied.published(batch.appliedPos);
  });
  const changeSubscriptions = await startChangeSubscriptions(app);
  const profiles = new ProfileReader();
  const graphs = await startGraphs(app);
  app.metrics.gauge('subscribers', 'Subscribers to the change feed.', () => hub.subscribers);
  app.metrics.gauge('event_log_queued_events', 'Events that wait to be written.', () => engine.log.queuedEvents);
  const server = await lifecycle.start(
    'server',
    async () =>
      createApiServer({
        services: {
          db,
          clock,
          secret: app.secret,
          policy: engine.policy,
          log: engine.log,
          applied,
          snapshots: snapshotsOf(app, definitions, onError),
          profiles,
          feed,
          hub,
          changeSubscriptions,
          endpoints: app.endpoints.service,
          batcher: new ScoringBatcher(),
          graphs,
          accept: engine.accept,
          letters: app.letters,
          retractions: engine.retractions,
          erasures: engine.erasures,
          sealer: engine.sealer,
          identity: engine.identity,
          matching: engine.matching,
          profileExports: createProfileExports({ db, clock, log: engine.log, definitions }),
          sources: app.sources,
          ...{ schedules: app.schedules.service, jobs: app.jobs.service },
          trainingSets: app.trainingSets,
          keys: app.keys,
          credentials: credentialsOf(app),
          webhooks: app.webhooks,
          ...{ segments: engine.services.segments, segmentWork: engine.segmentWork },
          ...previewsOf(app, definitions),
          features: engine.services.features,
          historical: createHistoricalFeatures(engine, { db, clock }),
          models: app.models,
          traits: app.engine.services.traits,
          identityRules: app.engine.services.identityRules,
          plans: app.plans,
          audit: app.audit,
          auditLog: new AuditLogReader(db),
          limits: requestLimits(app),
        },
        definitions,
        readiness: readinessOf(app, await watchClocks(app, onError)),
        metrics: app.metrics,
        version: VERSION,
        onDefect: (error, errorId) => {
          logger.error({ err: error, errorId }, 'a request failed by a defect');
        },
        onError,
        storedDocumentsOnly: config.storedDocumentsOnly,
        trustedProxies: config.trustedProxies,
        ...(config.publicUrl === null ? {} : { publicUrl: config.publicUrl }),
      }),
    { drain: (started) => started.close() },
  );
  await listen(server, config.host, config.port);
  const { port } = server.server.address() as AddressInfo;
  const host = config.host.includes(':') ? `[${config.host}]` : config.host;
  return { url: `http://${host}:${String(port)}` };
}

function previewsOf(
  { db, clock, engine, scoring, models, config: { minSegmentSize } }: App,
  definitions: DefinitionsLoader,
) {
  const { sealer, services } = engine;
  return {
    takeSnapshot: (lists: ListService, ask: SegmentSnapshotAsk) => takeSnapshot({ db, clock }, lists, ask),
    segmentGuards: new SegmentGuards(db, clock, minSegmentSize),
    mergeProposals: createMergeProposals({ db, clock, minSegmentSize }),
    segmentPreviews: new BoundedPreviews(
      createSegmentPreviews({ db, clock, sealer, definitions, segments: services.segments, minSegmentSize }),
      { what: 'segments', command: 'weft segment preview' },
    ),
    promotionPreviews: new BoundedPreviews(
      createPromotionPreviews({ db, clock, definitions, models, observer: scoring }),
      { what: 'promotions', command: 'weft model promote --dry-run' },
    ),
  };
}

async function startGraphs({ lifecycle, db, scoring }: App): Promise<GraphRunner> {
  return lifecycle.start('graphs', () => createGraphRunner(db, scoring), { stop: (started) => started.close() });
}

/** Profiles as they are published, read from the database where the online store lacks them. */
function snapshotsOf(
  { db, metrics, onlineStore }: App,
  definitions: DefinitionsLoader,
  onError: (error: unknown) => void,
): ProfileSnapshotReader {
  const readThrough = metrics.counter(
    'profiles_read_through_total',
    'Profiles read from the database because the online store lacked them.',
  );
  return new ProfileSnapshotReader({
    db,
    store: onlineStore,
    profiles: new ProfileReader(),
    anchors: new AnchorStateStore(),
    memberships: new MembershipStore(),
    definitions: () => definitions.current(),
    observer: {
      readThrough: (count) => {
        readThrough.add(count);
      },
      storeFailed: onError,
    },
  });
}

/** Keys, and the tokens of people where an issuer is configured. */
function credentialsOf({ config, keys, sources, clock, metrics, repeatedLog }: App): Credentials {
  const { oidc: settings } = config;
  if (settings === null) return keys;
  const issuerKeys = new IssuerKeys({
    ...settings,
    clock,
    fetch,
    onError: (error) => {
      repeatedLog.warn(error, 'the keys that tokens of people are checked with cannot be fetched');
    },
  });
  const sourceIdOf = async (key: string): Promise<number | null> => (await sources.findByKey(key))?.id ?? null;
  return anyOf([keys, new TokenVerifier({ settings, keys: issuerKeys, sourceIdOf, clock, metrics })]);
}

function requestLimits({ config, clock, metrics }: App): RequestLimits {
  const limiter = (tokensPerSecond: number): RateLimiter =>
    new RateLimiter({ ...rateOf(tokensPerSecond), maxKeys: MAX_RATE_LIMITED_KEYS }, clock);
  return new RequestLimits({
    events: limiter(config.ingestEventsPerSecond),
    requests: limiter(config.graphqlRequestsPerSecond),
    sources: limiter(config.ingestEventsPerSecond),
    connectionsPerKey: config.graphqlConnectionsPerKey,
    metrics,
  });
}

/** A clock that is wrong is told of and refuses nothing: its events are accepted at times that no other clock shows. */
async function watchClocks(
  { db, clock, logger, metrics }: App,
  onError: (error: unknown) => void,
): Promise<ClockDifference> {
  const difference = new ClockDifference(db, clock);
  const help = "The clock of this process less the database's, as of a look at /readyz at most one minute ago.";
  metrics.gauge('clock_difference_seconds', help, () => difference.ms / 1_000);
  try {
    for (const problem of clockProblems(await difference.measure(performance.now()))) logger.warn(problem);
  } catch (error) {
    onError(error);
  }
  return difference;
}

/** What has to be in order beside the database. */
function readinessOf(app: App, clocks: ClockDifference): Record<string, ReadinessCheck> {
  const { pingRedis } = app;
  const worker = async (): Promise<string | null> => {
    await clocks.keepFresh(performance.now());
    return workerProblem(app);
  };
  if (pingRedis === null) return { worker };
  const redis: ReadinessCheck = async () => {
    await pingRedis();
    return null;
  };
  return { worker, redis };
}

/** Of a process without a worker only the lag counts: its answers are as old as that, but it can give them. */
async function workerProblem({ db, engine, isWorking, workerHealth }: App): Promise<string | null> {
  const { pos: headPos } = await engine.log.head();
  const appliedPos = await readAppliedPos(db);
  const problem = isWorking ? workerHealth.problem({ headPos, appliedPos }) : null;
  const lag = headPos - appliedPos;
  return problem ?? (lag <= MAX_READY_LAG_EVENTS ? null : `${String(lag)} events wait to be applied`);
}

async function listen(server: Awaited<ReturnType<typeof createApiServer>>, host: string, port: number): Promise<void> {
  try {
    await server.listen({ host, port });
  } catch (error) {
    throw listenError(error, host, port);
  }
}
