import { Command } from 'commander';
import { documentsCommand } from './api/documents/documents.command.js';
import { keysCommand } from './api/auth/keys.command.js';
import { parseTimestamp } from './api/parse-timestamp.js';
import { startApp, unlessBroken } from './app.js';
import { auditCommand } from './audit/audit.command.js';
import { AuditLogReader } from './audit/audit-log.reader.js';
import { applyCommand } from './apply.command.js';
import { CommandAudit } from './command-audit.js';
import { commandSessions, untilApplied, type CommandSessions } from './command-sessions.js';
import {
  keysFor,
  sourcesFor,
  userName,
  documentService,
  peopleFinder,
  sourceKeys,
  labelsOf,
  tablesOf,
  trainingSets,
} from './command-services.js';
import { readConfig } from './config.js';
import { addPeopleExport } from './activation/export-people.command.js';
import { exportPeople } from './create-people-exports.js';
import { createLabelReaders } from './create-label-readers.js';
import { createProfileExports, readProfileTable } from './create-profile-exports.js';
import { addForgetFolderCommand } from './features/forget-folder.command.js';
import { giveUpExports } from './features/give-up-exports.js';
import { ExportProgress } from './features/export-progress.js';
import { DefinitionApplier } from './definition-applier.js';
import { DeadLetterReader } from './events/dead-letter.reader.js';
import type { RepairServices } from './events/dead-letter-repair.command.js';
import { deadLettersCommand, type DeadLettersCommandServices } from './events/dead-letters.command.js';
import { SeenNameReader } from './events/seen-name.reader.js';
import { EventSampleReader } from './events/event-sample.reader.js';
import { entitiesCommand } from './features/entities.command.js';
import { EntityRecordService } from './features/entity-record.service.js';
import { exportCommand } from './features/export.command.js';
import { MaterializationService } from './features/materialization.service.js';
import { materializeCommand } from './features/materialize.command.js';
import { feedCommands } from './feed-commands.js';
import { createFeaturesCommand } from './create-features-command.js';
import { systemClock } from './platform/clock.js';
import { terminalConfirm, throwInsteadOfExiting, type CommandIo } from './platform/command-line.js';
import { WeftError } from './platform/errors.js';
import { createLogger } from './platform/logger.js';
import { demoCommand } from './demo.command.js';
import { addFindCommands } from './find-profiles.command.js';
import { doctorCommand } from './doctor.command.js';
import { SearchFieldReader } from './profiles/search-field.reader.js';
import { TraitDefinitionReader } from './profiles/trait-definition.reader.js';
import { traitsCommand } from './profiles/traits.command.js';
import { planCommand } from './plans/plan.command.js';
import { PlanReader } from './plans/plan.reader.js';
import { ViolationReader } from './plans/violation.reader.js';
import type { Compactor } from './privacy/compactor.js';
import type { Erasure } from './privacy/erasure.model.js';
import { addEraseCommand } from './privacy/erase.command.js';
import { addAnonymisedExport } from './privacy/export-anonymised.command.js';
import { addExportCommand } from './privacy/export-profile.command.js';
import type { ErasureService } from './privacy/erasure.service.js';
import { privacyCommand } from './privacy/privacy.command.js';
import { auditChainKey } from './start-audit.js';
import { serve } from './serve.js';
import { loadCommand } from './sources/load.command.js';
import type { LoadReverter } from './sources/load.model.js';
import { LoadReader } from './sources/load.reader.js';
import type { LoadService } from './sources/load.service.js';
import type { WarehouseLoadService } from './sources/warehouse/warehouse-load.service.js';
import { addRefusedRowsCommand, type RefusedRowsDeps } from './sources/refused-rows.command.js';
import { sourcesCommand } from './sources/sources.command.js';
import { VERSION } from './version.js';
import { createIdentityCommand } from './create-identity-command.js';
import { createModelCommand } from './create-model-command.js';
import { createListCommand } from './create-list-command.js';
import { createSegmentCommand } from './create-segment-command.js';
import { createScheduleCommand } from './create-schedule-command.js';

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
  const audit = new CommandAudit(userName());
  program.hook('preAction', (_program, command) => {
    audit.begin(command);
  });
  for (const command of dataCommands(deps, audit)) program.addCommand(command);
  program.addCommand(doctorCommand({ stdout: process.stdout, setExitCode: deps.setExitCode }));
  return throwInsteadOfExiting(program);
}

