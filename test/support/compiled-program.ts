import { cp, copyFile, mkdir, readdir, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { inject } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

/**
 * Compiles the program, and what tests start as processes, once for a run: a process that compiles what it loads takes
 * twice the time to start. The folder is where packages are found from.
 * @returns the folder, with `bin/`, `src/`, `migrations/` and `test/` in it
 */
export async function compileProgram(): Promise<string> {
  const folder = join(ROOT, `node_modules/.cache/weft-test-${String(process.pid)}`);
  const program = join(folder, 'dist');
  const entryPoints = [
    ...(await sourcesIn('src')),
    ...(await sourcesIn('migrations')),
    ...(await sourcesIn('test/support')),
    ...(await sourcesIn('test/platform')),
  ].filter((path) => !path.endsWith('.test.ts'));
  await rm(folder, { recursive: true, force: true });
  await build({
    ...{ entryPoints, outdir: program, outbase: ROOT, absWorkingDir: ROOT },
    ...{ format: 'esm', platform: 'node', target: 'node20', logLevel: 'error' },
  });
  await mkdir(join(folder, 'bin'));
  await cp(join(ROOT, 'bin'), join(folder, 'bin'), { recursive: true });
  await copyFile(join(ROOT, 'package.json'), join(folder, 'package.json'));
  await copyFile(join(ROOT, 'src/api/graphiql/page.html'), join(program, 'src/api/graphiql/page.html'));
  return folder;
}

/** The command `weft` of this run, to be started with Node. */
export function compiledWeft(): string {
  return join(inject('programFolder'), 'bin/weft.js');
}

/** @param script URL of a program's source in `test/`; what to start with Node */
export function compiled(script: URL): string {
  const path = relative(ROOT, fileURLToPath(script)).replace(/\.ts$/, '.js');
  return join(inject('programFolder'), 'dist', path);
}

async function sourcesIn(folder: string): Promise<string[]> {
  const entries = await readdir(join(ROOT, folder), { recursive: true });
  return entries
    .filter((entry) => entry.endsWith('.ts') && !entry.endsWith('.d.ts'))
    .map((entry) => join(ROOT, folder, entry));
}
