import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readDemoState } from './demo.command.js';

const STATE = { firstStartMs: 1_700_000_000_000, adminKey: 'a', readKey: 'r', writeKey: 'w' };
const { writeKey: _, ...INCOMPLETE } = STATE;
const BROKEN = ['', '{broken', '\0\0\0', 'null', '[]', JSON.stringify(INCOMPLETE), JSON.stringify(STATE).slice(0, -1)];

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-demo-'));
  path = join(folder, 'demo.json');
});

afterEach(() => rm(folder, { recursive: true }));

const unused = (): Promise<boolean> => Promise.resolve(true);
const used = (): Promise<boolean> => Promise.resolve(false);

describe('what the demo noted of its first start', () => {
  it('is read as it was written, and absent before it was', async () => {
    expect(await readDemoState(path, used)).toBeNull();
    await writeFile(path, JSON.stringify(STATE));
    expect(await readDemoState(path, used)).toEqual(STATE);
  });

  it.each(BROKEN)('counts as absent where it is damaged and the database is empty: %j', async (text) => {
    await writeFile(path, text);
    expect(await readDemoState(path, unused)).toBeNull();
  });

  it.each(BROKEN)('is an error that says what to do where it is damaged and there are events: %j', async (text) => {
    await writeFile(path, text);
    await expect(readDemoState(path, used)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      where: path,
      hint: expect.stringContaining('--fresh') as string,
    });
  });
});
