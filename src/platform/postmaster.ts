import { execFile, spawn } from 'node:child_process';
import { open, readdir, readFile, readlink, realpath, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { WeftError } from './errors.js';
import type { ServerUser } from './postgres-binaries.js';
import { identityOf, isAlive } from './process-identity.js';

const run = promisify(execFile);

const POLL_MS = 10;
/** Long enough for crash recovery of a full `max_wal_size`. */
const START_TIMEOUT_MS = 120_000;
const FAST_STOP_TIMEOUT_MS = 30_000;
const IMMEDIATE_STOP_TIMEOUT_MS = 10_000;
/** As long as a postmaster gives its children; and then as long as the kernel may take. */
const END_TIMEOUT_MS = 5_000;
const RELAUNCH_TIMEOUT_MS = 15_000;
const RELAUNCH_PAUSE_MS = 100;
const MAX_LOG_BYTES = 8 * 1024 * 1024;
const LOG_TAIL_BYTES = 4_096;

/** A running PostgreSQL main process, as its `postmaster.pid` describes it. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
}

export interface LaunchOptions {
  readonly postgres: string;
  readonly cluster: string;
  readonly logFile: string;
  readonly user: ServerUser | null;
  readonly settings: Readonly<Record<string, string>>;
  readonly port: PortChoice;
}

/** The port to listen on, null for any; and whether another will do where that one is taken. */
export interface PortChoice {
  readonly wanted: number | null;
  readonly isFixed: boolean;
}

type PidFile = Postmaster & { readonly status: string };

/**
 * The live postmaster of this folder, once it accepts connections; null if there is none. One that is stopping is
 * waited for.
 *
 * The pid file may also be missing, empty, garbage, or name a process that is gone or something else by now: after a
 * power cut, a kill, or a helping hand. It is removed then, and what may still run on the folder is ended: processes
 * that outlived their postmaster would keep the next one from starting, and a postmaster whose file is lost ends itself
 * within a minute anyway.
 */
export async function findPostmaster(cluster: string): Promise<Postmaster | null> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    const found = await readPidFile(cluster);
    if (found === null || !isAlive(found.pid) || !(await isPostmasterOf(found.pid, cluster))) {
      await endProcessesOf(cluster);
      await rm(join(cluster, 'postmaster.pid'), { force: true });
      return null;
    }
    if (found.status === 'ready') return { pid: found.pid, port: found.port };
    if (performance.now() > deadline) {
      throw new WeftError('UNAVAILABLE', `PostgreSQL (process ${String(found.pid)}) is stuck in "${found.status}"`, {
        where: cluster,
        hint: 'Stop that process and start again.',
      });
    }
    await delay(POLL_MS);
  }
}

/** Whether the server was told to stop and has not ended yet. */
export async function isStopping(cluster: string): Promise<boolean> {
  return (await readPidFile(cluster))?.status === 'stopping';
}

/** Starts the server and waits until it accepts connections. It outlives this process. */
export async function launchPostmaster(options: LaunchOptions): Promise<Postmaster> {
  const { cluster, port } = options;
  const deadline = performance.now() + RELAUNCH_TIMEOUT_MS;
  for (let wanted = port.wanted; ;) {
    const failure = await tryLaunch(options, wanted ?? (await freePort()));
    if (failure === null) {
      const found = await findPostmaster(cluster);
      if (found !== null) return found;
    }
    const reason = failure ?? 'the server ended';
    const isTaken = /could not bind|could not create any TCP/i.test(reason);
    // Another program took the port; or a killed server's last children still hold its memory, for an instant.
    const passes = isTaken || /pre-existing shared memory|is still in use/i.test(reason);
    if (!passes || performance.now() > deadline) throw startError(reason, cluster);
    if (isTaken && !port.isFixed) wanted = null;
    await delay(RELAUNCH_PAUSE_MS);
  }
}

/** Fast shutdown; after 30 s an immediate one, which loses nothing either: the next start recovers from the log. */
export async function stopPostmaster(pid: number): Promise<void> {
  const ended = (ms: number): Promise<boolean> => waitUntil(async () => (await identityOf(pid)) === null, ms);
  signal(pid, 'SIGINT');
  if (await ended(FAST_STOP_TIMEOUT_MS)) return;
  signal(pid, 'SIGQUIT');
  if (await ended(IMMEDIATE_STOP_TIMEOUT_MS)) return;
  throw new WeftError('UNAVAILABLE', `PostgreSQL (process ${String(pid)}) does not stop`, { hint: 'Stop it by hand.' });
}

/** One line for what PostgreSQL or the system said, with what to do about it. */
export function startError(output: string, where: string): WeftError {
  const hint = HINTS.find(([pattern]) => pattern.test(output))?.[1] ?? 'See the log in the data folder.';
  const line = output.split('\n').findLast((text) => /FATAL|PANIC|error|could not|denied/i.test(text));
  const said = (line ?? output.trim().split('\n').at(-1) ?? '')
    .replace(/^.*?(?:FATAL|PANIC|error): +/, '')
    .slice(0, 300);
  return new WeftError('UNAVAILABLE', `the embedded PostgreSQL did not start: ${said || 'it ended without a word'}`, {
    where,
    hint,
  });
}

