import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { z } from 'zod';
import type { ApiScope } from './api/auth/api-key.model.js';
import { startApp, unlessBroken, type App } from './app.js';
import { readConfig, type Config } from './config.js';
import { removeEmbeddedPostgres } from './platform/embedded-postgres.js';
import { WeftError } from './platform/errors.js';
import { errnoOf } from './platform/file-lock.js';
import { parseInstant } from './platform/instant.js';
import { makeFolder } from './platform/make-folder.js';
import { createLogger } from './platform/logger.js';
import { writeFileAtomically } from './platform/write-file-atomically.js';
import { serve } from './serve.js';

export interface DemoCommandDeps {
  readonly signal: AbortSignal;
  setExitCode(code: number): void;
}

interface DemoOptions {
  readonly exit?: true;
  readonly fresh?: true;
  readonly startedAt?: string;
}

/** What a second run on the same data folder has to know of the first. Holds keys: readable by its owner alone. */
const DEMO_STATE = z.object({
  firstStartMs: z.number().int().nonnegative(),
  adminKey: z.string().min(1),
  readKey: z.string().min(1),
  writeKey: z.string().min(1),
});

type DemoState = Readonly<z.infer<typeof DEMO_STATE>>;

export function demoCommand(deps: DemoCommandDeps): Command {
  return new Command('demo')
    .description('load real data, show what Weft makes of it, and go on with live traffic')
    .option('--exit', 'stop after the summary, and say where the keys are')
    .option('--fresh', 'start over: delete the demo’s database first')
    .option(
      '--started-at <time>',
      'pretend that the first start was then (ISO 8601), for training sets that can be repeated',
    )
    .addHelpText(
      'after',
      '\nData is kept in the folder demo of WEFT_DATA_DIR; a second run goes on with it. WEFT_PORT moves the server to another port.',
    )
    .action(async (options: DemoOptions) => {
      const config = demoConfig();
      if (options.fresh === true) await startOver(config);
      const logger = createLogger({
        level: config.logLevel === 'info' ? 'warn' : config.logLevel,
        destination: process.stderr,
      });
      const startedAt = performance.now();
      const app = await startApp({ config, logger, worker: 'yes', isServing: true });
      try {
        const { url } = await serve(app);
        process.stdout.write(`Weft listens on ${url} (${((performance.now() - startedAt) / 1_000).toFixed(1)} s)\n\n`);
        await unlessBroken(app, runDemo(app, url, options, deps.signal));
      } finally {
        if (!(await app.stop())) deps.setExitCode(1);
      }
    });
}

async function runDemo(app: App, url: string, options: DemoOptions, signal: AbortSignal): Promise<void> {
  // The seeds are a client like any other; nothing else of the program needs them.
  const { loadDemo, printSummary } = await import('../seeds/demo.js');
  const state = await readState(app, firstStartMs(app, options));
  const summary = await loadDemo({
    url,
    adminKey: state.adminKey,
    clock: app.clock,
    firstStartMs: state.firstStartMs,
    signal,
    stdout: process.stdout,
    stderr: process.stderr,
    load: (request) => app.loads.load(request),
    applied: (onProgress, until) => app.applied(onProgress, until),
  });
  printSummary({ stdout: process.stdout }, summary);
  if (options.exit === true) process.stdout.write(whereItIs(app.config));
  if (options.exit === true || signal.aborted) return;
  const { runLive, thingsToPaste } = await import('../seeds/demo-live.js');
  process.stdout.write(thingsToPaste(url, state.readKey, { namespace: 'crm_id', value: '12347' }));
  process.stdout.write(
    `\nFor commands on this data, such as npx weft segment list: export WEFT_DATA_DIR=${app.config.dataDir}\n`,
  );
  process.stdout.write(
    '\nLive traffic goes on; people enter and leave, some by the clock alone. A few carts are dated four to five minutes\n' +
      'back, so that you need not wait for them to be abandoned. Ctrl-C stops.\n\n',
  );
  const { readKey, writeKey } = state;
  const totals = await runLive({ url, readKey, writeKey, clock: app.clock, signal, stdout: process.stdout });
  process.stdout.write(
    `\n${String(totals.sent)} calls were sent. Run it again to go on, with --fresh (npm run demo -- --fresh) to start over.\n`,
  );
}

