import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EmbeddedPostgres, hasEmbeddedPostgres, removeEmbeddedPostgres } from '../../src/platform/embedded-postgres.js';
import type { PostmasterObserver } from '../../src/platform/postmaster-watch.js';
import { identityOf } from '../../src/platform/process-identity.js';
import { compiled } from '../support/compiled-program.js';

/** A stopped cluster; a test that is not about the making of one begins with a copy. */
let prepared: string;
let folder: string;
let copied: Promise<void> | undefined;
const running: EmbeddedPostgres[] = [];
const children: ChildProcess[] = [];

async function newFolder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'weft-embedded-'));
  await chmod(made, 0o711);
  return made;
}

beforeAll(async () => {
  prepared = await newFolder();
  const server = await EmbeddedPostgres.start({ dataDir: prepared, settings: SETTINGS });
  await server.stop();
});

afterAll(() => rm(prepared, { recursive: true, force: true }));

beforeEach(async () => {
  folder = await newFolder();
  copied = undefined;
});

/** Where nothing is in the folder yet; once, however many start at once. */
async function copyPrepared(): Promise<void> {
  if ((await readdir(folder)).length > 0) return;
  await promisify(execFile)('cp', ['-a', `${prepared}/.`, folder]);
}

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const server of running.splice(0)) await server.stop();
  await removeEmbeddedPostgres(folder).catch(() => undefined);
  await rm(folder, { recursive: true, force: true });
});

/** What is written is read again by processes of the same machine, which stays up. */
const SETTINGS = { shared_buffers: '32MB', fsync: 'off' };

/** Starts the server of the folder, where it is empty that of a copy of the cluster prepared. */
async function start(
  dataDir = folder,
  observer?: PostmasterObserver,
  stoppingPatienceMs = 30_000,
): Promise<EmbeddedPostgres> {
  if (dataDir === folder) await (copied ??= copyPrepared());
  const server = await EmbeddedPostgres.start({
    dataDir,
    settings: SETTINGS,
    stoppingPatienceMs,
    ...(observer === undefined ? {} : { observer }),
  });
  running.push(server);
  return server;
}

