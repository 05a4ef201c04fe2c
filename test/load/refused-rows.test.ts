import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { pagesOf } from '../../src/events/dead-letter-filter.js';
import { DeadLetterReader } from '../../src/events/dead-letter.reader.js';
import { LoadReader } from '../../src/sources/load.reader.js';
import type { LoadResult } from '../../src/sources/load.model.js';
import type { Mapping } from '../../src/sources/mapping.model.js';
import { parseMapping } from '../../src/sources/parse-mapping.js';
import { addRefusedRowsCommand } from '../../src/sources/refused-rows.command.js';
import { createLoadWorld, GROUPED, orders, SINGLE, type LoadWorld } from '../support/load-world.js';

let world: LoadWorld;
let folder: string;
beforeAll(async () => {
  world = await createLoadWorld();
  folder = await mkdtemp(join(tmpdir(), 'weft-refused-'));
});
afterAll(async () => {
  await world.close();
  await rm(folder, { recursive: true });
});

async function exported(loadId: string, out: string): Promise<{ code: number; stdout: string; stderr: string }> {
  const outcome = { code: -1, stdout: '', stderr: '' };
  const services = { letters: new DeadLetterReader(world.db.database), loads: new LoadReader(world.db.database) };
  const command = addRefusedRowsCommand(new Command('dead-letters'), {
    withRefusedRows: (use) => use(services),
    stdout: { write: (text) => (outcome.stdout += text) },
    stderr: { write: (text) => (outcome.stderr += text) },
    setExitCode: (code) => (outcome.code = code),
  });
  await command.parseAsync(['export', '--load', loadId, '--out', join(folder, out)], { from: 'user' });
  return outcome;
}

async function load(name: string, content: string | Buffer, mapping: Mapping): Promise<LoadResult> {
  return world
    .loadService()
    .load({ file: await world.file(name, content), mapping, errorLimit: { rows: 1_000, share: 1 } });
}

const EXTRA = '_row,_column,_code,_reason,_file';

