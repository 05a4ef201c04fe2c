import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { WeftError } from './errors.js';
import { makeFolder } from './make-folder.js';
import { errnoOf, withFileLock } from './file-lock.js';
import { clusterFolder, findPostgresBinaries, findServerUser, type ServerUser } from './postgres-binaries.js';
import {
  findPostmaster,
  launchPostmaster,
  startError,
  stopPostmaster,
  type LaunchOptions,
  type Postmaster,
} from './postmaster.js';

/**
 * A real PostgreSQL in a data folder, shared by the weft processes that use that folder.
 *
 * 1. At most one server runs on a folder: start and stop happen under a lock file, and PostgreSQL has its own.
 * 2. The server belongs to nobody. Each process that uses it holds one connection named `weft holder`; the last to
 *    leave stops the server. A process that is killed loses its connection and so counts no more; a server that is
 *    left without any is taken over by the next start.
 * 3. A cluster is complete or absent: it is made beside its place and renamed.
 * 4. What is committed is on disk (`fsync` and `synchronous_commit` are on): a kill of either side loses nothing.
 *
 * In `<dataDir>/postgres/`: `cluster/` (PGDATA, unless PostgreSQL's user cannot reach it), `password` (mode 0600),
 * `server.log`, `lock`.
 */

const run = promisify(execFile);

const USER = 'weft';
const DATABASE = 'weft';
const HOLDER = 'weft holder';
const LOCK_WAIT_MS = 150_000;
const MAX_JOINS = 20;
const JOIN_PAUSE_MS = 100;
/** PostgreSQL's own bound is 1,024 for the longest path inside the folder. */
const MAX_PATH_LENGTH = 900;

const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '100',
  shared_buffers: '256MB',
  work_mem: '16MB',
  maintenance_work_mem: '128MB',
  synchronous_commit: 'on',
  wal_compression: 'on',
  max_wal_size: '2GB',
  checkpoint_timeout: '15min',
  random_page_cost: '1.1',
  jit: 'off',
  // The other core is ours; and parallel queries need more /dev/shm than containers have.
  max_parallel_workers_per_gather: '0',
  // LOG, FATAL and PANIC, not ERROR: the messages and statements of errors quote data.
  log_min_messages: 'log',
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
  log_checkpoints: 'off',
  timezone: 'UTC',
};

export interface EmbeddedPostgresOptions {
  /** Made if absent. */
  readonly dataDir: string;
  /** Server settings on top of ours; they only count if this process is the one that starts the server. */
  readonly settings?: Readonly<Record<string, string>>;
}

interface Place {
  readonly home: string;
  readonly cluster: string;
  readonly user: ServerUser | null;
}

export class EmbeddedPostgres {
  #stopping: Promise<void> | undefined;

  private constructor(
    private readonly place: Place,
    private readonly holder: pg.Client,
    /** `postgres://weft:…@127.0.0.1:<port>/weft`; holds the password. */
    readonly url: string,
    readonly pid: number,
    readonly port: number,
    /** False if the server ran already, for another process or left behind by one that was killed. */
    readonly started: boolean,
  ) {}

  /** PGDATA. */
  get cluster(): string {
    return this.place.cluster;
  }

  /**
   * Starts the server of `dataDir`, or joins the one that runs there.
   * @throws WeftError CONFIG_INVALID, UNAVAILABLE: one line with the folder and what to do
   */
  static async start(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
    const place = await preparePlace(options.dataDir);
    return withFileLock(join(place.home, 'lock'), LOCK_WAIT_MS, async () => {
      await forgetStrayCluster(place);
      const password = await readOrMakePassword(place);
      const binaries = await findPostgresBinaries(place.user, place.home);
      if (!(await isFile(join(place.cluster, 'PG_VERSION')))) await makeCluster(place, binaries.initdb, password);
      const launch: LaunchOptions = {
        postgres: binaries.postgres,
        cluster: place.cluster,
        logFile: join(place.home, 'server.log'),
        user: place.user,
        settings: { ...SETTINGS, ...options.settings },
      };
      const { server, holder, started } = await joinOrLaunch(launch, password);
      return new EmbeddedPostgres(place, holder, urlOf(server, password), server.pid, server.port, started);
    });
  }

