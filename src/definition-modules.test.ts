import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseDefinitionFiles, readDefinitionFiles } from './definition-files.js';
import { readDefinitionModule } from './definition-modules.js';
import { defineFeatures } from './features/define-features.js';

const DOCUMENT = defineFeatures({
  views: [{ name: 'web', owner: 'growth', features: [{ name: 'views', aggregate: 'count', events: ['view'] }] }],
  services: [{ name: 'intent', features: ['views'] }],
});

let folder: string;
const at = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-modules-'));
  await writeFile(at('web.weft.mjs'), `export default ${JSON.stringify(DOCUMENT)};\n`);
  await writeFile(at('build.mjs'), 'throw new Error("was run");\n');
  await writeFile(at('empty.weft.mjs.txt'), '');
  await writeFile(at('none.mjs'), 'export const views = [];\n');
});
afterAll(() => rm(folder, { recursive: true }));

describe('modules of definitions', () => {
  it('are files like those of YAML, and others in the folder are not run', async () => {
    for (const path of [folder, at('web.weft.mjs')]) {
      const { files } = await readDefinitionFiles([path]);
      const { features } = parseDefinitionFiles(files, []);
      expect(features?.views[0]).toMatchObject({ name: 'web', owner: 'growth', features: [{ name: 'views' }] });
      expect(features?.services).toMatchObject([{ name: 'intent', features: ['views'] }]);
    }
  });

  it('say what is wrong with them', async () => {
    await expect(readDefinitionFiles([at('build.mjs')])).rejects.toMatchObject({
      code: 'DEFINITION_INVALID',
      message: 'the module fails: was run',
    });
    await expect(readDefinitionFiles([at('none.mjs')])).rejects.toMatchObject({
      message: 'the module exports no definitions by default',
      hint: 'write export default { views: […], services: […] }',
    });
  });

  it.each([
    ['refers to itself', 'const views = []; views.push(views); export default { views };', 'circular structure'],
    ['has what JSON has not', 'export default { views: [1n] };', 'BigInt'],
    ['has a field that throws', 'export default { get views() { throw new Error("boom"); } };', 'fails: boom'],
    ['throws what is no error', 'throw null;', 'fails: null'],
    [
      'leaves a promise that fails',
      'setImmediate(() => { throw new Error("late"); }); await 0; await new Promise(() => {});',
      'late',
    ],
    ['waits for nothing', 'await new Promise(() => {}); export default { views: [] };', 'ended before it exported'],
    ['ends the process', 'process.exit(0);', 'ended before it exported'],
    ['has no JSON', 'export default { toJSON() {} };', 'exports no definitions'],
  ])('fail with what is wrong where one %s', async (_what, code, message) => {
    await writeFile(at('wrong.mjs'), code);
    await expect(readDefinitionModule(at('wrong.mjs'))).rejects.toMatchObject({
      code: 'DEFINITION_INVALID',
      message: expect.stringContaining(message) as string,
      where: at('wrong.mjs'),
    });
  });

  it('are ended where they do not end', async () => {
    await writeFile(at('endless.mjs'), 'for (;;);');
    await expect(readDefinitionModule(at('endless.mjs'), 100)).rejects.toMatchObject({
      message: 'the module fails: it was not done within 0.1 s',
    });
  });
});

describe('files of definitions', () => {
  it('that are not UTF-8, or too long, are refused before they are parsed', async () => {
    await writeFile(at('latin.yaml'), Buffer.from('views: [] # gr\u00f6\u00dfer', 'latin1'));
    await expect(readDefinitionFiles([at('latin.yaml')])).rejects.toMatchObject({ message: 'the file is no UTF-8' });
    await writeFile(at('long.yaml'), `views: [] # ${'x'.repeat(4_000_000)}`);
    await expect(readDefinitionFiles([at('long.yaml')])).rejects.toMatchObject({
      message: 'long.yaml has more than 4000000 characters',
    });
  });
});
