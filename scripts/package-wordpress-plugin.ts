/**
 * Makes the WordPress plugin as it is uploaded: a zip of `integrations/wordpress/weft` with the scripts for browsers, which
 * are built of the JavaScript client as it is now. Run: `npm run package:wordpress`.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { zip, type ZipEntry } from './zip.js';

const FOLDER = new URL('../integrations/wordpress/', import.meta.url).pathname;
const PLUGIN = join(FOLDER, 'weft');
const SCRIPTS = ['early', 'site'] as const;

/** Of the browsers of the last three years. */
const TARGET = 'es2022';

/** The whole plugin as a zip whose only folder is `weft`. */
export async function packagePlugin(): Promise<Buffer> {
  const entries = [...(await filesOf(PLUGIN)), ...(await browserScripts())];
  return zip(entries.map(({ name, content }) => ({ name: `weft/${name}`, content })));
}

/** The scripts for browsers, as they belong into the plugin. */
async function browserScripts(): Promise<ZipEntry[]> {
  const { outputFiles } = await build({
    absWorkingDir: join(FOLDER, 'browser'),
    entryPoints: SCRIPTS.map((name) => `${name}.ts`),
    outdir: join(PLUGIN, 'assets'),
    bundle: true,
    minify: true,
    format: 'iife',
    target: [TARGET],
    legalComments: 'none',
    logLevel: 'warning',
    write: false,
  });
  return outputFiles.map(({ path, contents }) => ({
    name: path.slice(PLUGIN.length + 1),
    content: Buffer.from(contents),
  }));
}

/** What is committed; a built script that somebody left there is not part of it. */
async function filesOf(folder: string): Promise<ZipEntry[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  const names = found
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .filter((name) => !name.startsWith('assets/') && !name.split('/').some((part) => part.startsWith('.')))
    .sort();
  return Promise.all(names.map(async (name) => ({ name, content: await readFile(join(folder, name)) })));
}

/** As the plugin says itself. */
async function pluginVersion(): Promise<string> {
  const header = await readFile(join(PLUGIN, 'weft.php'), 'utf8');
  return /^ \* Version:\s+(\S+)$/m.exec(header)?.[1] ?? '0';
}

async function main(): Promise<void> {
  // For whoever runs WordPress on the clone itself.
  await mkdir(join(PLUGIN, 'assets'), { recursive: true });
  for (const { name, content } of await browserScripts()) await writeFile(join(PLUGIN, name), content);
  await mkdir(join(FOLDER, 'dist'), { recursive: true });
  const target = join(FOLDER, 'dist', `weft-${await pluginVersion()}.zip`);
  await writeFile(target, await packagePlugin());
  process.stdout.write(`${target}\n`);
}

if (process.argv[1] === import.meta.filename) await main();
