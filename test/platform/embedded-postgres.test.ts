import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EmbeddedPostgres, hasEmbeddedPostgres, removeEmbeddedPostgres } from '../../src/platform/embedded-postgres.js';
import { isAlive } from '../../src/platform/file-lock.js';

let folder: string;
const running: EmbeddedPostgres[] = [];
const children: ChildProcess[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-embedded-'));
  await chmod(folder, 0o711);
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const server of running.splice(0)) await server.stop();
  await removeEmbeddedPostgres(folder).catch(() => undefined);
  await rm(folder, { recursive: true, force: true });
});

async function start(dataDir = folder): Promise<EmbeddedPostgres> {
  const server = await EmbeddedPostgres.start({ dataDir, settings: { shared_buffers: '32MB' } });
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

/** Another process that starts the server of the same folder, tells its process id, and waits to be killed. */
async function startElsewhere(): Promise<{ child: ChildProcess; postmasterPid: number }> {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', join(import.meta.dirname, 'start-embedded.program.ts'), folder],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
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
    const first = await start();
    expect(first.started).toBe(true);
    await query(first, 'CREATE TABLE t AS SELECT 42 AS n');
    await first.stop();
    expect(isAlive(first.pid)).toBe(false);

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
    expect(isAlive(first.pid)).toBe(false);
  });

  it('is taken over after the process that started it was killed, with nothing lost', async () => {
    const { child, postmasterPid } = await startElsewhere();
    await kill(child);
    expect(isAlive(postmasterPid)).toBe(true);

    const next = await start();
    expect(next.started).toBe(false);
    expect(next.pid).toBe(postmasterPid);
    expect(await query(next, 'SELECT n FROM written_elsewhere')).toEqual([{ n: 7 }]);
    await next.stop();
    expect(isAlive(postmasterPid)).toBe(false);
  });

  it('starts again after the server itself was killed', async () => {
    const first = await start();
    await query(first, 'CREATE TABLE t AS SELECT 1 AS n');
    process.kill(first.pid, 'SIGKILL');
    const second = await start();
    expect(second.started).toBe(true);
    expect(await query(second, 'SELECT n FROM t')).toEqual([{ n: 1 }]);
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
    expect(isAlive(postmasterPid)).toBe(false);
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
  });
});
