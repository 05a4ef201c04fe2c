import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readLabels, summariseLabels, type LabelTimes } from './training-set-labels.js';
import type { LabelRow } from './training-set.model.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-labels-'));
});
afterAll(() => rm(folder, { recursive: true }));

const NOW_MS = Date.UTC(2026, 1, 1);
const DAY_MS = 86_400_000;
const TIME_MS = Date.UTC(2026, 0, 31, 12);
const TIMES: LabelTimes = {
  parseTime: (text) => (text.endsWith('Z') ? Date.parse(text) : NaN),
  nowMs: NOW_MS,
};

async function aFile(content: string | Buffer, name = 'labels.csv'): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

async function rowsOf(path: string): Promise<LabelRow[]> {
  const rows: LabelRow[] = [];
  for await (const row of readLabels(path, TIMES)) rows.push(row);
  return rows;
}

describe('a labels file', () => {
  it('gives who, when and everything else as it stands there', async () => {
    const path = await aFile(
      '\ufefflabel,ns,value,time,"a, b"\r\n1,email,Ada@x.org,2026-01-31T12:00:00Z," x"\r\n,user_id,"a""b\n",1769860800005,\r\n',
    );
    expect(await rowsOf(path)).toEqual([
      { ns: 'email', value: 'Ada@x.org', timeMs: TIME_MS, cells: ['1', ' x'] },
      { ns: 'user_id', value: 'a"b\n', timeMs: TIME_MS + 5, cells: ['', ''] },
    ]);
  });

  it('may be gzipped', async () => {
    const path = await aFile(gzipSync(`ns,value,time\nemail,a,${String(TIME_MS)}\n`), 'labels.csv.gz');
    expect(await rowsOf(path)).toEqual([{ ns: 'email', value: 'a', timeMs: TIME_MS, cells: [] }]);
  });

  it('is read once to tell the number of its rows and the narrowest type of each column', async () => {
    const path = await aFile(
      'ns,value,time,label,rate,paid,group,id,none\n' +
        'a,b,2026-01-31T12:00:00Z,0,1,TRUE,x,007,\n' +
        'a,b,2026-01-31T12:00:00Z,-12,2.5e-3,false,1,8,\n' +
        'a,b,2026-01-31T12:00:00Z,,,,,9,\n',
    );
    expect(await summariseLabels(path, TIMES)).toEqual({
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
    ['a time that is none', 'ns,value,time\na,b,NOON\na,b,soon\n', 'labels.csv:3', '"soon" is no time'],
    ['a short row', 'ns,value,time\na,"b\nc",NOON\na,b\n', 'labels.csv:4', 'another number of cells'],
    ['an open quote', 'ns,value,time\na,b,NOON\n"a,b,1\n', 'labels.csv:3', 'quote is not closed'],
  ])('is refused for %s, with the line', async (_, content, where, message) => {
    const refused = summariseLabels(await aFile(content.replaceAll('NOON', '2026-01-31T12:00:00Z')), TIMES);
    await expect(refused).rejects.toMatchObject({ code: 'BAD_REQUEST', where });
    await expect(refused).rejects.toThrow(message);
  });

  it.each([
    [
      'a date without dashes',
      '20260131',
      'before the year 2000',
      /seconds, or a date\? write milliseconds or ISO 8601/,
    ],
    ['seconds', '1769860800', 'before the year 2000', /seconds/],
    ['a negative number', '-5', 'before the year 2000', /seconds/],
    ['microseconds', '1769860800000000', 'more than a day ahead', /milliseconds/],
    ['a number without end', '9'.repeat(400), 'more than a day ahead', /milliseconds/],
    ['the last year of the calendar', '9999-12-31T00:00:00Z', 'more than a day ahead', /as of which/],
    ['a birthday', '1970-01-31T00:00:00Z', 'before the year 2000', /as of which/],
    ['tomorrow and a millisecond', String(NOW_MS + DAY_MS + 1), 'more than a day ahead', /milliseconds/],
  ])('whose time is %s is refused, with the line and what may be meant', async (_, time, message, hint) => {
    const path = await aFile(`ns,value,time\na,b,2026-01-31T12:00:00Z\na,b,${time}\n`);
    const refused = summariseLabels(path, TIMES);
    await expect(refused).rejects.toMatchObject({ where: 'labels.csv:3', hint: expect.stringMatching(hint) as string });
    await expect(refused).rejects.toThrow(message);
  });

  it('may have times from the beginning of 2000 to a day from now', async () => {
    const times = [Date.UTC(2000, 0, 1), NOW_MS + DAY_MS];
    const path = await aFile(`ns,value,time\n${times.map((ms) => `a,b,${String(ms)}`).join('\n')}\n`);
    expect((await rowsOf(path)).map(({ timeMs }) => timeMs)).toEqual(times);
  });

  it('that is not there is not found', async () => {
    await expect(summariseLabels(join(folder, 'none.csv'), TIMES)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