/** The commands that look at features, segments and models. */
function catalogCommands(
  io: CommandIo & { stderr: NodeJS.WriteStream },
  { idle, looking, working }: CommandSessions,
  { signal, audit }: { readonly signal: AbortSignal; readonly audit: CommandAudit },
): Command[] {
  return [
    createFeaturesCommand(io, looking, signal),
    entitiesCommand({
      ...io,
      withRecords: (use) => looking((app) => use(new EntityRecordService(app))),
      confirm: terminalConfirm(process.stdin, process.stderr),
    }),
    createSegmentCommand(io, { looking, working }, signal, (id) => {
      audit.concerns(id);
    }),
    createListCommand(io, { looking, working }, signal),
    createModelCommand(io, { idle, looking }, signal),
  ];
}

/** The commands on data and definitions, each with the services that it needs for as long as it runs. */
function dataCommands({ signal, setExitCode }: ProgramDeps, audit: CommandAudit): Command[] {
  const io = { stdout: process.stdout, stderr: process.stderr, setExitCode };
  const sessions = commandSessions(audit, signal);
  const { idle, looking } = sessions;
  return [
    loadCommand({
      ...io,
      ...loadSessions(sessions),
      confirm: terminalConfirm(process.stdin, process.stderr),
      signal,
      clock: systemClock,
      stdin: process.stdin,
    }),
    applyCommand({
      ...io,
      signal,
      withApplier: (use, needsWorker) =>
        (needsWorker ? sessions.changing : idle)((app) =>
          use(new DefinitionApplier(app.db, app.engine.services, userName())),
        ),
      confirm: terminalConfirm(process.stdin, process.stderr),
    }),
    exportsCommand({ io, sessions, signal }),
    ...catalogCommands(io, sessions, { signal, audit }),
    materializeCommand({
      ...io,
      withMaterialization: (use) => sessions.working(({ db }) => use(new MaterializationService(db))),
      signal,
    }),
    addRefusedRowsCommand(
      deadLettersCommand({ ...io, ...letterSessions(sessions, signal), signal, parseTime: parseTimestamp }),
      { ...io, ...refusedRowsSession(sessions) },
    ),
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
            seen: new SeenNameReader(app.db),
            sourceKeys: () => sourceKeys(app),
          }),
        ),
      clock: systemClock,
      confirm: terminalConfirm(process.stdin, process.stderr),
    }),
    ...feedCommands({ io, sessions, signal }),
    ...personalDataCommands({ io, sessions, signal, audit }),
    documentsCommand({ ...io, withDocuments: (use) => idle((app) => use(documentService(app))) }),
    createIdentityCommand({ io, sessions, signal }),
    createScheduleCommand({ io, sessions, signal }),
    auditCommand({
      ...io,
      withAuditLog: (use) =>
        looking(({ db, secret }) => use({ log: new AuditLogReader(db), chainKey: auditChainKey(secret) })),
      parseTime: parseTimestamp,
      signal,
    }),
    keysCommand({ ...io, withKeys: (use) => idle((app) => use(keysFor(app, audit.concerns))), clock: systemClock }),
  ];
}

