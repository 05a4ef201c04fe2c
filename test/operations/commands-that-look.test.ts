import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EmbeddedPostgres } from '../../src/platform/embedded-postgres.js';
import { compiledWeft } from '../support/compiled-program.js';

describe('a command that only looks', () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'weft-look-'));
  });
  afterAll(async () => {
    await rm(folder, { recursive: true });
  });

  it.each([
    ['segment', 'list'],
    ['dead-letters', 'count'],
  ])('makes no database where there is none: weft %s %s', (...args) => {
    const dataDir = join(folder, 'mistyped');
    const { status, stderr } = spawnSync(process.execPath, [compiledWeft(), ...args], {
      env: { ...process.env, WEFT_DATA_DIR: dataDir, WEFT_DATABASE_URL: '' },
      encoding: 'utf8',
    });
    expect(stderr).toContain(`there is no database in ${dataDir}`);
    expect(status).toBe(2);
    expect(existsSync(dataDir)).toBe(false);
  });

  it.each([
    ['segment', 'list'],
    ['keys', 'create', '--scope', 'read', '--name', 'site'],
    ['apply', 'a.yaml', '--dry-run'],
  ])('or writes makes none where a relative folder is another one here: weft %s %s', async (...args) => {
    const cwd = await mkdtemp(join(folder, 'elsewhere-'));
    await writeFile(join(cwd, 'a.yaml'), 'segments: []\n');
    const { status, stderr } = spawnSync(process.execPath, [compiledWeft(), ...args], {
      cwd,
      env: { ...process.env, WEFT_DATA_DIR: '.weft/demo', WEFT_DATABASE_URL: '' },
      encoding: 'utf8',
    });
    expect(stderr).toContain('WEFT_DATA_DIR=.weft/demo');
    expect(stderr).toContain('absolute path');
    expect(status).toBe(2);
    expect(existsSync(join(cwd, '.weft'))).toBe(false);
  });

  it('or makes keys does not take a new database for that of the demo', async () => {
    const dataDir = join(folder, 'data');
    const demo = await EmbeddedPostgres.start({ dataDir: join(dataDir, 'demo') });
    await demo.stop();
    const { status, stderr } = spawnSync(
      process.execPath,
      [compiledWeft(), 'keys', 'create', '--scope', 'read', '--name', 'site'],
      { env: { ...process.env, WEFT_DATA_DIR: dataDir, WEFT_DATABASE_URL: '' }, encoding: 'utf8' },
    );
    expect(stderr).toContain(`export WEFT_DATA_DIR=${join(dataDir, 'demo')}`);
    expect(status).toBe(2);
    expect(existsSync(join(dataDir, 'postgres'))).toBe(false);
  });
});
