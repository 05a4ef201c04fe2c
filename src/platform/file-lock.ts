import { randomBytes } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { WeftError } from './errors.js';
import { isRunning, ownIdentity } from './process-identity.js';

const POLL_MS = 50;
/** Paths that a caller in this process holds, or is just trying to get. */
const busyHere = new Set<string>();

/**
 * Runs `work` while this process alone holds the file `path`. The file names the process; one left by a process that is
 * gone is taken over, and so is one that names none: the name is in the file before the file is in its place, so that
 * nothing but a crash of the machine can have emptied it.
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
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
    busyHere.delete(path);
  }
}

/** One caller of this process at a time gets as far as the file: to the others a name like theirs would look left over. */
async function acquire(path: string): Promise<boolean> {
  if (busyHere.has(path)) return false;
  busyHere.add(path);
  let isHeld = false;
  try {
    isHeld = await take(path);
    return isHeld;
  } finally {
    if (!isHeld) busyHere.delete(path);
  }
}

async function take(path: string): Promise<boolean> {
  const made = beside(path);
  try {
    await writeFile(made, `${await ownIdentity()}\n`);
    await link(made, path);
    return true;
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  } finally {
    await rm(made, { force: true });
  }
  const holder = await readFile(path, 'utf8').catch(() => null);
  // Ids repeat after a container restarts. What names ours is left over: nobody else of this process gets here.
  const isOver = holder !== null && (Number.parseInt(holder, 10) === process.pid || !(await isRunning(holder)));
  if (isOver) await discard(path, holder);
  return false;
}

/** Removes the file of a dead holder, but not the one that somebody else may have put in its place meanwhile. */
async function discard(path: string, deadHolder: string): Promise<void> {
  const aside = beside(path);
  try {
    await rename(path, aside);
  } catch {
    return;
  }
  if ((await readFile(aside, 'utf8').catch(() => '')) !== deadHolder) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}

function beside(path: string): string {
  return `${path}.${String(process.pid)}.${randomBytes(4).toString('hex')}`;
}

/** `ENOENT` and the like; an empty string if the value carries none. */
export function errnoOf(error: unknown): string {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : '';
}
