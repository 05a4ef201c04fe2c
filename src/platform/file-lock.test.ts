import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { withFileLock } from './file-lock.js';
import { ownIdentity } from './process-identity.js';

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-lock-'));
  path = join(folder, 'lock');
});

afterEach(() => rm(folder, { recursive: true, force: true }));

it('lets one at a time work, and leaves no file behind', async () => {
  let inside = 0;
  let most = 0;
  const work = async (): Promise<void> => {
    inside += 1;
    most = Math.max(most, inside);
    await turn();
    inside -= 1;
  };
  await Promise.all(Array.from({ length: 5 }, () => withFileLock(path, 10_000, work)));
  expect(most).toBe(1);
  expect(await readdir(folder)).toEqual([]);
});

it('is freed when the work fails', async () => {
  await expect(withFileLock(path, 1_000, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await withFileLock(path, 1_000, () => Promise.resolve('yes'))).toBe('yes');
});

it('takes over the lock of a process that is gone, and of an earlier process with our own id', async () => {
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  for (const holder of [pid, process.pid]) {
    await writeFile(path, `${String(holder)}\n`);
    expect(await withFileLock(path, 5_000, () => Promise.resolve(holder))).toBe(holder);
  }
});

it('takes over a lock file that names nobody, as a power cut may leave it, and one of an earlier process with a live id', async () => {
  const [, mark = ''] = (await ownIdentity()).split(' ');
  for (const text of ['', '\0\0\0\0', 'garbage\n', `${String(process.ppid)} not${mark}\n`]) {
    await writeFile(path, text);
    expect(await withFileLock(path, 5_000, () => Promise.resolve(text))).toBe(text);
  }
});

it('gives up, naming the file, while a live process holds it', async () => {
  await writeFile(path, `${String(process.ppid)}\n`);
  await expect(withFileLock(path, 60, () => Promise.resolve())).rejects.toMatchObject({
    code: 'CONFLICT',
    where: path,
  });
});
