import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from './file-lock.js';
import { isRunning, ownIdentity } from './process-identity.js';

/**
 * Who uses something: a folder with one file for each use, which names the process. A use counts for as long as its
 * process runs; files of processes that are gone, or that name none, are removed when they are met.
 *
 * To be used under a lock: between a count and what follows from it, nobody may enter.
 */
export class ProcessRegister {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Notes a use by this process; the name is to be given to `leave`. */
  async enter(): Promise<string> {
    const name = `${String(process.pid)}.${randomBytes(4).toString('hex')}`;
    await mkdir(this.#folder, { recursive: true, mode: 0o755 });
    await writeFile(join(this.#folder, name), `${await ownIdentity()}\n`);
    return name;
  }

  async leave(name: string): Promise<void> {
    await rm(join(this.#folder, name), { force: true });
  }

  /** Uses that count, but for the one named. */
  async others(name: string | null): Promise<number> {
    const names = await readdir(this.#folder).catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return [];
      throw error;
    });
    const counted = await Promise.all(names.filter((other) => other !== name).map((other) => this.#counts(other)));
    return counted.filter(Boolean).length;
  }

  async #counts(name: string): Promise<boolean> {
    const identity = await readFile(join(this.#folder, name), 'utf8').catch(() => '');
    if (await isRunning(identity)) return true;
    await this.leave(name);
    return false;
  }
}
