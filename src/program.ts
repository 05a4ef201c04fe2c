import { join } from 'node:path';
import { Command } from 'commander';
import { documentsCommand } from './api/documents/documents.command.js';
import { keysCommand } from './api/auth/keys.command.js';
import { parseTimestamp } from './api/parse-timestamp.js';
import { startApp, unlessBroken, type App, type AppOptions } from './app.js';
import { applyCommand } from './apply.command.js';
import {
  webhooksFor,
  keysFor,
  sourcesFor,
  userName,
  documentService,
  sourceKeys,
  trainingSets,
} from './command-services.js';
import { readConfig, type Config } from './config.js';
import { createProfileExports, readProfileTable } from './create-profile-exports.js';
import { DefinitionApplier } from './definition-applier.js';
import { DeadLetterReader } from './events/dead-letter.reader.js';
import type { RepairServices } from './events/dead-letter-repair.command.js';
import { deadLettersCommand, type DeadLettersCommandServices } from './events/dead-letters.command.js';
import { EventSampleReader } from './events/event-sample.reader.js';
import { exportCommand } from './features/export.command.js';
import { createDecisionServices } from './decision-services.js';
import { addDecisionCommands, type DecisionServices } from './identity-decisions.command.js';
import { addUpkeepCommands, type UpkeepCommandDeps } from './identity-upkeep.command.js';
import { addRulesCommand } from './identity/identity-rules.command.js';
import { IdentityRulesReader } from './identity/identity-rules.reader.js';
import { linkageCommand } from './identity/linkage/linkage.command.js';
import { systemClock } from './platform/clock.js';
import { terminalConfirm, throwInsteadOfExiting, type CommandIo } from './platform/command-line.js';
import { hasEmbeddedPostgres } from './platform/embedded-postgres.js';
import { WeftError } from './platform/errors.js';
import { createLogger } from './platform/logger.js';
import { demoCommand } from './demo.command.js';
import { doctorCommand } from './doctor.command.js';
import { modelCommand } from './scoring/model.command.js';
import { SearchFieldReader } from './profiles/search-field.reader.js';
import { TraitDefinitionReader } from './profiles/trait-definition.reader.js';
import { traitsCommand } from './profiles/traits.command.js';
import { planCommand } from './plans/plan.command.js';
import { PlanReader } from './plans/plan.reader.js';
import { ViolationReader } from './plans/violation.reader.js';
import type { Compactor } from './privacy/compactor.js';
import { addEraseCommand } from './privacy/erase.command.js';
import { addAnonymisedExport } from './privacy/export-anonymised.command.js';
import { addExportCommand } from './privacy/export-profile.command.js';
import type { ErasureService } from './privacy/erasure.service.js';
import { privacyCommand } from './privacy/privacy.command.js';
import { ModelReader } from './scoring/model.reader.js';
import { segmentCommand } from './segments/segment.command.js';
import { SegmentReader } from './segments/segment.reader.js';
import { serve } from './serve.js';
import { loadCommand } from './sources/load.command.js';
import type { LoadReverter } from './sources/load.model.js';
import { LoadReader } from './sources/load.reader.js';
import type { LoadService } from './sources/load.service.js';
import { sourcesCommand } from './sources/sources.command.js';
import { webhooksCommand, type WebhooksCommandServices } from './sources/webhooks/webhooks.command.js';
import { VERSION } from './version.js';

export interface ProgramDeps {
  /** Aborted by the first signal to stop. */
  readonly signal: AbortSignal;
  readonly setExitCode: (code: number) => void;
}

/**
 * The command line. Nothing is opened before a command runs, so that `--help` needs no database. Parsing throws a
 * CommanderError for wrong use, and once help or version were printed.
 */
export function createProgram(deps: ProgramDeps): Command {
  const program = new Command('weft')
    .description('Customer data platform with a feature store: profiles, features, segments, one GraphQL API.')
    .version(VERSION)
    .showHelpAfterError('(run with --help for usage)')
    .addHelpText('after', '\nConfiguration is by environment variables; see README.md.');
  program.addCommand(demoCommand(deps));
  program.addCommand(serveCommand(deps));
  program.addCommand(workerCommand(deps));
  for (const command of dataCommands(deps)) program.addCommand(command);
  program.addCommand(doctorCommand({ stdout: process.stdout, setExitCode: deps.setExitCode }));
  return throwInsteadOfExiting(program);
}

