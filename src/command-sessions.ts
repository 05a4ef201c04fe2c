import { join } from 'node:path';
import { startApp, unlessBroken, type App, type AppOptions } from './app.js';
import type { CommandAudit } from './command-audit.js';
import { readConfig, type Config } from './config.js';
import { hasEmbeddedPostgres } from './platform/embedded-postgres.js';
import { WeftError } from './platform/errors.js';
import { createLogger } from './platform/logger.js';

/** Starts the program without its doors for as long as `use` runs; logs go to standard error. */
export type Session = <T>(use: (app: App) => Promise<T>) => Promise<T>;

/** How commands start the program. */
export interface CommandSessions {
  /** Without a worker; makes a database where there is none. */
  readonly idle: Session;
  /** With a worker, unless another process has one; makes a database where there is none. */
  readonly changing: Session;
  /** Without a worker, on a database that is there. */
  readonly looking: Session;
  /** With a worker, unless another process has one, on a database that is there. */
  readonly working: Session;
  /** With a worker likewise; makes a database where there is none, and ends once what was sent counts. */
  readonly loading: Session;
}

/** @param audit told how each session of a command ended */
export function commandSessions(audit: CommandAudit, signal: AbortSignal): CommandSessions {
  const withApp = async <T>(worker: AppOptions['worker'], use: (app: App) => Promise<T>): Promise<T> => {
    const config = readConfig();
    const level = config.logLevel === 'info' ? 'warn' : config.logLevel;
    const logger = createLogger({ level, destination: process.stderr });
    const app = await startApp({ config, logger, worker });
    try {
      return await audit.around(app.audit, unlessBroken(app, use(app)));
    } finally {
      await app.stop();
    }
  };
  const anew =
    (worker: AppOptions['worker']): Session =>
    async (use) => {
      const config = readConfig();
      await refuseBesideDemo(config);
      await refuseElsewhere(config);
      return withApp(worker, use);
    };
  const idle = anew('no');
  return {
    idle,
    changing: anew('try'),
    looking: async (use) => {
      await demandDatabase(readConfig());
      return idle(use);
    },
    working: async (use) => {
      await demandDatabase(readConfig());
      return withApp('try', use);
    },
    loading: (use) => withApp('try', (app) => untilApplied(app, signal, () => use(app))),
  };
}

/** A load is done when its events count, whether this process applies them or a server beside it. */
export async function untilApplied<T>(app: App, signal: AbortSignal, load: () => Promise<T>): Promise<T> {
  const result = await load();
  if (!signal.aborted && app.isWorking) await app.applied(undefined, signal).catch(() => undefined);
  return result;
}

/**
 * For commands that only look: a folder that was mistyped must not look like one whose data is gone.
 * @throws WeftError CONFIG_INVALID
 */
async function demandDatabase(config: Config): Promise<void> {
  const { databaseUrl, dataDir } = config;
  if (databaseUrl !== null || (await hasEmbeddedPostgres(dataDir))) return;
  await refuseElsewhere(config);
  const demo = join(dataDir, 'demo');
  throw new WeftError('CONFIG_INVALID', `there is no database in ${dataDir}`, {
    where: 'WEFT_DATA_DIR',
    hint: (await hasEmbeddedPostgres(demo))
      ? `the demo keeps its own: export WEFT_DATA_DIR=${demo}`
      : 'weft serve, load or apply make one',
  });
}

/**
 * A key that is made in a new database beside the demo's is no key of the demo, and nothing would say so.
 * @throws WeftError CONFIG_INVALID
 */
async function refuseBesideDemo({ databaseUrl, dataDir }: Config): Promise<void> {
  if (databaseUrl !== null || (await hasEmbeddedPostgres(dataDir))) return;
  const demo = join(dataDir, 'demo');
  if (!(await hasEmbeddedPostgres(demo))) return;
  throw new WeftError('CONFIG_INVALID', `there is no database in ${dataDir}, but the demo's is in ${demo}`, {
    where: 'WEFT_DATA_DIR',
    hint: `for the demo: export WEFT_DATA_DIR=${demo}; for a database of its own: start weft serve first`,
  });
}

/**
 * A relative folder is another one in another place: a new database there would look like one whose data is gone.
 * @throws WeftError CONFIG_INVALID
 */
async function refuseElsewhere({ databaseUrl, dataDir, relativeDataDir }: Config): Promise<void> {
  if (databaseUrl !== null || relativeDataDir === null || (await hasEmbeddedPostgres(dataDir))) return;
  throw new WeftError('CONFIG_INVALID', `there is no database in ${dataDir}`, {
    where: `WEFT_DATA_DIR=${relativeDataDir}`,
    hint: 'it is looked for in the folder that the command is given in: give it as an absolute path; weft serve, load and demo make a database',
  });
}
