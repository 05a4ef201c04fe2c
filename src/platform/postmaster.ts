import { execFile, spawn } from 'node:child_process';
import { open, readFile, readlink, realpath, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { WeftError } from './errors.js';
import { isAlive } from './file-lock.js';
import type { ServerUser } from './postgres-binaries.js';

const run = promisify(execFile);

const POLL_MS = 10;
/** Long enough for crash recovery of a full `max_wal_size`. */
const START_TIMEOUT_MS = 120_000;
const FAST_STOP_TIMEOUT_MS = 30_000;
const IMMEDIATE_STOP_TIMEOUT_MS = 10_000;
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
}

type PidFile = Postmaster & { readonly status: string };

/**
 * The live postmaster of this folder, once it accepts connections; null if there is none. One that is stopping is
 * waited for. A pid file that points at nothing, or at a process that is something else by now, is removed.
 */
export async function findPostmaster(cluster: string): Promise<Postmaster | null> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    const found = await readPidFile(cluster);
    if (found === null) return null;
    if (!isAlive(found.pid) || !(await isPostmasterOf(found.pid, cluster))) {
      await rm(join(cluster, 'postmaster.pid'), { force: true });
      return null;
    }
    if (found.status === 'ready') return found;
    if (performance.now() > deadline) {
      throw new WeftError('UNAVAILABLE', `PostgreSQL (process ${String(found.pid)}) is stuck in "${found.status}"`, {
        where: cluster,
        hint: 'Stop that process and start again.',
      });
    }
    await delay(POLL_MS);
  }
}

/** Starts the server on a free port and waits until it accepts connections. It outlives this process. */
export async function launchPostmaster(options: LaunchOptions): Promise<Postmaster> {
  const deadline = performance.now() + RELAUNCH_TIMEOUT_MS;
  for (;;) {
    const port = await freePort();
    const failure = await tryLaunch(options, port);
    if (failure === null) {
      const found = await findPostmaster(options.cluster);
      if (found !== null) return found;
    }
    const reason = failure ?? 'the server ended';
    // Another program took the port; or a killed server's last children still hold its memory, for an instant.
    const passes = /could not bind|could not create any TCP|pre-existing shared memory|is still in use/i.test(reason);
    if (!passes || performance.now() > deadline) throw startError(reason, options.cluster);
    await delay(RELAUNCH_PAUSE_MS);
  }
}

/** Fast shutdown; after 30 s an immediate one, which loses nothing either: the next start recovers from the log. */
export async function stopPostmaster(pid: number): Promise<void> {
  const ended = (ms: number): Promise<boolean> => waitUntil(() => !isAlive(pid), ms);
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
 * 8 status. Null if it is absent or not yet written to its end.
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
