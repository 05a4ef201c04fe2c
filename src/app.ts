import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiKeyService } from './api/auth/api-key.service.js';
import { ApiKeyStore } from './api/auth/api-key.store.js';
import type { Config } from './config.js';
import { createLoads, type Loads } from './create-loads.js';
import { segmentJobKinds, type SegmentJobParts } from './create-segment-jobs.js';
import { startBackgroundJobs, type BackgroundJobs } from './create-background-jobs.js';
import { startSchedules, type Schedules } from './create-schedules.js';
import {
  startTrainingSetExports,
  type TrainingSetExports,
  type TrainingSetExportStart,
} from './create-training-set-exports.js';
import { createEngine, type Engine, type EngineOptions } from './engine.js';
import { readAppliedPos } from './events/applied-log.reader.js';
import type { DeadLetterService } from './events/dead-letter.service.js';
import { observeAccepts } from './events/observe-accepts.js';
import { WorkersExclude } from './events/partition-lease.model.js';
import type { AuditRecorder } from './audit/audit-recorder.js';
import { createObservers } from './monitoring/observers.js';
import { WorkerHealth } from './monitoring/worker-health.js';
import type { BatchResult } from './pipeline-transaction.js';
import { PlanService } from './plans/plan.service.js';
import { systemClock, type Clock } from './platform/clock.js';
import { WeftError } from './platform/errors.js';
import type { Uuid } from './platform/ids.js';
import {
  checkSecret,
  NO_SECRET,
  RootSecret,
  secretOfFolder,
  type InstallationSecret,
} from './platform/installation-secret.js';
import { Lifecycle } from './platform/lifecycle.js';
import type { Logger } from './platform/logger.js';
import { Metrics } from './platform/metrics.js';
import type { Database } from './platform/postgres.js';
import { RedisConnection } from './platform/redis.js';
import { RepeatedLog } from './platform/repeated-log.js';
import { onlineEpoch } from './profiles/online-epoch.js';
import { ExclusiveOnlineStore } from './profiles/online-store.exclusive.js';
import type { OnlineStore } from './profiles/online-store.model.js';
import { MemoryOnlineStore } from './profiles/online-store.memory.js';
import { RedisOnlineStore } from './profiles/online-store.redis.js';
import { TimedOnlineStore } from './profiles/online-store.timed.js';
import type { ModelService } from './scoring/model.service.js';
import type { ScoringObserver } from './scoring/scoring-observer.model.js';
import { createDeadLetters } from './create-dead-letters.js';
import { SourceService } from './sources/source.service.js';
import { SourceStore } from './sources/source.store.js';
import { startEndpoints, type Endpoints, type EndpointStart } from './create-endpoints.js';
import { createEndpointPersons } from './endpoint-persons.js';
import { startWebhooks, type Webhooks } from './create-webhooks.js';
import { observeWebhooks } from './sources/webhooks/observe-webhooks.js';
import { startAudit } from './start-audit.js';
import { startDatabase } from './start-database.js';
import { startPrivacy } from './start-privacy.js';
import type { Compactor } from './privacy/compactor.js';
import { startWatches } from './start-watches.js';
import { startIntake, watchSources, type IntakeParts } from './start-intake.js';

const NAME_PREFIX = 'weft process ';

export interface AppOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** Applies the log and fires timers. `try`: only if no other process does so already. */
  readonly worker: 'yes' | 'no' | 'try';
  /** True where the process goes on to listen: others that find it in their way are told the address. */
  readonly isServing?: boolean;
}

/** The program without its doors: database, stores, engine and services, started in order. */
export interface App extends Loads {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  /** For what may happen with each event or request. */
  readonly repeatedLog: RepeatedLog;
  readonly metrics: Metrics;
  readonly lifecycle: Lifecycle;
  readonly db: Database;
  readonly secret: InstallationSecret;
  readonly engine: Engine;
  readonly onlineStore: () => OnlineStore;
  readonly sources: SourceService;
  readonly keys: ApiKeyService;
  readonly models: ModelService;
  readonly compactor: Compactor;
  readonly letters: DeadLetterService;
  readonly webhooks: Webhooks;
  readonly schedules: Schedules;
  /** What somebody asks for once, and takes long. */
  readonly jobs: BackgroundJobs;
  readonly endpoints: Endpoints;
  readonly trainingSets: TrainingSetExports;
  readonly plans: PlanService;
  readonly audit: AuditRecorder;
  /** True if this process applies the log. */
  readonly isWorking: boolean;
  readonly workerHealth: WorkerHealth;
  /** Told of what models do, by whoever asks them. */
  readonly scoring: ScoringObserver;
  /** Rejects when Redis does not answer; null where none is configured. */
  readonly pingRedis: (() => Promise<void>) | null;
  /** Calls back after each committed batch of this process, in order of commit. */
  onCommitted(listener: (batch: BatchResult) => void): void;
  /** Resolves when everything accepted before the call is applied, by whichever process. */
  applied(onProgress?: (done: number, total: number) => void, signal?: AbortSignal): Promise<void>;
  /** Resolves with the reason when the process can do no more and should end; else never. */
  readonly broken: Promise<WeftError>;
  stop(): Promise<boolean>;
}

