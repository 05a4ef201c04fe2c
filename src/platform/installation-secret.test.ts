import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NO_SECRET, RootSecret, secretOfFolder } from './installation-secret.js';

const secret = new RootSecret(Buffer.from('of this installation'));

describe('the secret of an installation', () => {
  it('derives the same 32 bytes for a purpose, others for another purpose or secret', () => {
    expect(secret.derive('a')).toHaveLength(32);
    expect(secret.derive('a')).toEqual(new RootSecret(Buffer.from('of this installation')).derive('a'));
    expect(secret.derive('a')).not.toEqual(secret.derive('b'));
    expect(secret.derive('a')).not.toEqual(new RootSecret(Buffer.from('of another')).derive('a'));
  });

  it('opens what it sealed, and never seals the same twice', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const plain = Buffer.from(bytes);
        const sealed = secret.seal('webhook', plain);
        expect(secret.open('webhook', sealed)).toEqual(plain);
        expect(secret.seal('webhook', plain)).not.toEqual(sealed);
      }),
    );
  });

  it('opens nothing that was changed, cut, or sealed for another purpose or by another secret', () => {
    const sealed = secret.seal('webhook', Buffer.from('a secret of a network'));
    fc.assert(
      fc.property(fc.nat({ max: sealed.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, bits) => {
        const changed = Buffer.from(sealed);
        changed[at] = (changed[at] ?? 0) ^ bits;
        expect(secret.open('webhook', changed)).toBeNull();
        expect(secret.open('webhook', sealed.subarray(0, at))).toBeNull();
      }),
    );
    expect(secret.open('other', sealed)).toBeNull();
    expect(new RootSecret(Buffer.from('of another')).open('webhook', sealed)).toBeNull();
  });

  it('is asked for by name where there is none', () => {
    expect(() => NO_SECRET.derive('a')).toThrow(
      expect.objectContaining({ code: 'NOT_CONFIGURED', where: 'WEFT_SECRET' }),
    );
  });
});

describe('the secret of a data folder', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'weft-secret-'));
  });

  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  it('is made once, for its owner alone, also where several come at once and the folder is missing', async () => {
    const dataDir = join(folder, 'data');
    const found = await Promise.all(Array.from({ length: 10 }, () => secretOfFolder(dataDir)));
    expect(new Set(found.map(String)).size).toBe(1);
    expect(found[0]?.length).toBeGreaterThanOrEqual(32);
    expect((await stat(join(dataDir, 'secret'))).mode & 0o777).toBe(0o600);
    expect(await secretOfFolder(dataDir)).toEqual(found[0]);
  });

  it('is what somebody put there', async () => {
    await writeFile(join(folder, 'secret'), 'kept elsewhere before\n');
    expect((await secretOfFolder(folder)).toString()).toBe('kept elsewhere before');
    expect(await readFile(join(folder, 'secret'), 'utf8')).toBe('kept elsewhere before\n');
  });

  it('is asked for where its file is empty or cannot be read', async () => {
    await writeFile(join(folder, 'secret'), '\n');
    await expect(secretOfFolder(folder)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('is empty') as string,
    });
    await rm(join(folder, 'secret'));
    await mkdir(join(folder, 'secret'));
    await expect(secretOfFolder(folder)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('cannot be read') as string,
    });
  });
});
