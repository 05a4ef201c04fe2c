import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { LoadUnit } from '../group-rows.js';
import { DEFAULT_ERROR_LIMIT, type Mapping } from '../mapping.model.js';
import { parseMapping } from '../parse-mapping.js';
import { openUnits } from '../send-file.js';
import { inferMapping } from './infer-mapping.js';

const SEEDS = fileURLToPath(new URL('../../../seeds/data/', import.meta.url));
const MAX_MAPPED_ROWS = 30_000;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-infer-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

interface Drafted {
  readonly mapping: Mapping;
  readonly text: string;
  readonly notes: readonly string[];
  readonly events: LoadUnit['event'][];
  readonly share: { readonly refused: number; readonly nameless: number };
}

/** Drafts a mapping and maps the file's first rows with it. */
async function drafted(path: string): Promise<Drafted> {
  const { text, notes } = await inferMapping(path, Readable.from([]));
  const mapping = parseMapping(text);
  const handle = await open(path);
  const units: LoadUnit[] = [];
  try {
    const file = { handle, name: basename(path), sizeBytes: 0, modifiedMs: 0 };
    const { opened, maker } = await openUnits(file, mapping, { fileHash: 'file', timeShiftMs: 0 });
    let rows = 0;
    for await (const chunk of opened.chunks) {
      for (const row of chunk.rows) maker.push(row, units);
      rows += chunk.rows.length;
      if (rows > MAX_MAPPED_ROWS) break;
    }
    maker.end(units);
  } finally {
    await handle.close();
  }
  const events = units.map(({ event }) => event);
  const refused = events.filter((event) => event === null).length / units.length;
  const nameless = events.filter((event) => event !== null && event.identifiers.length === 0).length / units.length;
  return { mapping, text, notes, events, share: { refused, nameless } };
}

async function written(name: string, content: string | Buffer): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