/** The commands on data and definitions, each with the services that it needs for as long as it runs. */
function dataCommands({ signal, setExitCode }: ProgramDeps): Command[] {
  const io = { stdout: process.stdout, stderr: process.stderr, setExitCode };
  const idle = async <T>(use: (app: App) => Promise<T>): Promise<T> => {
    await refuseBesideDemo(readConfig());
    return withApp({ worker: 'no' }, use);
  };
  const looking = async <T>(use: (app: App) => Promise<T>): Promise<T> => {
    await demandDatabase(readConfig());
    return idle(use);
  };
  return [
    loadCommand({
      ...io,
      ...loadSessions({ looking, idle, signal }),
      confirm: terminalConfirm(process.stdin, process.stderr),
      signal,
      clock: systemClock,
    }),
    applyCommand({
      ...io,
      withApplier: (use) => idle((app) => use(new DefinitionApplier(app.db, app.engine.services, userName()))),
      confirm: terminalConfirm(process.stdin, process.stderr),
    }),
    exportsCommand({ io, looking, signal }),
    segmentCommand({
      ...io,
      withSegments: (use) =>
        looking((app) => use({ reader: new SegmentReader(app.db), service: app.engine.services.segments })),
    }),
    modelCommand({
      ...io,
      withModels: (use) => idle((app) => use({ reader: new ModelReader(app.db), service: app.models })),
    }),
    deadLettersCommand({
      ...io,
      ...letterSessions({ looking, signal }),
      signal,
      parseTime: parseTimestamp,
    }),
    sourcesCommand({
      ...io,
      clock: systemClock,
      withSources: (use) => looking((app) => use(sourcesFor(app))),
      withNewDatabase: (use) => idle((app) => use(sourcesFor(app))),
    }),
    planCommand({
      ...io,
      withPlans: (use) =>
        looking((app) =>
          use({
            service: app.plans,
            reader: new PlanReader(app.db),
            violations: new ViolationReader(app.db),
            sourceKeys: () => sourceKeys(app),
          }),
        ),
      clock: systemClock,
      parseTime: parseTimestamp,
      user: userName(),
    }),
    traitsCommand({
      ...io,
      withTraits: (use) =>
        looking((app) =>
          use({
            reader: new TraitDefinitionReader(app.db),
            search: new SearchFieldReader(app.db),
            service: app.engine.services.traits,
            samples: new EventSampleReader(app.db, app.engine.sealer),
            sourceKeys: () => sourceKeys(app),
          }),
        ),
      clock: systemClock,
      confirm: terminalConfirm(process.stdin, process.stderr),
    }),
    webhooksCommand({ ...io, ...webhookSessions({ looking, idle, signal }), signal }),
    ...personalDataCommands({ io, looking, signal }),
    documentsCommand({ ...io, withDocuments: (use) => idle((app) => use(documentService(app))) }),
    identityCommand({ io, looking, signal }),
    keysCommand({ ...io, withKeys: (use) => idle((app) => use(keysFor(app))), clock: systemClock }),
  ];
}

/** What is decided about who is who, by people and by models. */
function identityCommand({
  io,
  looking,
  signal,
}: {
  io: CommandIo & { stderr: NodeJS.WriteStream };
  looking: Session;
  signal: AbortSignal;
}): Command {
  const servicesOf = (app: App): DecisionServices =>
    createDecisionServices({ ...app, sourceKeys: () => sourceKeys(app), actor: userName(), signal });
  const command = linkageCommand({ ...io, signal });
  const deps: UpkeepCommandDeps = {
    ...io,
    signal,
    withReader: (use) => looking((app) => use(servicesOf(app))),
    withDecider: async (use) => {
      await demandDatabase(readConfig());
      return withApp({ worker: 'try' }, (app) => use(servicesOf(app)));
    },
  };
  addDecisionCommands(command, deps);
  addUpkeepCommands(command, deps);
  addRulesCommand(command, { ...io, withRules: (use) => looking((app) => use(new IdentityRulesReader(app.db))) });
  return command;
}

function exportsCommand({
  io,
  looking,
  signal,
}: {
  io: CommandIo & { stderr: NodeJS.WriteStream };
  looking: Session;
  signal: AbortSignal;
}): Command {
  const exported = exportCommand({
    ...io,
    withTrainingSets: (use) => looking((app) => use(trainingSets(app))),
    signal,
    clock: systemClock,
    parseTime: parseTimestamp,
  });
  addAnonymisedExport(exported, {
    ...io,
    readTable: (columns, onProgress) =>
      looking(({ db, clock, engine }) =>
        readProfileTable({ db, clock, definitions: engine.definitions }, columns, onProgress),
      ),
    signal,
  });
  return exported;
}

/** What is done with all that is known of a person. */
function personalDataCommands({
  io,
  looking,
  signal,
}: {
  io: CommandIo;
  looking: Session;
  signal: AbortSignal;
}): Command[] {
  const erasing = {
    ...io,
    withErasures: <T>(use: (erasures: ErasureService) => Promise<T>) => looking((app) => use(app.engine.erasures)),
    withCompactor: <T>(use: (compactor: Compactor) => Promise<T>) => looking((app) => use(app.compactor)),
    withErasing: async <T>(use: (erasures: ErasureService) => Promise<T>) => {
      await demandDatabase(readConfig());
      return withApp({ worker: 'try' }, (app) => use(app.engine.erasures));
    },
    confirm: terminalConfirm(process.stdin, process.stderr),
    ledgerPath: () => readConfig().erasureLedger,
    signal,
    user: userName(),
  };
  const profiles = new Command('profiles').description('people, one at a time');
  addEraseCommand(profiles, erasing);
  addExportCommand(profiles, {
    ...io,
    withProfileExports: (use) =>
      looking(({ db, clock, engine }) =>
        use({
          exports: createProfileExports({ db, clock, log: engine.log, definitions: engine.definitions }),
          profileOf: (target) => engine.erasures.profileOf(target),
        }),
      ),
    signal,
  });
  return [profiles, privacyCommand(erasing)];
}

