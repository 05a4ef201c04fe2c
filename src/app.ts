import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiKeyEntity } from './api/auth/api-key.entity.js';
import { ApiKeyService } from './api/auth/api-key.service.js';
import { ApiKeyStore } from './api/auth/api-key.store.js';
import type { Config } from './config.js';
import { createEngine, type Engine } from './engine.js';
import { observeAccepts } from './events/observe-accepts.js';
import { FeatureReader } from './features/feature.reader.js';
import { createObservers } from './monitoring/observers.js';
import type { BatchResult } from './pipeline.js';
import { AdvisoryLock } from './platform/advisory-lock.js';
import { systemClock, type Clock } from './platform/clock.js';
import { EmbeddedPostgres } from './platform/embedded-postgres.js';
import { WeftError } from './platform/errors.js';
import { Lifecycle } from './platform/lifecycle.js';
import type { Logger } from './platform/logger.js';
import { Metrics } from './platform/metrics.js';
import { createDataSource, Database } from './platform/postgres.js';
import { RedisConnection } from './platform/redis.js';
import type { OnlineStore } from './profiles/online-store.model.js';
import { MemoryOnlineStore } from './profiles/online-store.memory.js';
import { RedisOnlineStore } from './profiles/online-store.redis.js';
import { ModelService } from './scoring/model.service.js';
import type { FeatureCatalog } from './scoring/verify-model.js';
import { LoadService } from './sources/load.service.js';
import { LoadStore } from './sources/load.store.js';
import { SourceEntity } from './sources/source.entity.js';
import { SourceService } from './sources/source.service.js';
import { SourceStore } from './sources/source.store.js';

/** Key of the lock that a worker with an online store of its own holds; any number, the same in each release. */
const SOLE_WORKER_LOCK = 7_729_116;

export interface AppOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** Applies the log and fires timers. `try`: only if no other process does so already. */
  readonly worker: 'yes' | 'no' | 'try';
}

/** The program without its doors: database, stores, engine and services, started in order. */
export interface App {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly lifecycle: Lifecycle;
  readonly db: Database;
  readonly engine: Engine;
  readonly onlineStore: OnlineStore;
  readonly sources: SourceService;
  readonly keys: ApiKeyService;
  readonly models: ModelService;
  readonly loads: LoadService;
  /** True if this process applies the log. */
  readonly isWorking: boolean;
  /** Calls back after each committed batch of this process, in order of commit. */
  onCommitted(listener: (batch: BatchResult) => void): void;
  /** Resolves when everything accepted before the call is applied, by whichever process. */
  applied(onProgress?: (done: number, total: number) => void, signal?: AbortSignal): Promise<void>;
  stop(): Promise<boolean>;
}

/**
 * Starts everything that the options ask for; what was started is stopped again if a later part fails.
 * @throws WeftError with where and hint, for all that a person can put right
 */
export async function startApp(options: AppOptions): Promise<App> {
  const { config, logger, clock = systemClock } = options;
  const lifecycle = new Lifecycle(
    {
      started: (name, tookMs) => {
        logger.debug({ part: name, tookMs: Math.round(tookMs) }, 'started');
      },
      departureFailed: (name, phase, error) => {
        logger.warn({ part: name, phase, err: error }, 'a part did not go cleanly');
      },
    },
    config.shutdownTimeoutMs,
  );
  for (const warning of config.warnings) logger.warn(warning);
  const metrics = new Metrics();
  const db = await startDatabase(lifecycle, config);
  const { onlineStore, isShared } = await startOnlineStore(lifecycle, config, metrics, clock);

  const observers = { ...observeAccepts(metrics, logger), ...createObservers(metrics, logger) };
  const listeners: ((batch: BatchResult) => void)[] = [
    (batch) => {
      observers.committed(batch);
    },
  ];
  const engine = await lifecycle.start(
    'engine',
    () =>
      createEngine({
        db,
        clock,
        onlineStore,
        onlineStoreIsShared: isShared,
        observers,
        onCommitted: (batch) => {
          for (const listener of listeners) listener(batch);
        },
      }),
    { stop: (started) => started.scorer.close() },
  );
  const isWorking = options.worker !== 'no' && (await startWorker(lifecycle, options.worker, db, engine, isShared));
  const accept: Pick<Engine['accept'], 'accept'> = {
    accept: async (source, items, acceptOptions) => {
      const results = await engine.accept.accept(source, items, acceptOptions);
      if (isWorking) engine.worker.wake();
      return results;
    },
  };
  const keys = await startKeys(lifecycle, db, clock, logger);
  const sources = new SourceService(new SourceStore(db.dataSource), clock);
  return {
    config,
    clock,
    logger,
    metrics,
    lifecycle,
    db,
    engine: { ...engine, accept: accept as Engine['accept'] },
    onlineStore,
    sources,
    keys,
    models: new ModelService({
      db,
      clock,
      catalog: async () => catalogOf(new FeatureReader(db)),
    }),
    loads: new LoadService({
      sources,
      loads: new LoadStore(db),
      acceptor: accept,
      deadLetters: engine.deadLetters,
      db,
      clock,
      sleep: (ms, signal) => sleep(ms, undefined, signal === undefined ? {} : { signal }),
      stdin: process.stdin,
    }),
    isWorking,
    onCommitted: (listener) => {
      listeners.push(listener);
    },
    applied: (onProgress, signal) => waitUntilApplied(db, engine, onProgress, signal),
    stop: () => lifecycle.stop(),
  };
}

