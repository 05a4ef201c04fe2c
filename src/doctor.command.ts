import { Command } from 'commander';
import { ConfigError, readConfig, type Config } from './config.js';
import { describeGeoDatabase } from './enrichment/geo-database.js';
import { checkChores } from './monitoring/check-chores.js';
import { checkDamagedRows } from './monitoring/check-damaged-rows.js';
import { checkErasures } from './monitoring/check-erasures.js';
import { checkEntityFolds } from './monitoring/check-entity-folds.js';
import { ExportFolder } from './features/export-folder.js';
import { checkExports } from './monitoring/check-exports.js';
import { checkSegmentWork } from './monitoring/check-segment-work.js';
import { checkSchedules } from './monitoring/check-schedules.js';
import {
  checkAddress,
  checkBy,
  checkContested,
  checkSharedValues,
  checkClocks,
  checkDataDir,
  checkDeadLetters,
  checkExpectations,
  checkLocations,
  checkLog,
  checkMigrations,
  checkNode,
  checkParity,
  checkReplays,
  checkRetractions,
  checkRevisions,
  checkSealedTraits,
  checkSegments,
  checkSources,
  failedBy,
  type CheckResult,
} from './monitoring/doctor.js';
import { systemClock } from './platform/clock.js';
import { EXIT_CODES, jsonText } from './platform/command-line.js';
import { placeOf } from './platform/connect-errors.js';
import { EmbeddedPostgres, hasEmbeddedPostgres } from './platform/embedded-postgres.js';
import { RootSecret, standingSecretOfFolder, type InstallationSecret } from './platform/installation-secret.js';
import { createDataSource, Database } from './platform/postgres.js';
import { RedisConnection } from './platform/redis.js';

export interface DoctorCommandDeps {
  readonly stdout: { write(text: string): unknown };
  readonly setExitCode: (code: number) => void;
  readonly readConfig?: () => Config;
}

/** `weft doctor`: looks at everything that the configuration points at, and changes none of it. */
export function doctorCommand(deps: DoctorCommandDeps): Command {
  return new Command('doctor')
    .description('check the configuration and everything it points at; changes nothing')
    .option('--json', 'the findings as JSON')
    .addHelpText('after', '\nEnds with 1 if anything failed; warnings are no failures.')
    .action(async (options: { json?: true }) => {
      const results = await examine(deps.readConfig ?? readConfig);
      deps.stdout.write(options.json === true ? jsonText(results) : results.map(line).join(''));
      if (results.some((result) => result.outcome === 'failed')) deps.setExitCode(EXIT_CODES.failed);
    });
}

async function examine(read: () => Config): Promise<CheckResult[]> {
  const node = checkNode(process.versions.node);
  let config: Config;
  try {
    config = read();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const name = 'configuration';
    return [
      node,
      ...error.problems.map(({ where, what, hint }): CheckResult => ({
        name,
        outcome: 'failed',
        detail: `${where} ${what}`,
        hint,
      })),
    ];
  }
  const { databaseUrl, dataDir, redisUrls, geoDatabase, exportsPath } = config;
  const means: Means = { secret: await standingSecret(config), geoDatabase, exportsPath };
  return [
    node,
    ...config.warnings.map((detail): CheckResult => ({ name: 'configuration', outcome: 'warning', detail })),
    ...(databaseUrl === null ? [await checkDataDir(dataDir)] : []),
    await checkAddress(config.host, config.port),
    ...(databaseUrl === null
      ? await examineEmbedded(dataDir, means)
      : await examineDatabase(databaseUrl, placeOf(databaseUrl), means)),
    ...(geoDatabase === null ? [] : [await checkBy('places', () => describeGeoDatabase(geoDatabase))]),
    ...(redisUrls.length === 0 ? [] : [await checkRedis(redisUrls)]),
  ];
}

/** The secret that processes have, none of which is made here. */
async function standingSecret({ secret, databaseUrl, dataDir }: Config): Promise<InstallationSecret | null> {
  if (secret !== null) return new RootSecret(Buffer.from(secret));
  const kept = databaseUrl === null ? await standingSecretOfFolder(dataDir).catch(() => null) : null;
  return kept === null ? null : new RootSecret(kept);
}

const DATABASE = 'database';

/** What the database is held against. */
interface Means {
  readonly secret: InstallationSecret | null;
  readonly geoDatabase: string | null;
  readonly exportsPath: string;
}

/** A server that runs is joined; one that does not is started for as long as it takes, which proves that it can be. */
async function examineEmbedded(dataDir: string, means: Means): Promise<CheckResult[]> {
  let server: EmbeddedPostgres;
  try {
    if (!(await hasEmbeddedPostgres(dataDir))) {
      return [{ name: DATABASE, outcome: 'ok', detail: 'none yet; `weft serve` creates one' }];
    }
    server = await EmbeddedPostgres.start({ dataDir });
  } catch (error) {
    return [failedBy(DATABASE, error)];
  }
  try {
    const state = server.started ? 'started for this check' : `running as process ${String(server.pid)}`;
    return await examineDatabase(server.url, `embedded, ${state}`, means);
  } finally {
    await server.stop();
  }
}

async function examineDatabase(
  url: string,
  place: string,
  { secret, geoDatabase, exportsPath: path }: Means,
): Promise<CheckResult[]> {
  const inside: CheckResult[] = [];
  const reached = await checkBy(DATABASE, async () => {
    const db = await Database.open(await createDataSource(url, { poolSize: 2, applicationName: 'weft doctor' }));
    try {
      const [server] = await db.query<{ version: string }>(`SELECT current_setting('server_version') AS version`);
      const migrations = checkMigrations(await db.migrationState());
      inside.push(migrations);
      // The tables may not be there, or not as they are read here.
      if (migrations.outcome === 'ok') {
        inside.push(
          await checkLog(db),
          await checkDeadLetters(db),
          await checkDamagedRows(db),
          await checkRetractions(db),
          await checkRevisions(db),
          await checkContested(db),
          await checkSharedValues(db),
          await checkReplays(db),
          await checkSources(db),
          await checkSegments(db),
          await checkSegmentWork(db, systemClock.now()),
          await checkSchedules(db, systemClock.now()),
          await checkEntityFolds(db, systemClock.now()),
          await checkChores(db, systemClock.now()),
          await checkErasures(db),
          await checkExpectations(db),
          await checkParity(db, systemClock.now()),
          await checkSealedTraits(db, secret),
          await checkExports(db, { path, isOurs: () => new ExportFolder(path, db).isOurs() }),
          ...(geoDatabase === null ? [await checkLocations(db)] : []),
          await checkClocks(db, systemClock),
        );
      }
      return `PostgreSQL ${server?.version ?? '?'}, ${place}`;
    } finally {
      await db.close();
    }
  });
  return [reached, ...inside];
}

function checkRedis(urls: readonly string[]): Promise<CheckResult> {
  const places = urls.map((url) => new URL(url).host).join(', ');
  return checkBy('Redis', async () => {
    const connection = await RedisConnection.open(urls);
    await connection.close();
    return `answers at ${places}`;
  }).then((result) => (result.outcome === 'ok' ? result : { ...result, detail: `${places}: ${result.detail}` }));
}

const MARKS = { ok: '✓', warning: '!', failed: '✗' } as const;

function line({ name, outcome, detail, hint }: CheckResult): string {
  return `${MARKS[outcome]} ${name.padEnd(14)} ${detail}${hint === undefined ? '' : `\n  ${''.padEnd(14)} ${hint}`}\n`;
}
