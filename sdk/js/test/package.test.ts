import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { runInNewContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildSdk } from '../../../scripts/build-sdk.js';
import { EDGE_PROFILE_DOCUMENT } from '../../../src/api/graphql/edge-documents.js';
import { EDGE_DOCUMENT_ID } from '../src/edge-client.js';
import { VERSION } from '../src/version.js';

/* The package as it would be published: built, packed, unpacked into a project, used there. */

const PACKAGE = resolve(import.meta.dirname, '..');
const TYPESCRIPT = resolve(PACKAGE, '../../node_modules/typescript/bin/tsc');
const MAX_GZIPPED_BYTES = 6_000;
/** The compiler and npm, on a busy machine. */
const SLOW_MS = 180_000;

const run = promisify(execFile);

let folder: string;
let project: string;
let packed: string[];

interface Manifest {
  readonly version: string;
  readonly dependencies?: unknown;
}

const manifest = async (): Promise<Manifest> =>
  JSON.parse(await readFile(join(PACKAGE, 'package.json'), 'utf8')) as Manifest;
const built = (name: string): Promise<Buffer> => readFile(join(project, 'node_modules/@weft/js/dist', name));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-js-'));
  const source = join(folder, 'source');
  await mkdir(source);
  for (const name of ['package.json', 'README.md', 'CHANGELOG.md', 'LICENSE', 'src', 'test']) {
    await cp(join(PACKAGE, name), join(source, name), { recursive: true });
  }
  await buildSdk(join(source, 'dist'));
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts'], { cwd: source });
  const [{ filename, files }] = JSON.parse(stdout) as [{ filename: string; files: { path: string }[] }];
  packed = files.map(({ path }) => path);
  project = join(folder, 'project');
  const home = join(project, 'node_modules/@weft/js');
  await mkdir(home, { recursive: true });
  await run('tar', ['-xzf', join(source, filename), '-C', home, '--strip-components=1']);
  await writeFile(join(project, 'package.json'), '{ "type": "module" }');
}, SLOW_MS);

afterAll(() => rm(folder, { recursive: true, force: true }));

describe('the package', () => {
  it('holds what is built, what is to be read, and nothing else', () => {
    const others = packed.filter((path) => !/^dist\/[\w.-]+\.d\.ts$/.test(path)).sort();
    expect(others).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'dist/server.js',
      'dist/weft.iife.js',
      'dist/weft.js',
      'package.json',
    ]);
    expect(packed.filter((path) => path.includes('.test.'))).toEqual([]);
  });

  it('depends on nothing, and says its version in what it sends', async () => {
    const { version, dependencies } = await manifest();
    expect(dependencies).toBeUndefined();
    expect(VERSION).toBe(version);
  });

  it.each(['weft.js', 'weft.iife.js'])('is small: %s has at most 6 kB, compressed', async (name) => {
    expect(gzipSync(await built(name), { level: 9 }).length).toBeLessThanOrEqual(MAX_GZIPPED_BYTES);
  });

  it('asks by the document that every Weft has stored', () => {
    expect(EDGE_DOCUMENT_ID).toBe(`sha256:${createHash('sha256').update(EDGE_PROFILE_DOCUMENT).digest('hex')}`);
  });

  it('makes one global, Weft, of a script tag', async () => {
    const before = { TextEncoder, URLSearchParams, crypto };
    const page: Record<string, unknown> = { ...before };
    runInNewContext(String(await built('weft.iife.js')), page);
    expect(Object.keys(page).filter((name) => !(name in before))).toEqual(['Weft']);
    expect(Object.keys(page['Weft'] as object).sort()).toEqual(['choose', 'createWeft']);
  });

  it('can be imported in Node, where making a client does nothing yet', async () => {
    const program = `
      import { choose, createWeft } from '@weft/js';
      import { createWeftServer, dehydrate, signIdentifier } from '@weft/js/server';
      const weft = createWeft({ url: 'http://127.0.0.1:1', writeKey: 'k', edgeKey: 'e' });
      const server = createWeftServer({ url: 'http://127.0.0.1:1' });
      console.log(JSON.stringify([
        weft.current.segments, await server.segments({ identifier: { namespace: 'a', value: 'b' } }),
        choose(['x'], { x: 1 }, 2), typeof dehydrate, typeof signIdentifier,
      ]));`;
    await writeFile(join(project, 'program.js'), program);
    const { stdout, stderr } = await run(process.execPath, ['program.js'], { cwd: project });
    expect([JSON.parse(stdout), stderr]).toEqual([[[], [], 1, 'function', 'function'], '']);
  });

  it.each(['nodenext', 'bundler'])(
    'has types that a project with %s resolution and strict checks takes',
    async (kind) => {
      const program = `
      import { createWeft, type Profile, type Weft } from '@weft/js';
      import { createWeftServer } from '@weft/js/server';
      interface Traits { plan: string }
      const traits: Traits = { plan: 'pro' };
      const weft: Weft = createWeft({ url: 'u', consent: 'pending' });
      weft.identify('ann', traits);
      const end: () => void = weft.onSegmentChange(({ entered }) => entered.includes('vip'));
      export const profile: Promise<Profile> = createWeftServer({ url: 'u' }).profile({ identifier: { namespace: 'a', value: 'b' } });
      end();
      // @ts-expect-error: there is no such consent
      weft.setConsent('maybe');`;
      await writeFile(join(project, 'program.ts'), program);
      const module = kind === 'bundler' ? 'esnext' : kind;
      const options = ['--strict', '--noEmit', '--target', 'es2022', '--lib', 'es2022,dom'];
      const args = [...options, '--module', module, '--moduleResolution', kind, 'program.ts'];
      const { stdout } = await run(process.execPath, [TYPESCRIPT, ...args], { cwd: project }).catch(
        (error: unknown) => error as { stdout: string },
      );
      expect(stdout).toBe('');
    },
    SLOW_MS,
  );
});