async function query(server: EmbeddedPostgres, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

/** A connection that stays, with the process that serves it. */
async function session(server: EmbeddedPostgres): Promise<{ client: pg.Client; pid: number }> {
  const client = new pg.Client({ connectionString: server.url });
  client.on('error', () => undefined);
  await client.connect();
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return { client, pid: rows[0]?.pid ?? 0 };
}

function tellTo(lines: string[]): PostmasterObserver {
  return {
    lost: (pid) => lines.push(`lost ${String(pid)}`),
    restarted: (_pid, _tookMs, byUs) => lines.push(byUs ? 'restarted by us' : 'restarted'),
    restartFailed: (error) => lines.push(`failed: ${String(error)}`),
    gaveUp: (error) => lines.push(`gave up: ${error.message}`),
  };
}

/** Another process that starts the server of the same folder, tells its process id, and waits to be killed. */
async function startElsewhere(): Promise<{ child: ChildProcess; postmasterPid: number }> {
  const child = spawn(process.execPath, [compiled(new URL('./start-embedded.program.ts', import.meta.url)), folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return { child, postmasterPid: Number(line) };
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

describe('the embedded PostgreSQL', () => {
  it('makes a cluster, keeps its rows over a restart, and keeps its password to its owner', async () => {
    const first = await EmbeddedPostgres.start({ dataDir: folder, settings: SETTINGS });
    running.push(first);
    expect(first.started).toBe(true);
    await query(first, 'CREATE TABLE t AS SELECT 42 AS n');
    await first.stop();
    expect(await identityOf(first.pid)).toBeNull();

    const second = await start();
    expect(await query(second, 'SELECT n FROM t')).toEqual([{ n: 42 }]);
    expect((await stat(join(folder, 'postgres', 'password'))).mode & 0o777).toBe(0o600);
    expect(await query(second, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }]);
  });

  it('is there from its first start on, running or not, and looking makes nothing', async () => {
    expect(await hasEmbeddedPostgres(folder)).toBe(false);
    await expect(stat(join(folder, 'postgres'))).rejects.toThrow(/ENOENT/);
    const server = await start();
    expect(await hasEmbeddedPostgres(folder)).toBe(true);
    await server.stop();
    expect(await hasEmbeddedPostgres(folder)).toBe(true);
    await rm(join(folder, 'postgres'), { recursive: true });
    expect(await hasEmbeddedPostgres(folder)).toBe(false);
  });

  it('is joined by a second user of the folder and stops with the last of them', async () => {
    const [first, second] = await Promise.all([start(), start()]);
    expect([first.started, second.started].sort()).toEqual([false, true]);
    expect(second.pid).toBe(first.pid);
    await first.stop();
    expect(await query(second, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await second.stop();
    expect(await identityOf(first.pid)).toBeNull();
  });

  it('is taken over after the process that started it was killed, with nothing lost', async () => {
    const { child, postmasterPid } = await startElsewhere();
    await kill(child);
    expect(await identityOf(postmasterPid)).not.toBeNull();

    const next = await start();
    expect(next.started).toBe(false);
    expect(next.pid).toBe(postmasterPid);
    expect(await query(next, 'SELECT n FROM written_elsewhere')).toEqual([{ n: 7 }]);
    await next.stop();
    expect(await identityOf(postmasterPid)).toBeNull();
  });

  it('starts again after the server itself was killed', async () => {
    const first = await start();
    await query(first, 'CREATE TABLE t AS SELECT 1 AS n');
    await first.stopWatching();
    process.kill(first.pid, 'SIGKILL');
    const second = await start();
    expect(second.started).toBe(true);
    expect(await query(second, 'SELECT n FROM t')).toEqual([{ n: 1 }]);
  });

  it('stays up for a user whose every session was closed, when another user leaves', async () => {
    const { child, postmasterPid } = await startElsewhere();
    const visitor = await start();
    await query(visitor, 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()');
    await visitor.stop();
    expect(await identityOf(postmasterPid)).not.toBeNull();
    await kill(child);
    await (await start()).stop();
    expect(await identityOf(postmasterPid)).toBeNull();
  });

  it('stays up when one of its backends is killed, which ends all sessions', async () => {
    const first = await start();
    const [victim, other] = [await session(first), await session(first)];
    const otherEnded = new Promise<void>((resolve) => other.client.on('end', resolve));
    process.kill(victim.pid, 'SIGKILL');
    await otherEnded;
    // Joining waits for the recovery.
    const visitor = await start();
    expect(visitor.pid).toBe(first.pid);
    await visitor.stop();
    expect(await query(first, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('comes back by itself on the same port after it was killed, once for all its users', async () => {
    const told: string[] = [];
    const first = await start(folder, tellTo(told));
    const second = await start(folder, tellTo(told));
    await query(first, 'CREATE TABLE t AS SELECT 1 AS n');
    const { pid, url } = first;
    process.kill(pid, 'SIGKILL');
    await expect.poll(() => told, { timeout: 30_000 }).toHaveLength(4);
    expect(told.sort()).toEqual([`lost ${String(pid)}`, `lost ${String(pid)}`, 'restarted', 'restarted by us']);
    expect(second.pid).toBe(first.pid);
    expect(first.url).toBe(url);
    expect(await query(first, 'SELECT n FROM t')).toEqual([{ n: 1 }]);
    await first.stop();
    expect(await query(second, 'SELECT n FROM t')).toEqual([{ n: 1 }]);
  });

  it('comes back on the port that its users know, whoever is first to start it again', async () => {
    const first = await start();
    await first.stopWatching();
    process.kill(first.pid, 'SIGKILL');
    expect((await start()).port).toBe(first.port);
  });

  it('takes another port where its own is taken, unless somebody knows it by that', async () => {
    const first = await start();
    const { port } = first;
    await first.stop();
    const taker = createServer().listen(port, '127.0.0.1');
    await once(taker, 'listening');
    try {
      expect((await start()).port).not.toBe(port);
    } finally {
      taker.close();
    }
  });

  it('comes back where it was told to stop and only waits for the sessions of those who use it', async () => {
    const told: string[] = [];
    const server = await start(folder, tellTo(told), 100);
    const { pid } = server;
    const kept = await session(server);
    process.kill(pid, 'SIGTERM');
    await expect.poll(() => told, { timeout: 30_000 }).toEqual([`lost ${String(pid)}`, 'restarted by us']);
    await kept.client.end().catch(() => undefined);
    expect(await query(server, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('is given up after it was killed again and again, with what to do', async () => {
    const told: string[] = [];
    const server = await start(folder, tellTo(told));
    for (let kills = 1; kills <= 6; kills += 1) {
      process.kill(server.pid, 'SIGKILL');
      await expect.poll(() => told, { timeout: 30_000 }).toHaveLength(2 * kills);
    }
    expect(told.filter((line) => line === 'restarted by us')).toHaveLength(5);
    expect(told.at(-1)).toMatch(/^gave up: the embedded PostgreSQL is gone, and was started again 5 times/);
    await server.stop();
    expect((await start()).started).toBe(true);
  });

  it('starts over a pid file that is empty, zeros, garbage, or names another process', async () => {
    const first = await start();
    await query(first, 'CREATE TABLE t AS SELECT 1 AS n');
    await first.stop();
    for (const text of ['', '\0'.repeat(64), 'garbage\nmore\n', '1\n/tmp\n1\n5432\n']) {
      await writeFile(join(first.cluster, 'postmaster.pid'), text);
      const next = await start();
      expect(await query(next, 'SELECT n FROM t')).toEqual([{ n: 1 }]);
      await next.stop();
    }
  });

  it.each(['emptied', 'deleted'])(
    'starts anew, with nothing lost, where the pid file of a running server was %s',
    async (how) => {
      const { postmasterPid } = await startElsewhere();
      const pidFile = join(folder, 'postgres', 'cluster', 'postmaster.pid');
      await (how === 'deleted' ? rm(pidFile) : truncate(pidFile));
      const next = await start();
      expect(await identityOf(postmasterPid)).toBeNull();
      expect(await query(next, 'SELECT n FROM written_elsewhere')).toEqual([{ n: 7 }]);
    },
  );

  it('is not held up by a process that outlived the server that was killed', async () => {
    const first = await start();
    await first.stopWatching();
    const { client, pid: orphan } = await session(first);
    // While it counts, it does not look whether the server is still there.
    client.query('SELECT count(*) FROM generate_series(1, 1e12::int8)').catch(() => undefined);
    await expect
      .poll(() => query(first, `SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%1e12%'`))
      .toHaveLength(2);
    process.kill(first.pid, 'SIGKILL');
    expect((await start()).started).toBe(true);
    expect(await identityOf(orphan)).toBeNull();
  });

  it('is not misled by broken files beside it', async () => {
    const first = await start();
    await first.stop();
    const home = join(folder, 'postgres');
    await writeFile(join(home, 'users', '1.empty'), '');
    await writeFile(join(home, 'users', '1.garbage'), '\0\0');
    await writeFile(join(home, 'port'), 'garbage');
    await writeFile(join(home, 'lock'), '');
    const second = await start();
    await second.stop();
    expect(await readdir(join(home, 'users'))).toEqual([]);
    expect(await identityOf(second.pid)).toBeNull();
  });

  it('is not misled by a pid file that names an unrelated process', async () => {
    const first = await start();
    const pidFile = join(first.cluster, 'postmaster.pid');
    const lines = (await readFile(pidFile, 'utf8')).split('\n');
    await first.stop();
    await writeFile(pidFile, [String(process.pid), ...lines.slice(1)].join('\n'));
    const second = await start();
    expect(second.started).toBe(true);
    expect(second.pid).not.toBe(process.pid);
  });

  it('is not misled by a lock file of a process that is gone', async () => {
    await (await start()).stop();
    const child = spawn(process.execPath, ['-e', '']);
    await once(child, 'exit');
    await writeFile(join(folder, 'postgres', 'lock'), `${String(child.pid)}\n`);
    expect((await start()).started).toBe(true);
  });

  it('is found by its working folder after the data folder was moved under it', async () => {
    const first = await start();
    if (process.platform !== 'linux') return;
    const moved = `${folder}-moved`;
    await rename(folder, moved);
    try {
      const second = await EmbeddedPostgres.start({ dataDir: moved });
      expect(second.pid).toBe(first.pid);
      await second.stop();
    } finally {
      await rename(moved, folder);
    }
  });

  it('works in a folder that its own user cannot pass, and starts over when that folder is deleted', async () => {
    await chmod(folder, 0o700);
    const first = await start();
    await query(first, 'CREATE TABLE t AS SELECT 1 AS n');
    await first.stop();
    expect(await query(await start(), 'SELECT n FROM t')).toEqual([{ n: 1 }]);
    for (const server of running.splice(0)) await server.stop();

    await rm(join(folder, 'postgres'), { recursive: true });
    expect(await query(await start(), `SELECT to_regclass('t') AS t`)).toEqual([{ t: null }]);
  });

  it('finishes a cluster whose making was interrupted', async () => {
    const partial = join(folder, 'postgres', 'cluster.partial');
    await mkdir(partial, { recursive: true });
    await writeFile(join(partial, 'PG_VERSION'), '18\n');
    expect((await start()).started).toBe(true);
  });

  it('is removed only when nobody uses it', async () => {
    const { child, postmasterPid } = await startElsewhere();
    await expect(removeEmbeddedPostgres(folder)).rejects.toMatchObject({ code: 'CONFLICT' });
    await kill(child);
    await removeEmbeddedPostgres(folder);
    expect(await identityOf(postmasterPid)).toBeNull();
    await expect(stat(join(folder, 'postgres'))).rejects.toThrow(/ENOENT/);
  });
});

describe('a data folder that cannot be used is named in one line, with what to do', () => {
  it('a file in its place', async () => {
    await writeFile(join(folder, 'file'), '');
    await expect(EmbeddedPostgres.start({ dataDir: join(folder, 'file') })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: 'the data folder is a file',
    });
  });

  it('too long a path', async () => {
    const long = join(folder, ...Array.from({ length: 10 }, () => 'x'.repeat(100)));
    await expect(EmbeddedPostgres.start({ dataDir: long })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('too long a name', async () => {
    await expect(EmbeddedPostgres.start({ dataDir: join(folder, 'x'.repeat(300)) })).rejects.toMatchObject({
      message: 'the data folder has too long a name',
    });
  });

  it('a read-only file system', async () => {
    if (process.platform !== 'linux') return;
    await expect(EmbeddedPostgres.start({ dataDir: '/proc/weft' })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('a cluster of another version', async () => {
    const server = await start();
    await server.stop();
    await writeFile(join(server.cluster, 'PG_VERSION'), '9\n');
    await expect(start()).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      hint: expect.stringContaining('another version') as string,
    });
  });

  it('a lost password', async () => {
    await (await start()).stop();
    await rm(join(folder, 'postgres', 'password'));
    await expect(start()).rejects.toThrow(/password file of the database is gone/);
    await writeFile(join(folder, 'postgres', 'password'), '\n');
    await expect(start()).rejects.toThrow(/password file of the database is gone or empty/);
  });
});
