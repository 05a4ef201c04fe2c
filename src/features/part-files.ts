import { hash, randomBytes } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';

/*
 * What is not whole yet stands beside the file to be:
 *
 *   <file>[.manifest.json].<process>.<machine><random>.part
 *
 * process: its number; machine: 4 hex digits of the hash of its name; random: 8 hex digits. Whoever is killed leaves it,
 * and the next one who writes to the same file takes it away.
 */
const PART = /^(?:manifest\.json\.)?(?:(\d+)\.)?([0-9a-f]{4})[0-9a-f]{8}\.part$/;
/** Of a process that may be on another machine: whoever writes to it now has done so within a day. */
const OLD_PART_MS = 86_400_000;

const machine = (): string => hash('sha256', hostname(), 'hex').slice(0, 4);

/** What the name of a part ends with. */
export function partEnding(): string {
  return `.${String(process.pid)}.${machine()}${randomBytes(4).toString('hex')}.part`;
}

/**
 * Removes what runs that were killed have left of a file and of its manifest: parts of processes of this machine that are
 * not there any more, and any that nobody wrote to for a day.
 * @param path of the file to be
 * @param own a part that was just made: by its time the age of others is told
 */
export async function removeLeftParts(path: string, own: string): Promise<void> {
  const [folder, start] = [dirname(path), `${basename(path)}.`];
  const { mtimeMs: nowMs } = await stat(own);
  for (const name of await readdir(folder)) {
    const part = name.startsWith(start) ? PART.exec(name.slice(start.length)) : null;
    if (part === null) continue;
    const [, pid, where] = part;
    const left = join(folder, name);
    const isDead = pid !== undefined && where === machine() && !isAlive(Number(pid));
    const writtenMs = (await stat(left).catch(() => null))?.mtimeMs ?? nowMs;
    if (isDead || nowMs - writtenMs >= OLD_PART_MS) await rm(left, { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It is somebody else's.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