type Session = <T>(use: (app: App) => Promise<T>) => Promise<T>;

/** How each of the commands on loads starts the program. */
function loadSessions({ looking, idle, signal }: { looking: Session; idle: Session; signal: AbortSignal }) {
  return {
    withLoadService: <T>(use: (service: LoadService) => Promise<T>) =>
      withApp({ worker: 'try' }, (app) => loadAndApply(app, signal, () => use(app.loads))),
    withDryRun: <T>(use: (service: LoadService) => Promise<T>) => idle((app) => use(app.loads)),
    withLoads: <T>(use: (loads: LoadReader) => Promise<T>) => looking((app) => use(new LoadReader(app.db))),
    withReverter: async <T>(use: (services: { loads: LoadReader; reverter: LoadReverter }) => Promise<T>) => {
      await demandDatabase(readConfig());
      return withApp({ worker: 'try' }, (app) =>
        use({ loads: new LoadReader(app.db), reverter: app.engine.retractions }),
      );
    },
  };
}

/** How each of the commands on dead letters starts the program. */
function letterSessions({ looking, signal }: { looking: Session; signal: AbortSignal }) {
  return {
    withDeadLetters: <T>(use: (services: DeadLettersCommandServices) => Promise<T>) =>
      looking((app) =>
        use({
          letters: new DeadLetterReader(app.db),
          sourceKeys: () => sourceKeys(app),
          fileNames: (loadIds) => new LoadReader(app.db).fileNames(loadIds),
        }),
      ),
    withRepair: async <T>(use: (services: RepairServices) => Promise<T>) => {
      await demandDatabase(readConfig());
      return withApp({ worker: 'try' }, (app) =>
        loadAndApply(app, signal, () =>
          use({ letters: new DeadLetterReader(app.db), repair: app.letters, sourceKeys: () => sourceKeys(app) }),
        ),
      );
    },
  };
}

/** How each of the commands on webhooks starts the program. */
function webhookSessions({ looking, idle, signal }: { looking: Session; idle: Session; signal: AbortSignal }) {
  return {
    withWebhooks: <T>(use: (services: WebhooksCommandServices) => Promise<T>) =>
      looking((app) => use(webhooksFor(app, signal))),
    withNewDatabase: <T>(use: (services: WebhooksCommandServices) => Promise<T>) =>
      idle((app) => use(webhooksFor(app, signal))),
    withReplay: <T>(use: (services: WebhooksCommandServices) => Promise<T>) =>
      withApp({ worker: 'try' }, (app) => loadAndApply(app, signal, () => use(webhooksFor(app, signal)))),
    stdin: process.stdin,
    clock: systemClock,
    parseTime: parseTimestamp,
  };
}

/**
 * For commands that only look: a folder that was mistyped must not look like one whose data is gone.
 * @throws WeftError CONFIG_INVALID
 */
async function demandDatabase({ databaseUrl, dataDir }: Config): Promise<void> {
  if (databaseUrl !== null || (await hasEmbeddedPostgres(dataDir))) return;
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

/** Starts the program without its doors for as long as `use` runs; logs go to standard error. */
async function withApp<T>(options: Pick<AppOptions, 'worker'>, use: (app: App) => Promise<T>): Promise<T> {
  const config = readConfig();
  const level = config.logLevel === 'info' ? 'warn' : config.logLevel;
  const logger = createLogger({ level, destination: process.stderr });
  const app = await startApp({ config, logger, ...options });
  try {
    return await unlessBroken(app, use(app));
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
      if (!options.worker && config.redisUrls.length === 0) {
        throw new WeftError('CONFIG_INVALID', 'without a worker, reads need an online store that a worker shares', {
          where: 'WEFT_REDIS_URL',
          hint: 'Set it, or leave --no-worker out.',
        });
      }
      const logger = createLogger({ level: config.logLevel });
      const app = await startApp({ config, logger, worker: options.worker ? 'yes' : 'no', isServing: true });
      try {
        const { url } = await serve(app);
        logger.info({ listening: url }, 'ready');
        await unlessBroken(app, aborted(deps.signal));
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
    try {
      logger.info('working');
      await unlessBroken(app, aborted(deps.signal));
    } finally {
      if (!(await app.stop())) deps.setExitCode(1);
    }
  });
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => {
      resolve();
    });
  });
}