/**
 * Starts everything that the options ask for; what was started is stopped again if a later part fails.
 * @throws WeftError with where and hint, for all that a person can put right
 */
export async function startApp(options: AppOptions): Promise<App> {
  const { config, logger, clock = systemClock } = options;
  const lifecycle = createLifecycle(config, logger);
  for (const warning of config.warnings) logger.warn(warning);
  const metrics = new Metrics();
  let onBroken: (error: WeftError) => void = () => undefined;
  const broken = new Promise<WeftError>((resolve) => (onBroken = resolve));
  const applicationName = processName(options);
  const db = await startDatabase({ lifecycle, config, logger, metrics, applicationName, onBroken });
  const secret = await lifecycle.start('secret', () => readSecret(config, db), {});
  const { pingRedis, ...online } = await startOnlineStore(lifecycle, config, db, metrics, clock);

  const repeatedLog = new RepeatedLog(logger, clock);
  const workerHealth = new WorkerHealth(clock);
  const intakeParts = { lifecycle, db, clock, metrics, log: repeatedLog };
  const audit = await startAudit({ ...intakeParts, secret, retentionMs: config.auditRetentionMs });
  const privacy = await startPrivacy({ lifecycle, config, db, clock, secret, log: repeatedLog });
  const intake = await startIntake({ ...intakeParts, geoDatabase: config.geoDatabase });
  const observers = {
    ...observeAccepts(metrics, logger),
    ...createObservers(metrics, repeatedLog, workerHealth),
    settled: intake.settled,
  };
  const listeners: ((batch: BatchResult) => void)[] = [
    (batch) => {
      observers.committed(batch);
    },
  ];
  const engine = await startEngine(lifecycle, {
    db,
    clock,
    ...online,
    observers,
    plans: intake.plans,
    enrichers: intake.enrichers,
    erasing: privacy.erasing,
    onCommitted: (batch) => {
      for (const listener of listeners) listener(batch);
    },
  });
  const listen = listeningBy(listeners);
  const isWorking = options.worker !== 'no' && (await startWorker(lifecycle, options, engine, db));
  if (isWorking) await Promise.all([privacy.compactInTime(), audit.expireInTime()]);
  if (isWorking && isLasting(options))
    await startWatches({ ...intakeParts, ...online, config, engine, logger, listen });
  const accept = isWorking ? wakingAcceptor(engine) : engine.accept;
  const sources = await startSources(options, intakeParts, isWorking);
  const loads = createLoads(engine, sources, accept, { db, clock });
  const standing = { ...intakeParts, engine, accept, sources, config, logger, loads, secret, listen };
  return {
    config,
    clock,
    logger,
    repeatedLog,
    metrics,
    lifecycle,
    db,
    secret,
    engine: { ...engine, accept: accept as Engine['accept'] },
    onlineStore: online.onlineStore,
    sources,
    keys: await startKeys({ lifecycle, db, clock, secret }, repeatedLog),
    models: engine.services.models,
    ...loads,
    ...(await startStandingWork(standing, isWorking && options.worker === 'yes' ? lifecycle : null)),
    webhooks: await startWebhooks(
      {
        db,
        clock,
        secret,
        sources,
        acceptor: accept,
        deadLetters: engine.deadLetters,
        observer: observeWebhooks(metrics, repeatedLog),
      },
      isWorking ? lifecycle : null,
      repeatedLog,
    ),
    audit: audit.recorder,
    plans: new PlanService({ db, clock, sealer: engine.sealer, sources, onApplied: () => intake.plans.refresh() }),
    compactor: privacy.compactor,
    letters: createDeadLetters(engine, sources, accept, { db, clock }),
    isWorking,
    ...{ workerHealth, scoring: observers },
    pingRedis,
    onCommitted: listen,
    applied: (onProgress, signal) => waitUntilApplied(db, engine, onProgress, signal),
    broken,
    stop: () => lifecycle.stop(),
  };
}

