import { chmod, rm } from 'node:fs/promises';
import type { TestProject } from 'vitest/node';
import { EmbeddedPostgres } from '../../src/platform/embedded-postgres.js';
import { createDataSource, Database } from '../../src/platform/postgres.js';
import { findChromium } from './browser.js';
import { compileProgram } from './compiled-program.js';
import { findRunningRedis, startRedisServer } from './redis-server.js';
import { makeServerFolder } from './server-folder.js';
import { findWordPress } from './wordpress.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** Of the server's maintenance database; the user may create databases. */
    readonly postgresUrl: string;
    /** Name of a migrated database without connections, to be cloned. */
    readonly templateDatabase: string;
    /** How PostgreSQL clones it: `FILE_COPY` costs a checkpoint, which takes no time where nothing is synced. */
    readonly cloneStrategy: 'FILE_COPY' | 'WAL_LOG';
    /** The program as JavaScript, for processes that tests start: see `compiled-program.ts`. */
    readonly programFolder: string;
    /** Null: no Redis here, its suites are skipped. */
    readonly redisUrl: string | null;
    /** Null: no Chromium here, its suites are skipped. */
    readonly chromiumPath: string | null;
    /** Folder of a WordPress core that can be run. Null: there is none, its suite is skipped. */
    readonly wordpressCore: string | null;
  }
}

/** Speed over durability: nothing in a test's database outlives the run. */
const FAST = {
  fsync: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  wal_compression: 'off',
  max_wal_size: '256MB',
  shared_buffers: '128MB',
  max_connections: '200',
};

/**
 * One PostgreSQL and, where there is one, one Redis for all files of a run, in a temporary folder.
 * `WEFT_TEST_DATABASE_URL` and `WEFT_TEST_REDIS_URL` run the suite on servers of one's own instead.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await makeServerFolder();
  // As root, the server runs as another user, who has to pass.
  await chmod(folder, 0o711);
  const external = process.env['WEFT_TEST_DATABASE_URL'];
  const embedded = external === undefined ? await EmbeddedPostgres.start({ dataDir: folder, settings: FAST }) : null;
  const postgresUrl = external ?? embedded?.url ?? '';
  const redis = process.env['WEFT_TEST_REDIS_URL'] === undefined ? await startRedisServer(folder) : null;
  const redisUrl = process.env['WEFT_TEST_REDIS_URL'] ?? redis?.url ?? (await findRunningRedis());
  if (redisUrl === null) {
    process.stdout.write('The Redis suites are skipped: there is no redis-server 7 (scripts/setup-test-services.sh)\n');
  }
  const chromiumPath = findChromium();
  if (chromiumPath === null) {
    process.stdout.write('The browser suites are skipped: there is no Chromium (scripts/setup-test-services.sh)\n');
  }

  const wordpressCore = findWordPress();
  if (wordpressCore === null) {
    process.stdout.write('WordPress is not tried: it, PHP or MariaDB is missing (scripts/setup-test-services.sh)\n');
  }
  const templateDatabase = `weft_template_${String(process.pid)}`;
  await withDatabase(postgresUrl, (admin) => admin.execute(`CREATE DATABASE ${templateDatabase}`));
  await withDatabase(databaseUrl(postgresUrl, templateDatabase), (template) => template.runMigrations());

  const programFolder = await compileProgram();

  project.provide('programFolder', programFolder);
  project.provide('postgresUrl', postgresUrl);
  project.provide('templateDatabase', templateDatabase);
  project.provide('cloneStrategy', embedded === null ? 'WAL_LOG' : 'FILE_COPY');
  project.provide('redisUrl', redisUrl);
  project.provide('chromiumPath', chromiumPath);
  project.provide('wordpressCore', wordpressCore);

  return async () => {
    if (embedded === null) {
      await withDatabase(postgresUrl, (admin) => admin.execute(`DROP DATABASE IF EXISTS ${templateDatabase}`));
    }
    await embedded?.stop();
    await redis?.stop();
    await rm(programFolder, { recursive: true, force: true });
    await rm(folder, { recursive: true, force: true });
  };
}

async function withDatabase(url: string, work: (database: Database) => Promise<unknown>): Promise<void> {
  const database = await Database.open(await createDataSource(url, { poolSize: 2 }));
  try {
    await work(database);
  } finally {
    await database.close();
  }
}

function databaseUrl(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}