/** For whoever goes on without the demo. */
function whereItIs(config: Config): string {
  return (
    `Keys for reading, writing and all else (readKey, writeKey, adminKey) are in ${stateFile(config)}.\n` +
    `For npx weft serve and other commands on this data: export WEFT_DATA_DIR=${config.dataDir}\n`
  );
}

/** A folder of the demo's own beside what `weft serve` keeps, so that --fresh can never delete anybody's data. */
function demoConfig(): Config {
  const config = readConfig();
  // WEFT_DATA_DIR may name that very folder, as it does for the commands on the demo's data.
  const isDemo = existsSync(stateFile(config));
  return isDemo ? config : { ...config, dataDir: join(config.dataDir, 'demo') };
}

function firstStartMs(app: App, { startedAt }: DemoOptions): number {
  if (startedAt === undefined) return app.clock.now();
  const ms = parseInstant(startedAt, { date: 'utc', time: 'utc' });
  if (!Number.isNaN(ms) && ms <= app.clock.now()) return ms;
  throw new WeftError('BAD_REQUEST', `"${startedAt}" is no time in the past`, {
    where: '--started-at',
    hint: 'Write it like 2026-01-31T12:00:00Z.',
  });
}

async function startOver(config: Config): Promise<void> {
  if (config.databaseUrl !== null) {
    throw new WeftError('CONFLICT', '--fresh does not delete a database that is not the demo’s own', {
      where: 'WEFT_DATABASE_URL',
      hint: 'Drop and create it yourself, or unset the variable.',
    });
  }
  await removeEmbeddedPostgres(config.dataDir);
  await rm(stateFile(config), { force: true });
}

function stateFile(config: Config): string {
  return join(config.dataDir, 'demo.json');
}

/** The state of the first run; made now if this is it, or if its keys do not fit the database. */
async function readState(app: App, startMs: number): Promise<DemoState> {
  const path = stateFile(app.config);
  const stored = await readDemoState(path, async () => (await app.engine.log.head()).pos === 0);
  if (stored !== null && (await app.keys.verify(stored.adminKey)) !== null) return stored;
  const source = await app.sources.ensure({ key: 'web', name: 'Web shop', kind: 'batch' });
  const makeKey = async (name: string, scope: ApiScope, sourceId: number | null = null): Promise<string> =>
    (await app.keys.create({ name, scopes: [scope], ...(sourceId === null ? {} : { sourceId }) })).secret;
  const state: DemoState = {
    firstStartMs: startMs,
    adminKey: await makeKey('demo, all rights', 'admin'),
    readKey: await makeKey('demo, reading', 'read'),
    writeKey: await makeKey('demo, live traffic', 'ingest', source.id),
  };
  await makeFolder(app.config.dataDir);
  await writeFileAtomically(path, `${JSON.stringify(state, null, 2)}\n`, 0o600);
  return state;
}

/**
 * Null where there is no file, or one that cannot be read and no event yet for which it would matter when the first
 * start was.
 * @throws WeftError CONFIG_INVALID
 */
export async function readDemoState(path: string, isUnused: () => Promise<boolean>): Promise<DemoState | null> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return null;
    throw new WeftError('CONFIG_INVALID', 'what the demo noted of its first start cannot be read', {
      where: path,
      hint: 'Make the file readable for this user.',
      cause: error,
    });
  });
  if (text === null) return null;
  const state = DEMO_STATE.safeParse(jsonOf(text));
  if (state.success) return state.data;
  if (await isUnused()) return null;
  throw new WeftError('CONFIG_INVALID', 'what the demo noted of its first start is damaged', {
    where: path,
    hint: 'Run `weft demo --fresh` to start over; a database of your own has to be made anew and the file deleted.',
  });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