describe('a mapping that is drafted from a file', () => {
  it.each([
    ['crm-customers.csv.gz', { crm_id: 1, email: 1, phone: 1, twitter: 1 }, 'identify', 'recorded_at'],
    ['ecom.csv.gz', { user_id: 1 }, 'track', 'timestamp'],
    ['fake_1000.csv.gz', { email: 1, unique_id: 1 }, 'identify', null],
    ['febrl3.csv.gz', { rec_id: 1 }, 'identify', null],
    ['online-retail.csv.gz', { crm_id: 1 }, 'track', 'InvoiceDate'],
    ['social-interactions.jsonl.gz', { twitter: 1, instagram: 1 }, 'track', 'time'],
    ['web-events.csv.gz', { anonymous_id: 1, device_id: 1, user_id: 1, email: 1 }, 'track', 'time'],
  ])('of the demo data, %s, takes its rows as they are', async (name, identifiers, type, time) => {
    const { mapping, share } = await drafted(join(SEEDS, name));
    expect(Object.fromEntries(mapping.identifiers.map((each) => [each.name, 1]))).toMatchObject(identifiers);
    expect(mapping.type).toEqual({ kind: 'constant', value: type });
    expect(mapping.time?.column ?? null).toBe(time);
    expect(share.refused).toBeLessThan(0.001);
    expect(share.nameless).toBeLessThan((mapping.errorLimit ?? DEFAULT_ERROR_LIMIT).share);
  });

  it('groups the lines of orders, and says how many rows belong to nobody', async () => {
    const { mapping, notes, events } = await drafted(join(SEEDS, 'online-retail.csv.gz'));
    expect(mapping.group?.by).toEqual(['InvoiceNo']);
    expect(mapping.group?.lines?.fields.map(({ name }) => name)).toEqual([
      'stock_code',
      'description',
      'quantity',
      'unit_price',
    ]);
    expect(events[0]).toMatchObject({
      messageId: '536365',
      identifiers: [{ ns: 'crm_id', value: '17850' }],
      properties: { line_count: 7, country: 'United Kingdom' },
    });
    expect(notes.join('\n')).toMatch(/^\d+ % of the rows have none of the identifiers/m);
  });

  it('tells delimiter, encoding, header, types, texts for no value and times', async () => {
    const rows = Array.from(
      { length: 40 },
      (_, i) =>
        `C${String(i)};  Zo\u00eb ${String(i)} ;0${String(1_000 + i)};${i % 7 === 0 ? 'N/A' : `${String(i)}.5`};${i % 2 === 0 ? 'yes' : 'no'};` +
        `${String((i % 12) + 1)}/${String((i % 9) + 1)}/2025 9:05 PM`,
    );
    const text = `Customer No;Name;Zip;Balance;Opted In;Created At\n${rows.join('\n')}\n`;
    const {
      mapping,
      text: yaml,
      notes,
      events,
      share,
    } = await drafted(await written('people.csv', Buffer.from(text, 'latin1')));
    expect(mapping).toMatchObject({ format: 'csv', delimiter: ';', encoding: 'windows-1252', nulls: ['N/A'] });
    expect(mapping.time?.format).toMatch(/^(?:d\/M|M\/d)\/yyyy h:mm a$/);
    expect(notes.some((note) => note.startsWith('days and months of "Created At" may be the other way round'))).toBe(
      true,
    );
    expect(share).toEqual({ refused: 0, nameless: 0 });
    expect(events[1]).toMatchObject({
      messageId: 'C1',
      identifiers: [{ ns: 'crm_id', value: 'C1' }],
      traits: { name: 'Zo\u00eb 1', zip: '01001', balance: 1.5, opted_in: false },
    });
    expect(events[0]?.traits).not.toHaveProperty('balance');
    expect(yaml).not.toContain('Zo\u00eb');
  });

  it('names the columns of a file that has no header, and each row where nothing names a person', async () => {
    const path = await written('counts.csv', '1,2,2.5\n1,3,1.5\n1,2,0.5\n');
    const { mapping, notes, events } = await drafted(path);
    expect(mapping.header).toEqual(['column_1', 'column_2', 'column_3']);
    expect(events.map((event) => event?.identifiers)).toEqual([
      [{ ns: 'row_id', value: 'file:1' }],
      [{ ns: 'row_id', value: 'file:2' }],
      [{ ns: 'row_id', value: 'file:3' }],
    ]);
    expect(notes.join('\n')).toContain('no column names a person');
  });

  it('is made of Parquet too, whose columns keep their types', async () => {
    const at = new Date(Date.UTC(2026, 0, 1));
    const columnData = [
      { name: 'user.id', data: ['u1', 'u2'] },
      { name: 'email', data: ['a@example.com', 'b@example.com'] },
      { name: 'occurred_at', data: [at, at] },
      { name: 'n', data: [1, 2] },
    ];
    const { mapping, events } = await drafted(
      await written('e.parquet', Buffer.from(parquetWriteBuffer({ columnData }))),
    );
    expect(mapping).toMatchObject({ format: 'parquet', source: 'e' });
    expect(events[1]).toMatchObject({ timestampMs: at.getTime(), properties: { n: 2, user_id: 'u2' } });
  });

  it('looks at places throughout a long file', async () => {
    const line = (i: number): string =>
      `${String(i)},u${String(i)},${i > 40_000 ? 'ab' : '12'}${'x'.repeat(20)},${i > 60_000 ? '1.5' : '1'}`;
    const lines = Array.from({ length: 80_000 }, (_, i) => line(i));
    const { text } = await inferMapping(
      await written('long.csv', `id,user_id,text,n\n${lines.join('\n')}\n`),
      Readable.from([]),
    );
    expect(parseMapping(text).columnTypes.get('n')).toBe('double');
  });

  it('is none of a file that is nothing that can be loaded', async () => {
    const draft = async (content: string | Buffer): Promise<unknown> =>
      inferMapping(await written('wrong', content), Readable.from([]));
    await expect(draft('')).rejects.toThrow('the file is empty');
    await expect(draft(Buffer.from('PK\x03\x04 and so on'))).rejects.toThrow('a ZIP archive or a workbook');
    await expect(draft('{ not json\n{ neither\n')).rejects.toThrow('no row of its start can be read');
  });
});
