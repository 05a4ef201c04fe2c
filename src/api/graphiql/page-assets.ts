import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';

/*
 * GraphiQL (https://github.com/graphql/graphiql, MIT) and React (MIT) as their packages bring them, ready for a browser. They
 * are needed for building only: `npm run build` copies these files, and nothing else of those packages, beside this one.
 */

export const PAGE_FOLDER = dirname(fileURLToPath(import.meta.url));

/** What the page loads, in its own words, and where a package has it. Without a package: it lies beside this file. */
export const PAGE_FILES: Readonly<Record<string, readonly [packageName: string, path: string] | null>> = {
  'react.js': ['react', 'umd/react.production.min.js'],
  'react-dom.js': ['react-dom', 'umd/react-dom.production.min.js'],
  'graphiql.js': ['graphiql', 'graphiql.min.js'],
  'graphiql.css': ['graphiql', 'graphiql.min.css'],
  'page.js': null,
  'page.css': null,
};

export const PAGE_TYPES: Readonly<Record<string, string>> = {
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
};

export type Encoding = 'br' | 'gzip' | 'identity';

/** A file as it is sent, compressed once in each way. */
export interface PageAsset {
  readonly name: string;
  /** Of the content: an address with it never changes what it means. */
  readonly hash: string;
  readonly bodies: Readonly<Record<Encoding, Buffer>>;
}

export interface Page {
  readonly html: string;
  readonly assets: ReadonlyMap<string, PageAsset>;
}

/** The file in the build, else in its package. @throws Error where neither is there */
export function pageFilePath(name: string): string {
  const beside = join(PAGE_FOLDER, name);
  const place = PAGE_FILES[name];
  if (place == null || existsSync(beside)) return beside;
  const [packageName, path] = place;
  return join(dirname(createRequire(import.meta.url).resolve(`${packageName}/package.json`)), path);
}

/**
 * Reads and compresses all there is; about half a second of other threads' work, so not before somebody asks.
 * @param addressOf where an asset will be found
 */
export async function loadPage(addressOf: (asset: PageAsset) => string): Promise<Page> {
  const assets = await Promise.all(Object.keys(PAGE_FILES).map(loadAsset));
  const template = await readFile(join(PAGE_FOLDER, 'page.html'), 'utf8');
  const html = assets.reduce((text, asset) => text.replaceAll(`{{${asset.name}}}`, addressOf(asset)), template);
  return { html, assets: new Map(assets.map((asset) => [asset.name, asset])) };
}

async function loadAsset(name: string): Promise<PageAsset> {
  // The package's source maps stay where they are.
  const text = (await readFile(pageFilePath(name), 'utf8')).replace(/\n\/\/# sourceMappingURL=\S+\s*$/, '\n');
  const identity = Buffer.from(text);
  const [br, gz] = await Promise.all([
    promisify(brotliCompress)(identity, { params: { [constants.BROTLI_PARAM_QUALITY]: 8 } }),
    promisify(gzip)(identity, { level: 9 }),
  ]);
  const hash = createHash('sha256').update(identity).digest('base64url').slice(0, 16);
  return { name, hash, bodies: { br, gzip: gz, identity } };
}
