import { readFile, realpath, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { WeftError } from './errors.js';
import { errnoOf, withFileLock } from './file-lock.js';
import { clusterFolder, findPostgresBinaries, findServerUser } from './postgres-binaries.js';
import {
  ensureCluster,
  folderError,
  forgetStrayCluster,
  preparePlace,
  readOrMakePassword,
  removeCluster,
  USER,
  type Place,
} from './postgres-cluster.js';
import {
  findPostmaster,
  launchPostmaster,
  startError,
  stopPostmaster,
  type LaunchOptions,
  type Postmaster,
} from './postmaster.js';
import { PostmasterWatch, type Joined, type PostmasterObserver } from './postmaster-watch.js';
import { ProcessRegister } from './process-register.js';
import { writeFileAtomically } from './write-file-atomically.js';

/**
 * A real PostgreSQL in a data folder, shared by the weft processes that use that folder.
 *
 * 1. At most one server runs on a folder: start and stop happen under a lock file, and PostgreSQL has its own.
 * 2. The server belongs to nobody. Each process that uses it has a file in `users/`, from before it joins until it has
 *    left, and counts for as long as it runs, whatever becomes of its connections: a server that drops every session,
 *    as after the kill of one backend, has no fewer users. The last to leave stops the server. A process that is killed
 *    counts no more; a server that is left without users is taken over by the next start.
 * 3. While anybody uses the server its port stays the same, so that pools find it again.
 * 4. A user that sees the server gone starts it again, or finds that another has; see `postmaster-watch.ts`.
 * 5. A cluster is complete or absent: it is made beside its place and renamed.
 * 6. What is committed is on disk (`fsync` and `synchronous_commit` are on): a kill of either side loses nothing.
 *
 * In `<dataDir>/postgres/`: `cluster/` (PGDATA, unless PostgreSQL's user cannot reach it), `password` (mode 0600),
 * `port`, `users/`, `server.log`, `lock`.
 */

const DATABASE = 'weft';
const LOCK_WAIT_MS = 150_000;
/** For a server that was found running, to answer: it may be going down just then, or recovering. */
const JOIN_TIMEOUT_MS = 2_000;
const RECOVERY_TIMEOUT_MS = 120_000;
const JOIN_PAUSE_MS = 100;

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
  readonly observer?: PostmasterObserver;
  /** How long a server that somebody told to stop may wait for its users before it is started anew. Default 30 s. */
  readonly stoppingPatienceMs?: number;
}

export class EmbeddedPostgres {
  #stopping: Promise<void> | undefined;

  private constructor(
    private readonly membership: Membership,
    private readonly watch: PostmasterWatch,
    /** PGDATA. */
    readonly cluster: string,
    /** `postgres://weft:…@127.0.0.1:<port>/weft`; holds the password. */
    readonly url: string,
    /** False if the server ran already, for another process or left behind by one that was killed. */
    readonly started: boolean,
  ) {}

  get pid(): number {
    return this.watch.server.pid;
  }

  get port(): number {
    return this.watch.server.port;
  }

  /**
   * Starts the server of `dataDir`, or joins the one that runs there.
   * @throws WeftError CONFIG_INVALID, UNAVAILABLE: one line with the folder and what to do
   */
  static async start(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
    const place = await preparePlace(options.dataDir);
    return withLock(place.home, async () => {
      const membership = await Membership.enter(place.home);
      try {
        await forgetStrayCluster(place, stopIfRunning);
        const password = await readOrMakePassword(place);
        const launch = await prepareLaunch(place, password, options.settings);
        const { server, started } = await joinOrLaunch(launch, membership, password);
        const watch = new PostmasterWatch(server, {
          ...options,
          ...place,
          findOrLaunch: (port) =>
            withLock(place.home, () => findOrLaunch({ ...launch, port: { wanted: port, isFixed: true } })),
        });
        return new EmbeddedPostgres(membership, watch, place.cluster, urlOf(server, password), started);
      } catch (error) {
        await membership.leave();
        throw error;
      }
    });
  }

  /** Leaves the server, and stops it if no other process uses it. Safe to call twice. */
  async stop(): Promise<void> {
    this.#stopping ??= this.#leave();
    await this.#stopping;
  }

  /** From here on the server is not started again; for the time before `stop`, when nobody needs it any more. */
  async stopWatching(): Promise<void> {
    await this.watch.stop();
  }