/** @throws the reason why the process can do no more, if that comes first */
export async function unlessBroken<T>({ broken }: App, work: Promise<T>): Promise<T> {
  return Promise.race([
    work,
    broken.then((error) => {
      throw error;
    }),
  ]);
}

function createLifecycle({ shutdownTimeoutMs }: Config, logger: Logger): Lifecycle {
  return new Lifecycle(
    {
      started: (name, tookMs) => {
        logger.debug({ part: name, tookMs: Math.round(tookMs) }, 'started');
      },
      departureFailed: (name, phase, error) => {
        logger.warn({ part: name, phase, err: error }, 'a part did not go cleanly');
      },
    },
    shutdownTimeoutMs,
  );
}

async function startKeys(
  { lifecycle, db, clock, secret }: Pick<App, 'lifecycle' | 'db' | 'clock' | 'secret'>,
  log: RepeatedLog,
): Promise<ApiKeyService> {
  const onLastUsedError = (error: unknown): void => {
    log.warn(error, 'the last use of a key could not be noted');
  };
  const onLookUpError = (error: unknown): void => {
    log.warn(error, 'an edge key could not be looked up anew; what was known of it counts on');
  };
  const store = new ApiKeyStore(db.dataSource);
  return lifecycle.start(
    'keys',
    () => new ApiKeyService({ store, clock, secret, randomBytes, onLastUsedError, onLookUpError }),
    { drain: (service) => service.drain() },
  );
}

/** @throws WeftError CONFIG_INVALID where it is not the one that this database was used with */
async function readSecret({ secret, databaseUrl, dataDir }: Config, db: Database): Promise<InstallationSecret> {
  // A folder that only this process knows would hold another secret than that of the next.
  if (secret === null && databaseUrl !== null) return NO_SECRET;
  const root = new RootSecret(secret === null ? await secretOfFolder(dataDir) : Buffer.from(secret));
  await checkSecret(db, root);
  return root;
}

async function startEngine(lifecycle: Lifecycle, options: EngineOptions): Promise<Engine> {
  const engine = await lifecycle.start('engine', () => createEngine(options), {
    stop: (started) => started.scorer.close(),
  });
  const { suppressions } = engine;
  await lifecycle.start('suppressions', () => suppressions.start(), { drain: () => suppressions.stop() });
  return engine;
}

/**
 * What is done as somebody asks for it, or by the clock.
 * @param runs where it is done: by what runs for long, as a command that applies events does only what it is asked for;
 * null: elsewhere
 */
async function startStandingWork(
  {
    loads,
    accept,
    sources,
    secret,
    listen,
    ...parts
  }: TrainingSetExportStart &
    Pick<EndpointStart, 'secret' | 'listen'> &
    Pick<App, 'engine' | 'config'> &
    Pick<SegmentJobParts, 'accept' | 'sources'> & { readonly loads: Loads },
  runs: Lifecycle | null,
): Promise<Pick<App, 'schedules' | 'jobs' | 'trainingSets' | 'endpoints'>> {
  const { db, clock, engine, config } = parts;
  const segmentJobs = segmentJobKinds({ db, clock, engine, config, accept, sources });
  const persons = createEndpointPersons({ db, clock, definitions: engine.definitions });
  return {
    schedules: await startSchedules({ ...loads, ...parts, jobs: segmentJobs.byTheClock }, runs),
    jobs: await startBackgroundJobs(parts, segmentJobs.once, runs),
    trainingSets: await startTrainingSetExports(parts, runs),
    endpoints: await startEndpoints(
      { ...parts, secret, listen, persons, sealer: engine.sealer, networks: config.endpointNetworks },
      runs,
    ),
  };
}

/** The worker of this process applies at once what this process accepts. */
function wakingAcceptor({ accept, worker }: Engine): Pick<Engine['accept'], 'accept' | 'check'> {
  return {
    check: (...call) => accept.check(...call),
    accept: async (...call) => {
      const results = await accept.accept(...call);
      worker.wake();
      return results;
    },
  };
}

/** Sources are watched by what runs for long. */
async function startSources(options: AppOptions, parts: IntakeParts, isWorking: boolean): Promise<SourceService> {
  const sources = new SourceService(new SourceStore(parts.db.dataSource), parts.clock);
  if (isLasting(options)) await watchSources({ ...parts, logger: options.logger, sources, detects: isWorking });
  return sources;
}