  /** Leaves the server, and stops it if no other process uses it. Safe to call twice. */
  async stop(): Promise<void> {
    this.#stopping ??= withFileLock(join(this.place.home, 'lock'), LOCK_WAIT_MS, async () => {
      const others = await otherHolders(this.holder);
      await this.holder.end().catch(() => undefined);
      if (others === 0) await stopIfRunning(this.place.cluster);
    });
    await this.#stopping;
  }
}

/**
 * Whether there is a database in a data folder, running or not. Changes nothing.
 * @throws WeftError CONFIG_INVALID where this user may not look
 */
export async function hasEmbeddedPostgres(dataDir: string): Promise<boolean> {
  const wanted = join(resolve(dataDir), 'postgres');
  try {
    const home = await realpath(wanted);
    await stat(join(home, 'password'));
    await stat(join(await clusterFolder(home, await findServerUser()), 'PG_VERSION'));
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return false;
    throw folderError(error, wanted);
  }
}

/**
 * Deletes the database of a data folder for good; a server left behind on it is stopped first.
 * @throws WeftError CONFLICT while another process uses it
 */
export async function removeEmbeddedPostgres(dataDir: string): Promise<void> {
  const place = await preparePlace(dataDir);
  await withFileLock(join(place.home, 'lock'), LOCK_WAIT_MS, async () => {
    const server = await findPostmaster(place.cluster);
    if (server !== null) {
      const holder = await hold(server, await readOrMakePassword(place), place.cluster);
      const others = await otherHolders(holder);
      await holder.end();
      if (others > 0) {
        throw new WeftError('CONFLICT', 'the database is in use by another weft process', {
          where: place.home,
          hint: 'Stop that process first.',
        });
      }
      await stopPostmaster(server.pid);
    }
    await removeCluster(place);
    await rm(join(place.home, 'password'), { force: true });
    await rm(join(place.home, 'server.log'), { force: true });
  });
  await rm(place.home, { recursive: true, force: true });
}

async function preparePlace(dataDir: string): Promise<Place> {
  const wanted = join(resolve(dataDir), 'postgres');
  if (wanted.length > MAX_PATH_LENGTH) {
    throw new WeftError('CONFIG_INVALID', `the path of the data folder is longer than ${String(MAX_PATH_LENGTH)}`, {
      where: `${wanted.slice(0, 100)}…`,
      hint: 'Set WEFT_DATA_DIR to a shorter one.',
    });
  }
  try {
    await makeFolder(wanted);
    const home = await realpath(wanted);
    // A folder that exists but may not be written fails here, and not half-way.
    const probe = join(home, `probe.${randomBytes(6).toString('hex')}`);
    await writeFile(probe, '');
    await rm(probe);
    const user = await findServerUser();
    return { home, user, cluster: await clusterFolder(home, user) };
  } catch (error) {
    throw folderError(error, wanted);
  }
}

const FOLDER_ERRORS: Readonly<Record<string, string>> = {
  EACCES: 'may not be written',
  EPERM: 'may not be written',
  ENOENT: 'cannot be made',
  EROFS: 'is on a read-only volume',
  ENOSPC: 'is on a full volume',
  EDQUOT: 'is on a full volume',
  ENAMETOOLONG: 'has too long a name',
  ENOTDIR: 'is inside a file',
  EEXIST: 'is a file',
};

function folderError(error: unknown, where: string): unknown {
  const problem = FOLDER_ERRORS[errnoOf(error)];
  if (problem === undefined) return error;
  return new WeftError('CONFIG_INVALID', `the data folder ${problem}`, {
    where,
    hint: 'Set WEFT_DATA_DIR to a folder that this user can write, with some 500 MB free.',
    cause: error,
  });
}

async function readOrMakePassword(place: Place): Promise<string> {
  const path = join(place.home, 'password');
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw folderError(error, path);
  }
  if (await isFile(join(place.cluster, 'PG_VERSION'))) {
    throw new WeftError('CONFIG_INVALID', 'the password file of the database is gone', {
      where: path,
      hint: 'Put it back from a copy of the data folder, or start over with a fresh folder.',
    });
  }
  const password = randomBytes(24).toString('base64url');
  await writeFile(path, `${password}\n`, { mode: 0o600 });
  return password;
}

