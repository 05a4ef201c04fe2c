import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

/*
 * A process as files name it: its id, and a mark of when it started. An id alone repeats, most of all where a container
 * or a machine starts again and everything gets the number that it had.
 *
 *   <pid> <mark>        4711 5f0c8a1e-1234567      Linux: boot and clock tick; elsewhere the time that `ps` gives
 *   <pid>               4711                       no mark could be had: the id alone counts
 */

const run = promisify(execFile);

/** The mark of a process of which nothing more can be known than that it is there. */
const UNKNOWN = '';

let own: Promise<string> | undefined;

/** One line for a file, without a line break. */
export function ownIdentity(): Promise<string> {
  own ??= identityOf(process.pid).then((identity) => identity ?? String(process.pid));
  return own;
}

/** Null if there is no such process. */
export async function identityOf(pid: number): Promise<string | null> {
  if (!isAlive(pid)) return null;
  const mark = await markOf(pid);
  if (mark === null) return null;
  return mark === UNKNOWN ? String(pid) : `${String(pid)} ${mark}`;
}

/** Whether the process that a file names still runs; false for a text that names none. */
export async function isRunning(identity: string): Promise<boolean> {
  const [, digits, mark = UNKNOWN] = /^(\d{1,10})(?: (\S+))?\s*$/.exec(identity) ?? [];
  if (digits === undefined) return false;
  const pid = Number(digits);
  if (pid === 0 || !isAlive(pid)) return false;
  const found = await markOf(pid);
  return found !== null && (mark === UNKNOWN || found === UNKNOWN || found === mark);
}

/** True while a process with this id exists, whoever owns it; also for one that ended and was not waited for. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** Null for a process that has ended. */
async function markOf(pid: number): Promise<string | null> {
  if (process.platform === 'linux') return linuxMark(pid);
  const { stdout } = await run('ps', ['-o', 'stat=,lstart=', '-p', String(pid)]).catch(() => ({ stdout: '' }));
  const [state = '', ...started] = stdout.trim().split(/\s+/);
  return state.startsWith('Z') ? null : started.join('-');
}

/** proc_pid_stat(5): after the name in parentheses come the state (field 3) … the start in clock ticks (field 22). */
async function linuxMark(pid: number): Promise<string | null> {
  const text = await readFile(`/proc/${String(pid)}/stat`, 'utf8').catch(() => null);
  // Hidden from us, or just gone: it is for the caller's next look to tell.
  if (text === null) return UNKNOWN;
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // An orphan that ended stays a zombie where the first process of a container waits for no children.
  if (fields[0] === 'Z' || fields[0] === 'X') return null;
  return `${await bootMark()}-${fields[19] ?? ''}`;
}

let boot: Promise<string> | undefined;

function bootMark(): Promise<string> {
  boot ??= readFile('/proc/sys/kernel/random/boot_id', 'utf8').then(
    (id) => id.trim().slice(0, 8),
    () => '',
  );
  return boot;
}
