import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readLabels, summariseLabels } from './training-set-labels.js';
import type { LabelRow } from './training-set.model.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-labels-'));
});
afterAll(() => rm(folder, { recursive: true }));

const isoTime = (text: string): number => (text.endsWith('Z') ? Date.parse(text) : NaN);

async function aFile(content: string | Buffer, name = 'labels.csv'): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

async function rowsOf(path: string): Promise<LabelRow[]> {
  const rows: LabelRow[] = [];
  for await (const row of readLabels(path, isoTime)) rows.push(row);
  return rows;
}

describe('a labels file', () => {
  it('gives who, when and everything else as it stands there', async () => {
    const path = await aFile(
      '\ufefflabel,ns,value,time,"a, b"\r\n1,email,Ada@x.org,2026-01-31T12:00:00Z," x"\r\n,user_id,"a""b\n",5,\r\n',
    );
    expect(await rowsOf(path)).toEqual([
      { ns: 'email', value: 'Ada@x.org', timeMs: Date.UTC(2026, 0, 31, 12), cells: ['1', ' x'] },
      { ns: 'user_id', value: 'a"b\n', timeMs: 5, cells: ['', ''] },
    ]);
  });

  it('may be gzipped', async () => {
    const path = await aFile(gzipSync('ns,value,time\nemail,a,1\n'), 'labels.csv.gz');
    expect(await rowsOf(path)).toEqual([{ ns: 'email', value: 'a', timeMs: 1, cells: [] }]);
  });

  it('is read once to tell the number of its rows and the narrowest type of each column', async () => {
    const path = await aFile(
      'ns,value,time,label,rate,paid,group,id,none\n' +
        'a,b,1,0,1,TRUE,x,007,\n' +
        'a,b,1,-12,2.5e-3,false,1,8,\n' +
        'a,b,1,,,,,9,\n',
    );
    expect(await summariseLabels(path, isoTime)).toEqual({
      rows: 3,
      passed: [
        { name: 'label', type: 'int' },
        { name: 'rate', type: 'double' },
        { name: 'paid', type: 'bool' },
        { name: 'group', type: 'string' },
        { name: 'id', type: 'string' },
        { name: 'none', type: 'string' },
      ],
    });
  });

  it.each([
    ['an empty file', '', 'labels.csv:1', 'empty'],
    ['a header without time', 'ns,value,label\na,b,1\n', 'labels.csv:1', 'no column time'],
    ['a column that the export adds', 'ns,value,time,profile_id\n', 'labels.csv:1', 'profile_id'],
    ['a column that is there twice', 'ns,value,time,x,x\n', 'labels.csv:1', '"x"'],
    ['a time that is none', 'ns,value,time\na,b,1\na,b,soon\n', 'labels.csv:3', '"soon" is no time'],
    ['a short row', 'ns,value,time\na,"b\nc",1\na,b\n', 'labels.csv:4', 'another number of cells'],
    ['an open quote', 'ns,value,time\na,b,1\n"a,b,1\n', 'labels.csv:3', 'quote is not closed'],
  ])('is refused for %s, with the line', async (_, content, where, message) => {
    const refused = summariseLabels(await aFile(content), isoTime);
    await expect(refused).rejects.toMatchObject({ code: 'BAD_REQUEST', where });
    await expect(refused).rejects.toThrow(message);
  });

  it('that is not there is not found', async () => {
    await expect(summariseLabels(join(folder, 'none.csv'), isoTime)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
