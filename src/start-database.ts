import { ApiKeyEntity } from './api/auth/api-key.entity.js';
import type { Config } from './config.js';
import { EmbeddedPostgres } from './platform/embedded-postgres.js';
import type { WeftError } from './platform/errors.js';
import type { Lifecycle } from './platform/lifecycle.js';
import type { Logger } from './platform/logger.js';
import type { Metrics } from './platform/metrics.js';
import { createDataSource, Database } from './platform/postgres.js';
import type { PostmasterObserver } from './platform/postmaster-watch.js';
import { SourceEntity } from './sources/source.entity.js';

export interface DatabaseParts {
  readonly lifecycle: Lifecycle;
  readonly config: Config;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  /** Told when the embedded server is gone for good. */
  readonly onBroken: (error: WeftError) => void;
}

/**
 * The database of the configuration, migrated; where none is named, on the embedded server of the data folder.
 * @throws WeftError CONFIG_INVALID, UNAVAILABLE
 */
export async function startDatabase(parts: DatabaseParts): Promise<Database> {
  const { lifecycle, config, applicationName } = parts;
  const url = config.databaseUrl ?? (await startEmbedded(parts)).url;
  return lifecycle.start(
    'database',
    async () => {
      const database = await Database.open(
        await createDataSource(url, {
          entities: [SourceEntity, ApiKeyEntity],
          poolSize: config.databasePoolSize,
          applicationName,
        }),
      );
      await database.runMigrations();
      return database;
    },
    { stop: (database) => database.close() },
  );
}

function startEmbedded(parts: DatabaseParts): Promise<EmbeddedPostgres> {
  const { lifecycle, config } = parts;
  const observer = observerOf(parts);
  return lifecycle.start(
    'embedded PostgreSQL',
    () => EmbeddedPostgres.start({ dataDir: config.dataDir, observer }),
    // What drains last is needed no more: a server that goes now, as where all processes are stopped, may go.
    { drain: (server) => server.stopWatching(), stop: (server) => server.stop() },
  );
}

function observerOf({ logger, metrics, onBroken }: DatabaseParts): PostmasterObserver {
  const restarts = metrics.counter('embedded_postgres_losses_total', 'Times that the embedded PostgreSQL was gone.');
  return {
    lost: (pid) => {
      restarts.add(1);
      logger.error({ pid }, 'the embedded PostgreSQL is gone and is started again');
    },
    restarted: (pid, tookMs, byUs) => {
      logger.warn({ pid, tookMs: Math.round(tookMs), byUs }, 'the embedded PostgreSQL is back');
    },
    restartFailed: (error) => {
      logger.error({ err: error }, 'the embedded PostgreSQL did not start; it is tried again');
    },
    gaveUp: (error) => {
      logger.fatal({ err: error }, 'the embedded PostgreSQL is not started again; this process ends');
      onBroken(error);
    },
  };
}