function isLasting({ worker, isServing }: AppOptions): boolean {
  return worker === 'yes' || isServing === true;
}

/** What other processes can see of this one, as its connections' name: PostgreSQL keeps 63 bytes of it. */
function processName({ config: { host, port }, isServing = false }: AppOptions): string {
  const authority = `${host.includes(':') ? `[${host}]` : host}:${String(port)}`;
  const place = isServing && port !== 0 ? ` at http://${authority}` : '';
  return `${NAME_PREFIX}${String(process.pid)}${place} on ${hostname()}`.slice(0, 63);
}

/**
 * Redis where it is configured. Else this process's own memory, which is only right while no other process changes
 * profiles: so its worker must be alone, and the store is empty while it is not.
 */
async function startOnlineStore(
  lifecycle: Lifecycle,
  config: Config,
  db: Database,
  metrics: Metrics,
  clock: Clock,
): Promise<Pick<EngineOptions, 'onlineStore' | 'onlineStoreIsShared' | 'onAlone'> & Pick<App, 'pingRedis'>> {
  if (config.redisUrls.length === 0) {
    const maxBytes = config.onlineStoreMaxBytes;
    const store = new ExclusiveOnlineStore(() => new MemoryOnlineStore({ maxBytes, clock }));
    metrics.gauge('online_store_bytes', 'Bytes held by the online store in this process.', () => store.bytes);
    metrics.gauge('online_store_evictions', 'Blobs that the online store lost to its bound.', () => store.evictions);
    return {
      onlineStore: () => store.current,
      onlineStoreIsShared: false,
      pingRedis: null,
      onAlone: (isAlone) => {
        store.setAlone(isAlone);
      },
    };
  }
  const connection = await lifecycle.start('Redis', () => RedisConnection.open(config.redisUrls), {
    stop: (open) => open.close(),
  });
  const prefixOf = (epoch: Uuid): string => `weft:${epoch}:`;
  const epoch = await onlineEpoch(db, (known) => RedisOnlineStore.newestVersion(connection, prefixOf(known)));
  const store = new TimedOnlineStore(new RedisOnlineStore(connection, prefixOf(epoch)), clock);
  return { onlineStore: () => store, onlineStoreIsShared: true, pingRedis: () => connection.ping() };
}

/** False if another process applies the events, and the worker was only to be tried. */
async function startWorker(
  lifecycle: Lifecycle,
  { worker: wanted, config }: AppOptions,
  { worker }: Engine,
  db: Database,
): Promise<boolean> {
  try {
    await worker.join();
  } catch (error) {
    const isExcluded = error instanceof WorkersExclude;
    if (isExcluded && wanted === 'try') return false;
    const others = isExcluded ? await otherWorkers(db) : [];
    await lifecycle.stop();
    if (!isExcluded || others.length === 0) throw error;
    throw new WeftError('CONFLICT', `Weft runs on this database already: ${others.join('; ')}`, {
      where: config.databaseUrl === null ? `WEFT_DATA_DIR, ${config.dataDir}` : 'WEFT_DATABASE_URL',
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      cause: error,
    });
  }
  await lifecycle.start(
    'worker',
    () => {
      worker.start();
      return worker;
    },
    { drain: (started) => started.stop() },
  );
  return true;
}

/** Processes that hold a lock as workers do, by the names of their connections. */
async function otherWorkers(db: Database): Promise<string[]> {
  const rows = await db.query<{ name: string }>(
    `SELECT DISTINCT application_name AS name FROM pg_stat_activity JOIN pg_locks USING (pid)
     WHERE locktype = 'advisory' AND granted AND datname = current_database()
       AND starts_with(application_name, $1) AND application_name <> current_setting('application_name')
     ORDER BY name LIMIT 5`,
    [NAME_PREFIX],
  );
  return rows.map(({ name }) => name.replace(/^weft /, ''));
}

const APPLIED_POLL_MS = 50;

async function waitUntilApplied(
  db: Database,
  engine: Engine,
  onProgress?: (done: number, total: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const { pos: target } = await engine.log.head();
  for (let first: number | null = null; ;) {
    const pos = await readAppliedPos(db);
    first ??= pos;
    onProgress?.(Math.min(pos, target) - first, target - first);
    if (pos >= target) return;
    await sleep(APPLIED_POLL_MS, undefined, signal === undefined ? {} : { signal });
  }
}

function listeningBy(listeners: ((batch: BatchResult) => void)[]): App['onCommitted'] {
  return (listener) => {
    listeners.push(listener);
  };
}
