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

  it('keeps the type of a column with a bad cell, and names the rows that would be refused', async () => {
    const bad = new Map([
      [3, ['many', '2025-03-04', 'yes', '4.5']],
      [7, ['8', 'soon', 'yes', '8.5']],
      [9, ['10', '2025-03-10', 'perhaps', '9.5']],
    ]);
    const rows = Array.from({ length: 12 }, (_, i) => {
      const [n, at, opted, price] = bad.get(i) ?? [String(i + 1), `2025-03-${String(i + 1)}`, 'no', `${String(i)}.25`];
      return `u${String(i)},${String(n)},${String(at)},${String(opted)},${String(price)}`;
    });
    const text = `user_id,amount,ordered_at,opted_in,price\n${rows.join('\n')}\n`.replace('2025-03-1,', '2025-03-01,');
    const {
      mapping,
      notes,
      events,
      text: yaml,
    } = await drafted(await written('odd.csv', text.replace(/-(\d),/g, '-0$1,')));
    expect(Object.fromEntries(mapping.columnTypes)).toMatchObject({ amount: 'int', opted_in: 'bool', price: 'double' });
    expect(mapping.time?.column).toBe('ordered_at');
    // The header is the first row.
    expect(notes.filter((note) => note.includes('refused'))).toEqual([
      '1 of 12 values of "amount" are not integers (row 5): their rows would be refused and kept to be mended',
      '1 of 12 values of "ordered_at" are not times (row 9): their rows would be refused and kept to be mended',
      '1 of 12 values of "opted_in" are not true or false (row 11): their rows would be refused and kept to be mended',
    ]);
    expect(events.filter((event) => event === null)).toHaveLength(3);
    expect(yaml).not.toContain('perhaps');
  });

  it.each([
    ['two of a hundred', 100, 2, 'int'],
    ['three of a hundred', 100, 3, undefined],
    ['one of five', 5, 1, 'int'],
    ['one of four', 4, 1, undefined],
  ])('takes %s that do not fit for mistakes, or for what the column is', async (_, rows, odd, type) => {
    const lines = Array.from({ length: rows }, (__, i) => `u${String(i)},${i < odd ? 'x' : String(i)}`);
    const { mapping } = await drafted(await written('share.csv', `user_id,n\n${lines.join('\n')}\n`));
    expect(mapping.columnTypes.get('n')).toBe(type);
  });

  it('reads decimal commas, thousands with points or commas, and says where either may be meant', async () => {
    const columns: Record<string, readonly string[]> = {
      price: ['1.234,56', '12,5', '7', '-0,99', '1.000.000,00', '3,14'],
      rate: ['0,5', '1,25', '2', '3', '4', '5'],
      us: ['1,234.50', '12.5', '7', '8', '9', '1,000'],
      either: ['1,234', '5,678', '12,000', '1,000', '2,000', '3,000'],
      swiss: ["1'234,5", '2,5', '3', '4', '5', '6'],
      words: ['a,b', 'c', 'd,e', 'f', 'g', 'h'],
      dots: ['1.5', '2.25', '3', '4', '5', '6'],
    };
    const names = Object.keys(columns);
    const made = (delimiter: string): string => {
      const cell = (text: string): string => (text.includes(delimiter) ? `"${text}"` : text);
      const lines = Array.from({ length: 6 }, (_, i) =>
        [`u${String(i)}`, ...names.map((name) => cell(columns[name]?.[i] ?? ''))].join(delimiter),
      );
      return `${['user_id', ...names].join(delimiter)}\n${lines.join('\n')}\n`;
    };
    const decimals = (mapping: Mapping): unknown =>
      Object.fromEntries(mapping.cleaning.map(({ column, decimal }) => [column, decimal]));
    const { mapping, events, notes, share } = await drafted(await written('marks.csv', made(';')));
    expect(decimals(mapping)).toEqual({ price: 'comma', rate: 'comma', us: 'point', either: 'comma', swiss: 'comma' });
    const fields = events.map((event) => ({ ...event?.properties, ...event?.traits }));
    expect(fields[0]).toMatchObject({ price: 1234.56, rate: 0.5, us: 1234.5, either: 1.234, swiss: 1234.5, dots: 1.5 });
    expect(fields[4]).toMatchObject({ price: 1_000_000, words: 'g' });
    expect(share.refused).toBe(0);
    expect(notes).toContain('commas of "either" may also stand between thousands; "clean" says how they are read');
    expect(notes.filter((note) => note.includes('may also stand'))).toHaveLength(1);

    const quoted = await drafted(await written('quoted.csv', made(',')));
    expect(decimals(quoted.mapping)).toMatchObject({ price: 'comma', rate: 'comma', either: 'point' });
    expect({ ...quoted.events[0]?.properties, ...quoted.events[0]?.traits }).toMatchObject({
      either: 1234,
      price: 1234.56,
    });
    expect(quoted.notes).toContain('commas of "either" may also stand before decimals; "clean" says how they are read');
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