function exportsCommand({
  io,
  sessions: { looking },
  signal,
}: {
  io: CommandIo & { stderr: NodeJS.WriteStream };
  sessions: CommandSessions;
  signal: AbortSignal;
}): Command {
  const exported = exportCommand({
    ...io,
    withTrainingSets: (use) => looking((app) => use(trainingSets(app))),
    withLabels: (use) => looking((app) => use(labelsOf(app))),
    withTables: (use) => looking((app) => use(tablesOf(app))),
    ...createLabelReaders(systemClock),
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
  addPeopleExport(exported, {
    ...io,
    exportPeople: (request) =>
      looking(({ db, clock, engine }) =>
        exportPeople({ db, clock, definitions: engine.definitions, sealer: engine.sealer }, request),
      ),
    view: (total) => new ExportProgress({ clock: systemClock, stderr: io.stderr }, total, 'profiles'),
    signal,
  });
  addForgetFolderCommand(exported, {
    ...io,
    giveUp: () => looking(({ db, clock, trainingSets: { folder } }) => giveUpExports(db, folder, clock.now())),
    confirm: terminalConfirm(process.stdin, process.stderr),
    signal,
  });
  return exported;
}

/** What is done with all that is known of a person. */
function personalDataCommands({
  io,
  sessions: { looking, working },
  signal,
  audit,
}: {
  io: CommandIo;
  sessions: CommandSessions;
  signal: AbortSignal;
  audit: CommandAudit;
}): Command[] {
  const erasing = {
    ...io,
    withErasures: <T>(use: (erasures: ErasureService) => Promise<T>) => looking((app) => use(app.engine.erasures)),
    withCompactor: <T>(use: (compactor: Compactor) => Promise<T>) => looking((app) => use(app.compactor)),
    withErasing: <T>(use: (erasures: ErasureService) => Promise<T>) => working((app) => use(app.engine.erasures)),
    confirm: terminalConfirm(process.stdin, process.stderr),
    ledgerPath: () => readConfig().erasureLedger,
    signal,
    user: userName(),
    onReceipt: ({ id, profileId }: Erasure) => {
      audit.concerns(id);
      audit.concerns(profileId);
    },
  };
  const profiles = new Command('profiles').description('people, one at a time');
  addEraseCommand(profiles, erasing);
  addExportCommand(profiles, {
    ...io,
    withProfileExports: (use) =>
      looking(({ db, clock, engine }) =>
        use({
          exports: createProfileExports({ db, clock, log: engine.log, definitions: engine.definitions }),
          profileOf: async (target) => {
            const id = await engine.erasures.profileOf(target);
            audit.concerns(id);
            return id;
          },
        }),
      ),
    signal,
  });
  addFindCommands(profiles, {
    ...io,
    withPeople: (use) =>
      looking((app) =>
        use(
          peopleFinder(app, (id) => {
            audit.concerns(id);
          }),
        ),
      ),
    parseTime: parseTimestamp,
  });
  return [profiles, privacyCommand(erasing)];
}

/** How each of the commands on loads starts the program. */
function loadSessions({ looking, idle, working, loading }: CommandSessions) {
  return {
    withLoadService: <T>(use: (service: LoadService) => Promise<T>) => loading((app) => use(app.loads)),
    withDryRun: <T>(use: (service: LoadService) => Promise<T>) => idle((app) => use(app.loads)),
    withWarehouseLoads: <T>(isDryRun: boolean, use: (service: WarehouseLoadService) => Promise<T>) =>
      (isDryRun ? idle : loading)((app) => use(app.warehouseLoads)),
    withLoads: <T>(use: (loads: LoadReader) => Promise<T>) => looking((app) => use(new LoadReader(app.db))),
    withReverter: <T>(use: (services: { loads: LoadReader; reverter: LoadReverter }) => Promise<T>) =>
      working((app) => use({ loads: new LoadReader(app.db), reverter: app.engine.retractions })),
  };
}

/** How each of the commands on dead letters starts the program. */
function letterSessions({ looking, working }: CommandSessions, signal: AbortSignal) {
  return {
    withDeadLetters: <T>(use: (services: DeadLettersCommandServices) => Promise<T>) =>
      looking((app) =>
        use({
          letters: new DeadLetterReader(app.db, app.engine.sealer),
          sourceKeys: () => sourceKeys(app),
          fileNames: (loadIds) => new LoadReader(app.db).fileNames(loadIds),
        }),
      ),
    withRepair: <T>(use: (services: RepairServices) => Promise<T>) =>
      working((app) =>
        untilApplied(app, signal, () =>
          use({
            letters: new DeadLetterReader(app.db, app.engine.sealer),
            repair: app.letters,
            sourceKeys: () => sourceKeys(app),
          }),
        ),
      ),
  };
}

function refusedRowsSession({ looking }: CommandSessions): Pick<RefusedRowsDeps, 'withRefusedRows'> {
  return {
    withRefusedRows: (use) =>
      looking((app) =>
        use({ letters: new DeadLetterReader(app.db, app.engine.sealer), loads: new LoadReader(app.db) }),
      ),
  };
}

/** How each of the commands on webhooks starts the program. */
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