/** A cluster outside the data folder outlives an `rm -r` of that folder, which was meant to start over. */
async function forgetStrayCluster(place: Place): Promise<void> {
  if (isInside(place)) return;
  const left = await Promise.all([isFile(join(place.home, 'password')), isFile(join(place.home, 'server.log'))]);
  if (left.includes(true)) return;
  await stopIfRunning(place.cluster);
  await removeCluster(place);
}

async function removeCluster(place: Place): Promise<void> {
  await rm(isInside(place) ? place.cluster : dirname(place.cluster), { recursive: true, force: true });
}

function isInside(place: Place): boolean {
  return dirname(place.cluster) === place.home;
}

async function makeCluster(place: Place, initdb: string, password: string): Promise<void> {
  const parent = dirname(place.cluster);
  const partial = `${place.cluster}.partial`;
  const passwordFile = join(parent, 'initdb-password');
  try {
    await makeFolder(parent);
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { mode: 0o700 });
    await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
    if (place.user !== null) {
      await chmod(parent, 0o711);
      await chown(partial, place.user.uid, place.user.gid);
      await chown(passwordFile, place.user.uid, place.user.gid);
    }
    await runInitdb(initdb, partial, passwordFile, place.user);
    await rename(partial, place.cluster);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw folderError(error, place.home);
  } finally {
    await rm(passwordFile, { force: true });
  }
}

async function runInitdb(initdb: string, folder: string, passwordFile: string, user: ServerUser | null): Promise<void> {
  const flags = [
    `--pgdata=${folder}`,
    `--username=${USER}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    // Sorting by code point: the same on every machine, and fast.
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
  ];
  try {
    await run(initdb, flags, { ...(user ?? {}), cwd: '/', env: { LC_ALL: 'C', TZ: 'UTC' } });
  } catch (error) {
    const stderr: unknown = error instanceof Error && 'stderr' in error ? error.stderr : '';
    const output = typeof stderr === 'string' && stderr !== '' ? stderr : String(error);
    throw startError(output, folder);
  }
}

interface Joined {
  readonly server: Postmaster;
  readonly holder: pg.Client;
  readonly started: boolean;
}

/** A server found running may be going down just then: killed, or told to stop by somebody else. */
async function joinOrLaunch(launch: LaunchOptions, password: string): Promise<Joined> {
  for (let attempt = 1; ; attempt += 1) {
    const running = await findPostmaster(launch.cluster);
    const server = running ?? (await launchPostmaster(launch));
    try {
      return { server, holder: await hold(server, password, launch.cluster), started: running === null };
    } catch (error) {
      if (running === null || attempt === MAX_JOINS) throw error;
      await delay(JOIN_PAUSE_MS);
    }
  }
}

/** Opens the connection that says "this process uses the server", and makes the database if it is new. */
async function hold(server: Postmaster, password: string, where: string): Promise<pg.Client> {
  const holder = new pg.Client({
    host: '127.0.0.1',
    port: server.port,
    user: USER,
    password,
    database: 'postgres',
    application_name: HOLDER,
    keepAlive: true,
    connectionTimeoutMillis: 10_000,
  });
  // If the server dies, the pools of the process notice; this connection only marks our presence.
  holder.on('error', () => undefined);
  try {
    await holder.connect();
    const { rowCount } = await holder.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE]);
    if (rowCount === 0) await holder.query(`CREATE DATABASE ${DATABASE}`);
    return holder;
  } catch (error) {
    await holder.end().catch(() => undefined);
    throw startError(error instanceof Error ? `error: ${error.message}` : '', where);
  }
}

async function otherHolders(holder: pg.Client): Promise<number> {
  const sql = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()`;
  try {
    const { rows } = await holder.query<{ n: number }>(sql, [HOLDER]);
    return rows[0]?.n ?? 0;
  } catch {
    return 0;
  }
}

async function stopIfRunning(cluster: string): Promise<void> {
  const server = await findPostmaster(cluster);
  if (server !== null) await stopPostmaster(server.pid);
}

function urlOf(server: Postmaster, password: string): string {
  return `postgres://${USER}:${encodeURIComponent(password)}@127.0.0.1:${String(server.port)}/${DATABASE}`;
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