describe('refused rows of a load', () => {
  it('are mended and loaded as the events that they would have been, once', async () => {
    const lines = [
      'who,at,n,kind,page',
      'u1,2024-03-01T10:00:00Z,1,web,',
      'u2,2024-03-01T10:00:00Z,many,web,"{""a"":1}"',
      'u3,soon,3,web,',
      'u4,2024-03-01T10:00:00Z,4,web,,,,',
      ',2024-03-01T10:00:00Z,5,web,',
    ];
    const first = await load('visits.csv', `${lines.join('\n')}\n`, SINGLE);
    expect(first).toMatchObject({ accepted: 1, refused: 4 });
    const report = await exported(first.loadId, 'bad.csv');
    expect(report).toMatchObject({ code: 0, stdout: `3 rows written to ${join(folder, 'bad.csv')}.\n` });
    expect(report.stderr).toContain('1 more could not be read as rows');

    const bad = await readFile(join(folder, 'bad.csv'), 'utf8');
    const [header, second, ...others] = bad.split('\n');
    expect(header).toBe(`who,at,n,kind,page,${EXTRA}`);
    expect(second).toMatch(
      /^u2,2024-03-01T10:00:00Z,many,web,"\{""a"":1\}",3,n,BAD_VALUE,"column ""n"": ""many"" is not an integer",[0-9a-f]{32}$/,
    );
    expect(others.map((line) => line.split(',').slice(0, 2).join())).toEqual(['u3,soon', ',2024-03-01T10:00:00Z', '']);

    const mended = bad.replace(',many,', ',2,').replace('u3,soon', 'u3,2024-03-02').replace(/\n,/, '\nu5,');
    expect(await load('mended.csv', mended, SINGLE)).toMatchObject({ accepted: 3, refused: 0 });
    const hash = /[0-9a-f]{32}/.exec(bad)?.[0] ?? '';
    expect((await world.logged()).map((event) => (event as { messageId: string }).messageId)).toEqual(
      [2, 3, 4, 6].map((row) => `${hash}:${String(row)}`),
    );
    // The same rows in another file, and what is still refused of them once more.
    const worse = mended.replace(',2,web', ',two,web').replaceAll('u5', 'u6');
    const again = await load('again.csv', worse, SINGLE);
    expect(again).toMatchObject({ accepted: 0, duplicates: 2, refused: 1 });
    await exported(again.loadId, 'worse.csv');
    const [, row] = (await readFile(join(folder, 'worse.csv'), 'utf8')).split('\n');
    expect(row).toMatch(new RegExp(`^u2,.*,3,n,BAD_VALUE,.*,${hash}$`));
  });

  it('are closed once they are mended and loaded, whatever file that is in, and again changes nothing', async () => {
    const mapping = parseMapping(`
source: bills
format: csv
columns: { n: int }
key: "{bill}"
time: at
identifiers: { user_id: who }
event: { type: track, name: billed }
properties: { n: n }
`);
    const states = async (): Promise<string[]> => {
      const rows = await world.db.database.query<{ place: string }>(
        `SELECT concat_ws(' ', l.file_name, row_number, state) AS place FROM dead_letters d
         JOIN loads l ON l.id = d.load_id JOIN sources s ON s.id = d.source_id WHERE s.key = 'bills' ORDER BY d.id`,
      );
      return rows.map(({ place }) => place);
    };
    const bills =
      'bill,at,n,who\nb1,2024-03-01,1,u1\nb2,soon,2,u2\n,2024-03-01,3,u3\nb4,2024-03-01,x,u4\nb5,2024-03-01,5,\n';
    const first = await load('bills.csv', bills, mapping);
    expect(first).toMatchObject({ accepted: 1, refused: 4, lettersSettled: 0 });
    await exported(first.loadId, 'bills-bad.csv');
    const bad = await readFile(join(folder, 'bills-bad.csv'), 'utf8');
    // One row by the place that the export says, since its key was missing; another one by its key, with a new fault in it.
    const mended = await load('bills-2.csv', bad.replace('\n,2024', '\nb3,2024').replace('2,u2', 'y,u2'), mapping);
    expect(mended).toMatchObject({ accepted: 1, refused: 3, lettersSettled: 1 });
    // Rows count from the header on.
    expect(await states()).toEqual([
      'bills.csv 3 open',
      'bills.csv 4 replayed',
      'bills.csv 5 open',
      'bills.csv 6 open',
      'bills-2.csv 2 open',
      'bills-2.csv 4 open',
      'bills-2.csv 5 open',
    ]);

    // The file itself, mended: by its keys, both letters of a row that was refused twice.
    const whole = bills.replace('soon', '2024-03-02').replace(',x,', ',4,');
    const again = await load('bills-3.csv', whole, mapping);
    expect(again).toMatchObject({ accepted: 2, refused: 2, lettersSettled: 4 });
    expect((await states()).filter((state) => state.endsWith('open'))).toHaveLength(4);
    expect(await load('bills-3.csv', whole, mapping)).toMatchObject({ outcome: 'already_loaded', lettersSettled: 4 });
  });

  it('are loaded mended where the file that they are of has to have more events', async () => {
    const mapping = parseMapping(`
source: tills
format: csv
columns: { n: int }
time: at
identifiers: { user_id: who }
event: { type: track, name: billed }
properties: { n: n }
expect: { events: { min: 3, otherwise: stop } }
`);
    const tills = (n: string) => `at,n,who\n2024-03-01,1,u1\n2024-03-01,2,u2\n2024-03-01,3,u3\n2024-03-01,${n},u4\n`;
    const { loadId, refused } = await load('tills.csv', tills('x'), mapping);
    expect(refused).toBe(1);
    await exported(loadId, 'tills-bad.csv');
    const bad = await readFile(join(folder, 'tills-bad.csv'), 'utf8');
    const mended = await load('tills-2.csv', bad.replace(',x,', ',4,'), mapping);
    expect(mended).toMatchObject({ outcome: 'loaded', accepted: 1, lettersSettled: 1, unexpected: [] });
    // A file of as few rows that were never refused is still not as expected.
    await expect(load('tills-3.csv', 'at,n,who\n2024-03-02,1,u1\n', mapping)).rejects.toThrow('not as expected');
  });

  it('are listed and counted by their load, the newest first, page by page', async () => {
    const rows = Array.from({ length: 7 }, (_, i) => `u${String(i)},${i === 3 ? '2024-03-01' : 'soon'},x,web,`);
    const { loadId } = await load('paged.csv', `who,at,n,kind,page\n${rows.join('\n')}\n`, SINGLE);
    const reader = new DeadLetterReader(world.db.database);
    const found: number[] = [];
    for await (const page of pagesOf(reader, { loadId, state: 'open', code: 'BAD_TIME' }, 100, 4)) {
      found.push(...page.map(({ rowNumber }) => rowNumber ?? 0));
    }
    expect(found).toEqual([8, 7, 6, 4, 3, 2]);
    const counts = await reader.counts({ loadId });
    expect(counts.map(({ code, count, state }) => [code, count, state])).toEqual([
      ['BAD_TIME', 6, 'open'],
      ['BAD_VALUE', 1, 'open'],
    ]);
    expect(await reader.counts({ loadId, state: 'discarded' })).toEqual([]);
  });

  it("that are being replayed are left to their replay, and those of other sources are nobody else's", async () => {
    const mapping = (source: string): Mapping =>
      parseMapping(`
source: ${source}
format: csv
key: "{id}"
time: at
identifiers: { user_id: who }
event: { type: track, name: seen }
`);
    const content = 'id,at,who\n1,soon,u1\n2,soon,u2\n';
    const first = await load('seen.csv', content, mapping('seen_here'));
    await load('seen.csv', content, mapping('seen_there'));
    await world.db.database.query('UPDATE dead_letters SET claimed_until = $2 WHERE load_id = $1 AND row_number = 2', [
      first.loadId,
      world.clock.now() + 1,
    ]);
    const mended = await load('seen-2.csv', content.replaceAll('soon', '2024-03-02'), mapping('seen_here'));
    expect(mended).toMatchObject({ accepted: 2, lettersSettled: 1 });
    const open = await world.db.database.query<{ key: string }>(
      `SELECT s.key FROM dead_letters d JOIN sources s ON s.id = d.source_id
       WHERE d.state = 'open' AND s.key LIKE 'seen%' ORDER BY 1`,
    );
    expect(open.map(({ key }) => key)).toEqual(['seen_here', 'seen_there', 'seen_there']);
  });

  it('keep the encoding and the delimiter of their file', async () => {
    const mapping = parseMapping(`
source: notes
format: csv
encoding: windows-1252
delimiter: ";"
columns: { n: int }
identifiers: { user_id: who }
event: { type: track, name: noted }
properties: { n: n, text: text }
`);
    const content = Buffer.from('who;n;text\nu1;x;caf\u00e9; \n'.replace('; \n', '\n'), 'latin1');
    const { loadId } = await load('notes.csv', content, mapping);
    await exported(loadId, 'notes.csv');
    const bad = await readFile(join(folder, 'notes.csv'), 'latin1');
    expect(bad).toContain('u1;x;caf\u00e9;2;n;BAD_VALUE;');
    const mended = await load('mended-notes.csv', Buffer.from(bad.replace(';x;', ';1;'), 'latin1'), mapping);
    expect(mended).toMatchObject({ accepted: 1, refused: 0 });
  });

  it('of JSON lines are JSON lines', async () => {
    const mapping = parseMapping(`
source: clicks
format: jsonl
identifiers: { user_id: who }
event: { type: track, name: clicked }
properties: { n: { column: n, type: int } }
`);
    const { loadId } = await load('clicks.jsonl', '{"who":"u1","n":"x","tags":["a"]}\n{"who":"u2","n":1}\n', mapping);
    await exported(loadId, 'clicks.jsonl');
    const bad = await readFile(join(folder, 'clicks.jsonl'), 'utf8');
    expect(JSON.parse(bad)).toMatchObject({ who: 'u1', tags: ['a'], _row: '1', _column: 'n', _code: 'BAD_VALUE' });
    const mended = bad.replace('"n":"x"', '"n":7');
    expect(await load('m1.jsonl', mended, mapping)).toMatchObject({ accepted: 1 });
    expect(await load('m2.jsonl', `\n${mended}`, mapping)).toMatchObject({ accepted: 0, duplicates: 1 });
  });

  it('of groups are not exported, nor of loads that are not there, nor over a file that is', async () => {
    const { loadId } = await load('orders.csv', orders(60), GROUPED);
    const grouped = await exported(loadId, 'orders.csv');
    expect(grouped.code).toBe(1);
    expect(grouped.stderr).toContain('its rows were grouped');
    expect((await exported('018c0000-0000-7000-8000-000000000000', 'none.csv')).code).toBe(1);
    const single = await load('one.csv', 'who,at,n,kind,page\nu1,soon,1,web,\n', SINGLE);
    await writeFile(join(folder, 'there.csv'), 'kept');
    expect((await exported(single.loadId, 'there.csv')).code).toBe(2);
    expect(await readFile(join(folder, 'there.csv'), 'utf8')).toBe('kept');
  });
});
