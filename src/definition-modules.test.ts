import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseDefinitionFiles, readDefinitionFiles } from './definition-files.js';
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
});