const HINTS: readonly (readonly [RegExp, string])[] = [
  [/No space left/i, 'Free some disk space, or set WEFT_DATA_DIR to a folder with more.'],
  [/Read-only file system/i, 'Set WEFT_DATA_DIR to a folder that can be written.'],
  [
    /denied|not permitted|wrong ownership/i,
    'Set WEFT_DATA_DIR to a folder of your own, or run as the user that made it.',
  ],
  [/shared librar|dyld|Library not loaded/i, 'Run npm ci again, or set WEFT_DATABASE_URL to a PostgreSQL server.'],
  [/incompatible with server/i, 'The folder was made by another version: move it away, or use that version of weft.'],
  [/pre-existing shared memory|is still in use/i, 'Stop the PostgreSQL processes that still run on that folder.'],
  [/could not bind|could not create any TCP/i, 'Another program has the port that the others on this folder know.'],
  [/shared memory|Cannot allocate memory/i, 'Free some memory: the embedded PostgreSQL takes about 300 MB.'],
];

async function tryLaunch(options: LaunchOptions, port: number): Promise<string | null> {
  await trimLog(options.logFile);
  const log = await open(options.logFile, 'a', 0o600);
  const { size } = await log.stat();
  const child: { ended: string | null } = { ended: null };
  try {
    const settings = Object.entries({ ...options.settings, port: String(port) });
    const server = spawn(
      options.postgres,
      ['-D', options.cluster, ...settings.flatMap(([k, v]) => ['-c', `${k}=${v}`])],
      {
        ...(options.user ?? {}),
        // A session of its own: Ctrl-C in the terminal is for us, and we stop the server when we no longer need it.
        detached: true,
        stdio: ['ignore', log.fd, log.fd],
        env: { LC_ALL: 'C', TZ: 'UTC' },
      },
    );
    server.once('error', (error) => (child.ended = error.message));
    server.once('exit', () => (child.ended ??= ''));
    server.unref();
    const pid = server.pid ?? 0;
    await waitUntil(async () => {
      if (child.ended !== null) return true;
      const found = await readPidFile(options.cluster);
      return found?.pid === pid && found.status === 'ready';
    }, START_TIMEOUT_MS);
  } finally {
    await log.close();
  }
  return child.ended === null ? null : `${child.ended}${await readFrom(options.logFile, size)}`;
}

/**
 * `postmaster.pid`, by line: 1 pid, 2 data folder, 3 start time, 4 port, 5 socket folder, 6 address, 7 memory key,
 * 8 status. Null if it is absent or names no process.
 */
async function readPidFile(cluster: string): Promise<PidFile | null> {
  const text = await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => null);
  if (text === null) return null;
  const lines = text.split('\n');
  const pid = Math.abs(Number.parseInt(lines[0] ?? '', 10));
  if (!Number.isInteger(pid) || pid === 0) return null;
  return { pid, port: Number.parseInt(lines[3] ?? '0', 10), status: lines[7]?.trim() ?? 'starting' };
}

/** By its arguments, which everyone may read; else by its working folder, which stays right when the folder moves. */
async function isPostmasterOf(pid: number, cluster: string): Promise<boolean> {
  const folder = await realpath(cluster);
  const command =
    (await readFile(`/proc/${String(pid)}/cmdline`, 'utf8').catch(() => null)) ??
    (await run('ps', ['-ww', '-o', 'command=', '-p', String(pid)]).then(
      ({ stdout }) => stdout,
      () => '',
    ));
  if (!command.includes('postgres')) return false;
  if (command.includes(cluster) || command.includes(folder)) return true;
  return (await readlink(`/proc/${String(pid)}/cwd`).catch(() => '')) === folder;
}

/** @throws WeftError UNAVAILABLE if one does not end */
async function endProcessesOf(cluster: string): Promise<void> {
  // SIGQUIT is the immediate shutdown: the next start recovers from the log.
  for (const name of ['SIGQUIT', 'SIGKILL'] as const) {
    const pids = await processesOf(cluster);
    if (pids.length === 0) return;
    for (const pid of pids) signal(pid, name);
    await waitUntil(async () => (await processesOf(cluster)).length === 0, END_TIMEOUT_MS);
  }
  const [pid] = await processesOf(cluster);
  if (pid === undefined) return;
  throw new WeftError('UNAVAILABLE', `PostgreSQL (process ${String(pid)}) does not stop`, {
    where: cluster,
    hint: 'Stop it by hand.',
  });
}

/**
 * Processes of PostgreSQL that work on this folder: on Linux all, by their working folder, elsewhere the postmaster, by
 * its arguments.
 */
async function processesOf(cluster: string): Promise<number[]> {
  const folder = await realpath(cluster).catch(() => null);
  if (folder === null) return [];
  if (process.platform !== 'linux') {
    const { stdout } = await run('ps', ['-axww', '-o', 'pid=,command=']).catch(() => ({ stdout: '' }));
    const lines = stdout.split('\n').filter((line) => /\bpostgres\b/.test(line) && line.includes(` -D ${cluster} `));
    return lines.map((line) => Number.parseInt(line, 10));
  }
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(names.map((name) => worksOn(name, folder)));
  return names.filter((_, index) => found[index]).map(Number);
}

async function worksOn(pid: string, folder: string): Promise<boolean> {
  if ((await readlink(`/proc/${pid}/cwd`).catch(() => '')) !== folder) return false;
  return (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim() === 'postgres';
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended by itself; whether it did is what the caller waits for.
  }
}

async function waitUntil(holds: () => boolean | Promise<boolean>, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > deadline) return false;
    await delay(POLL_MS);
  }
  return true;
}

/** A port that nobody listens on right now, given by the system. */
async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address !== null && typeof address === 'object') resolve(address.port);
        else reject(new WeftError('UNAVAILABLE', 'no free port on 127.0.0.1'));
      });
    });
  });
}

async function trimLog(path: string): Promise<void> {
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  );
  if (size > MAX_LOG_BYTES) await rm(path, { force: true });
}

async function readFrom(path: string, offset: number): Promise<string> {
  const text = await readFile(path);
  return text.subarray(Math.max(offset, text.length - LOG_TAIL_BYTES)).toString('utf8');
}
