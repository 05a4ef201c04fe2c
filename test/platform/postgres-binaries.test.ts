import { chmod, mkdir, mkdtemp, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { usableBinaries } from '../../src/platform/postgres-binaries.js';

let folder: string;
let native: string;

/** The layout of a package as npm unpacks it: libraries under their full names only. */
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-binaries-'));
  native = join(folder, 'package', 'native');
  for (const part of ['bin', 'lib']) await mkdir(join(native, part), { recursive: true });
  for (const file of ['bin/initdb', 'bin/postgres', 'lib/libpq.so.5.18']) await writeFile(join(native, file), '');
  const links = ['libpq.so', 'libpq.so.5'].map((name) => ({
    source: 'native/lib/libpq.so.5.18',
    target: `native/lib/${name}`,
  }));
  await writeFile(join(native, 'pg-symlinks.json'), JSON.stringify(links));
});

afterEach(async () => {
  await chmod(join(native, 'lib'), 0o755);
  await rm(folder, { recursive: true, force: true });
});

describe('the programs of the embedded PostgreSQL', () => {
  it('find their libraries though no install script ran', async () => {
    await symlink('elsewhere', join(native, 'lib', 'libpq.so'));
    const { postgres } = await usableBinaries(native, null, folder);
    expect(postgres).toBe(join(native, 'bin', 'postgres'));
    expect(await readlink(join(native, 'lib', 'libpq.so.5'))).toBe('libpq.so.5.18');
    expect(await readlink(join(native, 'lib', 'libpq.so'))).toBe('elsewhere');
  });

  it('are copied to the data folder where the package may not be changed', async () => {
    // Root may write anywhere.
    if (process.getuid?.() === 0) return;
    await chmod(join(native, 'lib'), 0o555);
    const { initdb, postgres } = await usableBinaries(native, null, folder);
    const copy = join(folder, 'programs');
    expect(initdb.startsWith(copy)).toBe(true);
    expect(await readlink(join(postgres, '..', '..', 'lib', 'libpq.so.5'))).toBe('libpq.so.5.18');
    expect((await usableBinaries(native, null, folder)).initdb).toBe(initdb);
  });
});