async function startKeys(lifecycle: Lifecycle, db: Database, clock: Clock, logger: Logger): Promise<ApiKeyService> {
  const onLastUsedError = (error: unknown): void => {
    logger.warn({ err: error }, 'the last use of a key could not be noted');
  };
  const store = new ApiKeyStore(db.dataSource);
  return lifecycle.start('keys', () => new ApiKeyService({ store, clock, randomBytes, onLastUsedError }), {
    drain: (service) => service.drain(),
  });
}

async function startDatabase(lifecycle: Lifecycle, config: Config): Promise<Database> {
  const url =
    config.databaseUrl ??
    (
      await lifecycle.start('embedded PostgreSQL', () => EmbeddedPostgres.start({ dataDir: config.dataDir }), {
        stop: (server) => server.stop(),
      })
    ).url;
  return lifecycle.start(
    'database',
    async () => {
      const database = await Database.open(
        await createDataSource(url, { entities: [SourceEntity, ApiKeyEntity], poolSize: config.databasePoolSize }),
      );
      await database.runMigrations();
      return database;
    },
    { stop: (database) => database.close() },
  );
}

async function startOnlineStore(
  lifecycle: Lifecycle,
  config: Config,
  metrics: Metrics,
  clock: Clock,
): Promise<{ onlineStore: OnlineStore; isShared: boolean }> {
  if (config.redisUrls.length === 0) {
    const store = new MemoryOnlineStore({ maxBytes: config.onlineStoreMaxBytes, clock });
    metrics.gauge('online_store_bytes', 'Bytes held by the online store in this process.', () => store.bytes);
    metrics.gauge('online_store_evictions', 'Blobs that the online store lost to its bound.', () => store.evictions);
    return { onlineStore: store, isShared: false };
  }
  const connection = await lifecycle.start('Redis', () => RedisConnection.open(config.redisUrls), {
    stop: (open) => open.close(),
  });
  return { onlineStore: new RedisOnlineStore(connection), isShared: true };
}

/**
 * An online store of this process's own is only right while nobody else changes profiles, so its worker must be alone.
 */
async function startWorker(
  lifecycle: Lifecycle,
  wanted: 'yes' | 'try',
  db: Database,
  engine: Engine,
  isShared: boolean,
): Promise<boolean> {
  if (!isShared) {
    const lock = await AdvisoryLock.tryTake(db, SOLE_WORKER_LOCK);
    if (lock === null && wanted === 'try') return false;
    if (lock === null) {
      throw new WeftError('CONFLICT', 'Weft already runs on this database', {
        where: 'WEFT_DATA_DIR or WEFT_DATABASE_URL',
        hint: 'Stop it, or use another data folder. Several processes on one database need WEFT_REDIS_URL.',
      });
    }
    await lifecycle.start('sole worker', () => lock, { stop: (held) => held.release() });
  }
  await lifecycle.start(
    'worker',
    () => {
      engine.worker.start();
      return engine.worker;
    },
    { drain: (worker) => worker.stop() },
  );
  return true;
}

async function catalogOf(reader: FeatureReader): Promise<FeatureCatalog> {
  const types = new Map((await reader.views()).flatMap((view) => view.features.map((f) => [f.name, f.type] as const)));
  const services = new Map((await reader.services()).map((service) => [service.name, service.features]));
  return { typeOf: (name) => types.get(name), serviceFeatures: (name) => services.get(name) };
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
    const [row] = await db.query<{ pos: number }>('SELECT min(applied_pos) AS pos FROM partitions');
    const pos = row?.pos ?? 0;
    first ??= pos;
    onProgress?.(Math.min(pos, target) - first, target - first);
    if (pos >= target) return;
    await sleep(APPLIED_POLL_MS, undefined, signal === undefined ? {} : { signal });
  }
}
