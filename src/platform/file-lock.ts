import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { WeftError } from './errors.js';

const POLL_MS = 50;
const heldHere = new Set<string>();

/**
 * Runs `work` while this process alone holds the file `path`. The file holds the process id; one left by a process
 * that is gone is taken over.
 * @throws WeftError CONFLICT when another live process holds it for longer than `waitMs`
 */
export async function withFileLock<T>(path: string, waitMs: number, work: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + waitMs;
  while (!(await acquire(path))) {
    if (performance.now() > deadline) {
      throw new WeftError('CONFLICT', `another process has held a lock for ${String(waitMs)} ms`, {
        where: path,
        hint: 'Wait for the other weft process, or delete the file if there is none.',
      });
    }
    await delay(POLL_MS);
  }
  heldHere.add(path);
  try {
    return await work();
  } finally {
    heldHere.delete(path);
    await rm(path, { force: true });
  }
}

async function acquire(path: string): Promise<boolean> {
  try {
    await writeFile(path, `${String(process.pid)}\n`, { flag: 'wx' });
    return true;
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
  const holder = await holderOf(path);
  // No number yet: the holder is between creating and writing the file, or died there; the deadline decides.
  if (holder === null || heldHere.has(path)) return false;
  // Process ids repeat after a container restarts, ours among them.
  if (holder === process.pid || !isAlive(holder)) await discard(path, holder);
  return false;
}

/** Removes the file of a dead holder, but not the one that somebody else may have put in its place meanwhile. */
async function discard(path: string, deadHolder: number): Promise<void> {
  const aside = `${path}.${String(process.pid)}`;
  try {
    await rename(path, aside);
  } catch {
    return;
  }
  if ((await holderOf(aside)) !== deadHolder) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}

async function holderOf(path: string): Promise<number | null> {
  const pid = Number.parseInt(await readFile(path, 'utf8').catch(() => ''), 10);
  return Number.isInteger(pid) ? pid : null;
}

/** True while a process with this id exists, whoever owns it. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) === 'EPERM';
  }
}

/** `ENOENT` and the like; an empty string if the value carries none. */
export function errnoOf(error: unknown): string {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : '';
}
