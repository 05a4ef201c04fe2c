import { Command } from 'commander';
import { startApp, type App, type AppOptions } from './app.js';
import { readConfig, type Config } from './config.js';
import {
  checkBy,
  checkDataDir,
  checkDeadLetters,
  checkLog,
  checkNode,
  checkPort,
  type CheckResult,
} from './monitoring/doctor.js';
import { systemClock } from './platform/clock.js';
import { createLogger } from './platform/logger.js';
import { RedisConnection } from './platform/redis.js';
import { demoCommand } from './demo.command.js';
import { serve } from './serve.js';
import { loadCommand } from './sources/load.command.js';

export interface ProgramDeps {
  /** Aborted by the first signal to stop. */
  readonly signal: AbortSignal;
  setExitCode(code: number): void;
}

/** The command line. Nothing is opened before a command runs, so that `--help` needs no database. */
export function createProgram(deps: ProgramDeps): Command {
  const program = new Command('weft')
    .description('Customer data platform with a feature store: profiles, features, segments, one GraphQL API.')
    .version('0.1.0')
    .showHelpAfterError('(run with --help for usage)')
    .addHelpText('after', '\nConfiguration is by environment variables; see README.md.');
  program.addCommand(demoCommand(deps));
  program.addCommand(serveCommand(deps));
  program.addCommand(workerCommand(deps));
  program.addCommand(
    loadCommand({
      withLoadService: (use) =>
        withApp({ worker: 'try' }, (app) => loadAndApply(app, deps.signal, () => use(app.loads))),
      signal: deps.signal,
      clock: systemClock,
      stdout: process.stdout,
      stderr: process.stderr,
      setExitCode: (code) => {
        deps.setExitCode(code);
      },
    }),
  );
  program.addCommand(doctorCommand(deps));
  return program;
}

/** Starts the program without its doors for as long as `use` runs; logs go to standard error. */
async function withApp<T>(
  options: Pick<AppOptions, 'worker'>,
  use: (app: App) => Promise<T>,
  config: Config = readConfig(),
): Promise<T> {
  const level = config.logLevel === 'info' ? 'warn' : config.logLevel;
  const logger = createLogger({ level, destination: process.stderr });
  const app = await startApp({ config, logger, ...options });
  try {
    return await use(app);
  } finally {
    await app.stop();
  }
}

/** A load is done when its events count, whether this process applies them or a server beside it. */
async function loadAndApply<T>(app: App, signal: AbortSignal, load: () => Promise<T>): Promise<T> {
  const result = await load();
  if (!signal.aborted && app.isWorking) await app.applied(undefined, signal).catch(() => undefined);
  return result;
}

function serveCommand(deps: ProgramDeps): Command {
  return new Command('serve')
    .description('run the server: HTTP and GraphQL, and a worker that applies events')
    .option('--no-worker', 'only the API; other processes apply the events (needs WEFT_REDIS_URL)')
    .action(async (options: { worker: boolean }) => {
      const config = readConfig();
      const logger = createLogger({ level: config.logLevel });
      const app = await startApp({ config, logger, worker: options.worker ? 'yes' : 'no' });
      try {
        const { url } = await serve(app);
        logger.info({ listening: url }, 'ready');
        await aborted(deps.signal);
        logger.info('stopping');
      } finally {
        if (!(await app.stop())) deps.setExitCode(1);
      }
    });
}

function workerCommand(deps: ProgramDeps): Command {
  return new Command('worker').description('apply events and fire timers, without an API').action(async () => {
    const config = readConfig();
    const logger = createLogger({ level: config.logLevel });
    const app = await startApp({ config, logger, worker: 'yes' });
    logger.info('working');
    await aborted(deps.signal);
    if (!(await app.stop())) deps.setExitCode(1);
  });
}

function doctorCommand(deps: ProgramDeps): Command {
  return new Command('doctor')
    .description('check the configuration and everything it points at')
    .option('--json', 'the findings as JSON')
    .action(async (options: { json?: true }) => {
      const results = await examine(readConfig());
      process.stdout.write(
        options.json === true ? `${JSON.stringify(results, null, 2)}\n` : results.map(line).join(''),
      );
      if (results.some((result) => result.outcome === 'failed')) deps.setExitCode(1);
    });
}

async function examine(config: Config): Promise<CheckResult[]> {
  const results = [
    checkNode(process.versions.node),
    await checkDataDir(config.dataDir),
    await checkPort(config.host, config.port),
  ];
  if (config.redisUrls.length > 0) {
    results.push(
      await checkBy('Redis', async () => {
        const connection = await RedisConnection.open(config.redisUrls);
        await connection.close();
        return 'answers';
      }),
    );
  }
  const database = await checkBy('database', () =>
    withApp(
      { worker: 'no' },
      async ({ db }) => {
        const [server] = await db.query<{ version: string }>(`SELECT current_setting('server_version') AS version`);
        results.push(await checkLog(db), await checkDeadLetters(db));
        return `PostgreSQL ${server?.version ?? '?'}${config.databaseUrl === null ? ', embedded' : ''}`;
      },
      config,
    ),
  );
  return [...results.slice(0, 3), database, ...results.slice(3)];
}

const MARKS = { ok: '✓', warning: '!', failed: '✗' } as const;

function line({ name, outcome, detail, hint }: CheckResult): string {
  return `${MARKS[outcome]} ${name.padEnd(14)} ${detail}${hint === undefined ? '' : `\n  ${''.padEnd(14)} ${hint}`}\n`;
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => {
      resolve();
    });
  });
}