  async #leave(): Promise<void> {
    await this.stopWatching();
    await withLock(this.membership.home, async () => {
      await this.membership.leave();
      if ((await this.membership.others()) === 0) await stopIfRunning(this.cluster);
    });
  }
}

/** What this process is to the others on a folder. */
class Membership {
  private constructor(
    readonly home: string,
    private readonly register: ProcessRegister,
    private readonly name: string,
  ) {}

  static async enter(home: string): Promise<Membership> {
    const register = registerOf(home);
    return new Membership(home, register, await register.enter());
  }

  leave(): Promise<void> {
    return this.register.leave(this.name);
  }

  others(): Promise<number> {
    return this.register.others(this.name);
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
  await withLock(place.home, async () => {
    if ((await registerOf(place.home).others(null)) > 0) {
      throw new WeftError('CONFLICT', 'the database is in use by another weft process', {
        where: place.home,
        hint: 'Stop that process first.',
      });
    }
    await stopIfRunning(place.cluster);
    await removeCluster(place);
    await rm(join(place.home, 'password'), { force: true });
    await rm(join(place.home, 'server.log'), { force: true });
  });
  await rm(place.home, { recursive: true, force: true });
}

function withLock<T>(home: string, work: () => Promise<T>): Promise<T> {
  return withFileLock(join(home, 'lock'), LOCK_WAIT_MS, work);
}

function registerOf(home: string): ProcessRegister {
  return new ProcessRegister(join(home, 'users'));
}

async function prepareLaunch(
  place: Place,
  password: string,
  settings: Readonly<Record<string, string>> | undefined,
): Promise<LaunchOptions> {
  const binaries = await findPostgresBinaries(place.user, place.home);
  await ensureCluster(place, binaries.initdb, password);
  return {
    postgres: binaries.postgres,
    cluster: place.cluster,
    logFile: join(place.home, 'server.log'),
    user: place.user,
    settings: { ...SETTINGS, ...settings },
    port: { wanted: null, isFixed: false },
  };
}

async function findOrLaunch(launch: LaunchOptions): Promise<Joined> {
  const running = await findPostmaster(launch.cluster);
  return { server: running ?? (await launchPostmaster(launch)), started: running === null };
}

/** A server found running may be going down just then: killed, or told to stop by somebody else. */
async function joinOrLaunch(launch: LaunchOptions, membership: Membership, password: string): Promise<Joined> {
  const portFile = join(membership.home, 'port');
  const wanted = await readPort(portFile);
  const port = { wanted, isFixed: wanted !== null && (await membership.others()) > 0 };
  const startedMs = performance.now();
  for (;;) {
    const joined = await findOrLaunch({ ...launch, port });
    try {
      await ensureDatabase(joined.server, password);
      if (joined.server.port !== wanted) await writeFileAtomically(portFile, `${String(joined.server.port)}\n`, 0o644);
      return joined;
    } catch (error) {
      const patienceMs = isRecovering(error) ? RECOVERY_TIMEOUT_MS : JOIN_TIMEOUT_MS;
      if (joined.started || performance.now() - startedMs > patienceMs) throw connectError(error, launch.cluster);
      await delay(JOIN_PAUSE_MS);
    }
  }
}

/** Null if there is none, or none that can be read. */
async function readPort(path: string): Promise<number | null> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const port = /^\d{1,5}\s*$/.test(text) ? Number(text) : 0;
  return port > 0 && port < 65_536 ? port : null;
}

/** Makes the database if the cluster is new; shows that the server takes connections with this password. */
async function ensureDatabase(server: Postmaster, password: string): Promise<void> {
  const client = new pg.Client({
    host: '127.0.0.1',
    port: server.port,
    user: USER,
    password,
    database: 'postgres',
    application_name: 'weft start',
    connectionTimeoutMillis: 10_000,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
  } finally {
    await client.end().catch(() => undefined);
  }
}

const CANNOT_CONNECT_NOW = '57P03';

function isRecovering(error: unknown): boolean {
  return errnoOf(error) === CANNOT_CONNECT_NOW;
}

function connectError(error: unknown, where: string): WeftError {
  return startError(error instanceof Error ? `error: ${error.message}` : '', where);
}

async function stopIfRunning(cluster: string): Promise<void> {
  const server = await findPostmaster(cluster);
  if (server !== null) await stopPostmaster(server.pid);
}

function urlOf(server: Postmaster, password: string): string {
  return `postgres://${USER}:${encodeURIComponent(password)}@127.0.0.1:${String(server.port)}/${DATABASE}`;
}
