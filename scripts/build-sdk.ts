/**
 * Builds the JavaScript client: `sdk/js/dist` as it is published. ES modules for bundlers and Node, one file for a script
 * tag, types. Run: `npm run build:sdk`.
 */
import { spawnSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { build, type BuildOptions } from 'esbuild';

const PACKAGE = new URL('../sdk/js/', import.meta.url).pathname;

const SHARED: BuildOptions = {
  absWorkingDir: PACKAGE,
  bundle: true,
  minify: true,
  // Browsers of the last three years, and Node 20.
  target: ['es2022'],
  legalComments: 'none',
  logLevel: 'warning',
};

/**
 * The whole package.
 *
 * @param dist folder, which is emptied
 */
export async function buildSdk(dist = join(PACKAGE, 'dist')): Promise<void> {
  await rm(dist, { recursive: true, force: true });
  await build({ ...SHARED, entryPoints: ['src/weft.ts'], format: 'esm', outfile: join(dist, 'weft.js') });
  await build({
    ...SHARED,
    entryPoints: ['src/server.ts'],
    format: 'esm',
    platform: 'node',
    outfile: join(dist, 'server.js'),
  });
  await build({ ...SHARED, ...SCRIPT_TAG, outfile: join(dist, 'weft.iife.js') });
  const compiler = new URL('../node_modules/typescript/bin/tsc', import.meta.url).pathname;
  const types = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json', '--outDir', dist], {
    cwd: PACKAGE,
    encoding: 'utf8',
  });
  if (types.status !== 0) throw new Error(`the types of the client cannot be made:\n${types.stdout}${types.stderr}`);
}

const SCRIPT_TAG: BuildOptions = { entryPoints: ['src/script-tag.ts'], format: 'iife' };

/** The file for a script tag; the same text from the same sources. */
export async function browserScript(): Promise<string> {
  const { outputFiles } = await build({ ...SHARED, ...SCRIPT_TAG, write: false });
  return outputFiles.map(({ text }) => text).join('');
}

if (process.argv[1] === import.meta.filename) await buildSdk();
