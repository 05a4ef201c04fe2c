/** The last step of `npm run build`: lays what the page at /graphql loads beside the built program. */
import { copyFile, mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { PAGE_FILES, PAGE_FOLDER, pageFilePath } from '../src/api/graphiql/page-assets.js';

const target = join(import.meta.dirname, '../dist/src/api/graphiql');
await mkdir(target, { recursive: true });
await copyFile(join(PAGE_FOLDER, 'page.html'), join(target, 'page.html'));
for (const name of Object.keys(PAGE_FILES)) await copyFile(pageFilePath(name), join(target, name));
// Their licence wants to be passed on with them.
for (const packageName of ['graphiql', 'react']) {
  const folder = dirname(createRequire(import.meta.url).resolve(`${packageName}/package.json`));
  await copyFile(join(folder, 'LICENSE'), join(target, `${packageName}.LICENSE`));
}
