import { mkdtemp, readdir, rm, statfs } from 'node:fs/promises';
import { availableMemory } from 'node:process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedPostgres } from '../../src/platform/embedded-postgres.js';

/** Linux keeps this folder in memory. */
const IN_MEMORY = '/dev/shm';
/** What the databases of a run come to at once is a tenth of this. */
const NEEDED_BYTES = 4_000_000_000;
const NAME = /^weft-test-(\d+)-/;

/**
 * A folder for the servers of a run: in memory where there is plenty of it, else among the temporary files.
 * A test's database is some 700 files that live for seconds, and to make and remove files is what costs on a disk.
 */
export async function makeServerFolder(): Promise<string> {
  await removeAbandoned();
  const inMemory = (await freeBytes(IN_MEMORY)) >= NEEDED_BYTES && availableMemory() >= NEEDED_BYTES;
  return mkdtemp(join(inMemory ? IN_MEMORY : tmpdir(), `weft-test-${String(process.pid)}-`));
}

/** What a run that was killed has left in memory would stay there until the machine is restarted, with its server. */
async function removeAbandoned(): Promise<void> {
  for (const name of await readdir(IN_MEMORY).catch(() => [])) {
    const pid = Number(NAME.exec(name)?.[1]);
    if (Number.isNaN(pid) || isRunning(pid)) continue;
    const folder = join(IN_MEMORY, name);
    try {
      await (await EmbeddedPostgres.start({ dataDir: folder })).stop();
      await rm(folder, { recursive: true, force: true });
    } catch (error) {
      process.stdout.write(`${folder}, of a run that was killed, is still there: ${String(error)}\n`);
    }
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

async function freeBytes(folder: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch {
    return 0;
  }
}
