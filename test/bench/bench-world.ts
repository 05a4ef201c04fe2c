import { chmod, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedPostgres } from '../../src/platform/embedded-postgres.js';
import { createDataSource, Database } from '../../src/platform/postgres.js';
import { startRedisServer } from '../support/redis-server.js';
import { ServerProcess, type Ready, type ServerOptions } from './server-process.js';

/** Linux counts the time of processes in hundredths of a second. */
const TICK_MS = 10;

/** A PostgreSQL in a temporary folder, with the settings that Weft gives it, and all that is started beside it. */
export class BenchWorld {
  readonly #undo: (() => Promise<unknown>)[];

  private constructor(
    private readonly folder: string,
    private readonly postgres: EmbeddedPostgres,
    private readonly admin: Database,
    /** As `18.1`. */
    readonly postgresVersion: string,
    undo: (() => Promise<unknown>)[],
  ) {
    this.#undo = undo;
  }

  /** @param kept a folder that stays, and is gone on with where it is there; left out: a temporary one */
  static async start(kept?: string): Promise<BenchWorld> {
    const undo: (() => Promise<unknown>)[] = [];
    try {
      const folder = kept ?? (await mkdtemp(join(tmpdir(), 'weft-bench-')));
      if (kept === undefined) undo.unshift(() => rm(folder, { recursive: true, force: true }));
      else await mkdir(folder, { recursive: true });
      // As root, the server runs as another user, who has to pass.
      await chmod(folder, 0o711);
      const postgres = await EmbeddedPostgres.start({ dataDir: folder });
      undo.unshift(() => postgres.stop());
      const admin = await Database.open(await createDataSource(postgres.url, { poolSize: 2 }));
      undo.unshift(() => admin.close());
      const [row] = await admin.query<{ version: string }>(`SELECT current_setting('server_version') AS version`);
      return new BenchWorld(folder, postgres, admin, row?.version ?? 'unknown', undo);
    } catch (error) {
      await undoAll(undo);
      throw error;
    }
  }

  /** For whatever a part keeps; it goes with the rest. */
  folderOf(name: string): string {
    return join(this.folder, name);
  }

  /** An empty database; its URL. */
  async createDatabase(name: string): Promise<string> {
    await this.admin.execute(`CREATE DATABASE ${name}`);
    return this.urlOf(name);
  }

  async dropDatabase(name: string): Promise<void> {
    await this.admin.execute(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  }

  urlOf(name: string): string {
    const url = new URL(this.postgres.url);
    url.pathname = `/${name}`;
    return url.href;
  }

  async connect(url: string): Promise<Database> {
    const database = await Database.open(await createDataSource(url, { poolSize: 2 }));
    this.#undo.unshift(() => database.close());
    return database;
  }

  startServer(options: ServerOptions): Promise<Ready & { readonly server: ServerProcess }> {
    return ServerProcess.start(options, (server) => {
      this.#undo.unshift(() => server.stop());
    });
  }

  /** Null where no redis-server is installed. */
  async startRedis(): Promise<string | null> {
    const redis = await startRedisServer(this.folder);
    if (redis === null) return null;
    this.#undo.unshift(() => redis.stop());
    return redis.url;
  }

  /** CPU time of all of PostgreSQL's processes until now, those that have ended too; null where that cannot be told. */
  async postgresCpuMs(): Promise<number | null> {
    const postmaster = String(this.postgres.pid);
    let ticks = 0;
    const pids = await readdir('/proc').catch(() => []);
    for (const pid of pids.filter((name) => /^\d+$/.test(name))) {
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
      // The name of the program, in brackets, may hold spaces.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const [utime = 0, stime = 0, cutime = 0, cstime = 0] = fields.slice(11, 15).map(Number);
      if (fields[1] === postmaster) ticks += utime + stime;
      if (pid === postmaster) ticks += utime + stime + cutime + cstime;
    }
    return ticks === 0 ? null : ticks * TICK_MS;
  }

  /** Stops and deletes everything that was started. */
  async close(): Promise<void> {
    await undoAll(this.#undo);
  }
}

/** The last first; a part that does not go cleanly keeps none of the others. */
async function undoAll(undo: (() => Promise<unknown>)[]): Promise<void> {
  for (let step = undo.shift(); step !== undefined; step = undo.shift()) {
    await step().catch((error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
    });
  }
}
