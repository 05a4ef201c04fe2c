import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { expandFiles, mayBeSeveral } from './expand-files.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-files-'));
  await mkdir(join(folder, 'in', 'deep', 'deeper'), { recursive: true });
  const names = ['b.csv', 'a.csv', 'a.csv.gz', '.hidden.csv', 'wh[a]t*.csv', 'deep/c.csv', 'deep/deeper/d.csv'];
  for (const name of names) await writeFile(join(folder, 'in', name), '');
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

async function expanded(...patterns: readonly string[]): Promise<string[]> {
  const files = await expandFiles(patterns.map((pattern) => join(folder, pattern)));
  return files.map((file) => file.slice(folder.length + 1));
}

describe('the files that a command names', () => {
  it('are those that fit a pattern, in the order of their names', async () => {
    expect(await expanded('in/*.csv')).toEqual(['in/a.csv', 'in/b.csv', 'in/wh[a]t*.csv']);
    expect(await expanded('in/?.csv*')).toEqual(['in/a.csv', 'in/a.csv.gz', 'in/b.csv']);
    expect(await expanded('*/d*p/*')).toEqual(['in/deep/c.csv']);
    expect(await expanded('in/**/?.csv')).toEqual(['in/a.csv', 'in/b.csv', 'in/deep/c.csv', 'in/deep/deeper/d.csv']);
    expect(await expanded('in/deep/**')).toEqual(['in/deep/c.csv', 'in/deep/deeper/d.csv']);
  });

  it('are each loaded once, arguments in their order', async () => {
    expect(await expanded('in/b.csv', 'in/?.csv')).toEqual(['in/b.csv', 'in/a.csv']);
  });

  it('may have names that look like patterns, or may not be there', async () => {
    expect(await expanded('in/wh[a]t*.csv')).toEqual(['in/wh[a]t*.csv']);
    expect(await expanded('in/none.csv')).toEqual(['in/none.csv']);
    await expect(expanded('in/*.tsv')).rejects.toThrow('no file fits the pattern');
    expect(mayBeSeveral(['-'])).toBe(false);
    expect(mayBeSeveral(['in/*.csv'])).toBe(true);
  });
});
