import { execFile } from 'node:child_process';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parquetWriteBuffer, type SchemaElement } from 'hyparquet-writer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { parseMapping } from './parse-mapping.js';
import { openParquet, type ParquetOptions } from './parquet-reader.js';
import type { RowFeed } from './row.model.js';
import { openRows } from './row-reader.js';
import { openUnits } from './send-file.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-parquet-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

const PARQUET = { format: 'parquet', encoding: 'utf-8', delimiter: ',', header: null } as const;

async function withFile<T>(content: Uint8Array, use: (path: string) => Promise<T>): Promise<T> {
  const path = join(folder, 'file');
  await writeFile(path, content);
  return use(path);
}

function rowsOf(content: Uint8Array): Promise<{ header: unknown; rows: unknown[]; numbers: number[] }> {
  return withFile(content, async (path) => {
    const file = await open(path);
    try {
      const { header, chunks } = await openRows(file, PARQUET);
      const rows: unknown[] = [];
      const numbers: number[] = [];
      let bytesRead = 0;
      for await (const chunk of chunks) {
        rows.push(...chunk.rows.map(({ record }) => record));
        numbers.push(...chunk.rows.map((row) => row.number));
        expect(chunk.bytesRead).toBeGreaterThanOrEqual(bytesRead);
        bytesRead = chunk.bytesRead;
      }
      expect(bytesRead).toBe(content.length);
      return { header, rows, numbers };
    } finally {
      await file.close();
    }
  });
}

function bytesOf(columnData: Parameters<typeof parquetWriteBuffer>[0]['columnData'], schema?: SchemaElement[]) {
  const rest = schema === undefined ? {} : { schema: [{ name: 'root', num_children: columnData.length }, ...schema] };
  return new Uint8Array(parquetWriteBuffer({ columnData, rowGroupSize: 2, ...rest }));
}

/** What pyarrow made of an id of 20 digits and of an amount with two decimal places, both beyond what doubles hold. */
const DECIMALS =
  'UEFSMRUAFUIVQiwVCBUAFQYVBhwAAAACAAAAAwcAq1SpjOsfCtIAAAAAAAAAAAf/VKtWcxTg9S4VABVCFUIsFQgVABUGFQYcAAAAAgAAAAMHABEiEPR96YEVAAAAAAAAAABu///////////7FQQZPDUAGAZzY2hlbWEVBAAVDhUSFQIYAmlkJQoVABUoLFwVABUoAAAAFQ4VEhUCGAZhbW91bnQlChUEFSgsXBUEFSgAAAAWCBkcGSwmABwVDhklBgAZGAJpZBUAFggWaBZoJghJHBUAFQAVAgA8KQYZJgIGAAAAJgAcFQ4ZJQYAGRgGYW1vdW50FQAWCBZoFmgmcEkcFQAVABUCADwpBhkmAgYAAAAW0AEWCCYIFtABACggcGFycXVldC1jcHAtYXJyb3cgdmVyc2lvbiAyNi4wLjEZLBwAABwAAADdAAAAUEFSMQ==';

describe('rows of a Parquet file', () => {
  it('are objects whose cells are JSON, group after group', async () => {
    const at = new Date(Date.UTC(2026, 0, 31, 12, 30, 0, 250));
    const optional = { repetition_type: 'OPTIONAL' } as const;
    const timestamp = (isAdjustedToUTC: boolean) =>
      ({ type: 'INT64', logical_type: { type: 'TIMESTAMP', isAdjustedToUTC, unit: 'MILLIS' }, ...optional }) as const;
    const { header, rows, numbers } = await rowsOf(
      bytesOf(
        [
          { name: 'name', data: ['Ann', null, 'Cé'] },
          { name: 'big', data: [1n, 9_007_199_254_740_993n, null] },
          { name: 'price', data: [0.1, Number.NaN, null] },
          { name: 'amount', data: [15.3, 0.07, null] },
          { name: 'utc', data: [BigInt(at.getTime()), null, null] },
          { name: 'local', data: [BigInt(at.getTime()), null, null] },
          { name: 'day', data: [at, null, null] },
          { name: 'isOpen', data: [true, false, null] },
        ],
        [
          { name: 'name', type: 'BYTE_ARRAY', converted_type: 'UTF8', ...optional },
          { name: 'big', type: 'INT64', ...optional },
          { name: 'price', type: 'DOUBLE', ...optional },
          { name: 'amount', type: 'INT32', converted_type: 'DECIMAL', precision: 9, scale: 2, ...optional },
          { name: 'utc', ...timestamp(true) },
          { name: 'local', ...timestamp(false) },
          { name: 'day', type: 'INT32', converted_type: 'DATE', ...optional },
          { name: 'isOpen', type: 'BOOLEAN', ...optional },
        ],
      ),
    );
    expect(header).toEqual(['name', 'big', 'price', 'amount', 'utc', 'local', 'day', 'isOpen']);
    expect(numbers).toEqual([1, 2, 3]);
    expect(rows).toEqual([
      {
        name: 'Ann',
        big: 1,
        price: 0.1,
        amount: 15.3,
        utc: '2026-01-31T12:30:00.250Z',
        local: '2026-01-31T12:30:00.250',
        day: '2026-01-31',
        isOpen: true,
      },
      { name: null, big: '9007199254740993', price: null, amount: 0.07, utc: null, local: null, day: null, isOpen: false }, // prettier-ignore
      { name: 'Cé', big: null, price: null, amount: null, utc: null, local: null, day: null, isOpen: null },
    ]);
  });

  it('have all digits of whole decimals, and of others the nearest number', async () => {
    const { rows } = await rowsOf(Buffer.from(DECIMALS, 'base64'));
    expect(rows).toEqual([
      { id: '12345678901234567890', amount: 12345678901234568 },
      { id: 7, amount: 1.1 },
      { id: '-12345678901234567890', amount: -0.05 },
      { id: null, amount: null },
    ]);
    const long = { type: 'INT64', converted_type: 'DECIMAL', repetition_type: 'OPTIONAL' } as const;
    const short = { type: 'INT32', converted_type: 'DECIMAL', repetition_type: 'OPTIONAL' } as const;
    const written = bytesOf(
      [
        { name: 'id', data: [2 ** 53 - 1, -5] },
        { name: 'price', data: [12.5, -0.25] },
      ],
      [
        { name: 'id', precision: 18, scale: 0, ...long },
        { name: 'price', precision: 9, scale: 2, ...short },
      ],
    );
    expect((await rowsOf(written)).rows).toEqual([
      { id: 2 ** 53 - 1, price: 12.5 },
      { id: -5, price: -0.25 },
    ]);
  });

  it('hold lists and objects', async () => {
    const tags = [['a', 'b'], [], null, ['c']];
    const schema: SchemaElement[] = [
      { name: 'tags', repetition_type: 'OPTIONAL', converted_type: 'LIST', num_children: 1 },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
      { name: 'element', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
      { name: 'who', repetition_type: 'OPTIONAL', num_children: 2 },
      { name: 'id', type: 'INT64', repetition_type: 'OPTIONAL' },
      { name: 'city', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
    ];
    const who = [{ id: 7n, city: 'Ulm' }, { id: 8n, city: null }, null, { id: null, city: 'Aix' }];
    const { rows } = await rowsOf(
      bytesOf(
        [
          { name: 'tags', data: tags },
          { name: 'who', data: who },
        ],
        schema,
      ),
    );
    expect(rows).toEqual([
      { tags: ['a', 'b'], who: { id: 7, city: 'Ulm' } },
      { tags: [], who: { id: 8, city: null } },
      { tags: null, who: null },
      { tags: ['c'], who: { id: null, city: 'Aix' } },
    ]);
  });

  it('become events, and what is not the file of the mapping is told before anything is read', async () => {
    const at = new Date(Date.UTC(2026, 5, 1, 10));
    const content = bytesOf([
      { name: 'who', data: ['u1', 'u2'] },
      { name: 'at', data: [at, at] },
      { name: 'n', data: [1, 2] },
    ]);
    const mapping = (format: string, column: string) =>
      parseMapping(`
source: visits
format: ${format}
time: { column: at, zone: Europe/Berlin }
identifiers: { user_id: ${column} }
event: { type: track, name: seen }
properties: { n: n, double: { cel: double(row.n) * 2.0 } }
`);
    const events = async (format: string, column: string): Promise<unknown[]> =>
      withFile(content, async (path) => {
        const handle = await open(path);
        try {
          const file = { handle, name: 'file', sizeBytes: 0, modifiedMs: 0 };
          const { opened, maker } = await openUnits(file, mapping(format, column), { fileHash: 'f', timeShiftMs: 0 });
          const units: Parameters<typeof maker.push>[1] = [];
          for await (const { rows } of opened.chunks) for (const row of rows) maker.push(row, units);
          return units.map(({ event, refusal }) => event ?? refusal);
        } finally {
          await handle.close();
        }
      });
    expect((await events('parquet', 'who'))[1]).toMatchObject({
      messageId: 'f:2',
      identifiers: [{ ns: 'user_id', value: 'u2' }],
      timestampMs: at.getTime(),
      properties: { n: 2, double: 4 },
    });
    await expect(events('parquet', 'wo')).rejects.toThrow('no column "wo"; did you mean "who"?');
    await expect(events('csv', 'who')).rejects.toThrow('the file is Parquet');
    await expect(rowsOf(Buffer.from('a,b\n1,2\n'))).rejects.toThrow('the file does not begin as one');
  });

  it('of a damaged file are an error that says so', async () => {
    const content = bytesOf([{ name: 'who', data: ['u1', 'u2', 'u3'] }]);
    await expect(rowsOf(content.subarray(0, content.length - 9))).rejects.toThrow('the Parquet file cannot be read');
    const broken = Uint8Array.from(content);
    broken.fill(0xff, 4, 24);
    await expect(withReader(broken, {}, async ({ chunks }) => chunks.next())).rejects.toMatchObject({
      message: expect.stringMatching(/^the Parquet file cannot be read: row group 1: /) as string,
      where: 'people.parquet',
    });
    const long = Uint8Array.from(content);
    new DataView(long.buffer).setUint32(long.length - 8, 0xf0000000, true);
    await expect(rowsOf(long)).rejects.toThrow('the footer of the Parquet file is larger than 64 MiB');
  });

  it('that keep a decoder busy for ever are refused in time, and nothing else waits for it', async () => {
    let turns = 0;
    const timer = setInterval(() => turns++, 5);
    const reading = withReader(ENDLESS, { groupTimeoutMs: 300 }, async ({ header, chunks }) => {
      expect(header).toEqual(['who']);
      turns = 0;
      await chunks.next();
    });
    await expect(reading).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      message: expect.stringContaining('row group 1 was not decoded within 0.3 s') as string,
      where: 'people.parquet',
    });
    clearInterval(timer);
    expect(turns).toBeGreaterThan(2);
    await expect.poll(decoders).toEqual([]);
  });

  it('are refused where what decodes them is ended for the memory that it takes', async () => {
    const reading = withReader(ENDLESS, {}, async ({ chunks }) => {
      const next = chunks.next();
      next.catch(() => undefined);
      for (const pid of await decoders()) process.kill(pid, 'SIGABRT');
      await next;
    });
    await expect(reading).rejects.toMatchObject({
      message: expect.stringMatching(/^(?:the footer|row group 1) of the Parquet file takes more memory/) as string,
    });
  });

  it('leave no process, however far they are read', async () => {
    const content = bytesOf([{ name: 'who', data: ['u1', 'u2', 'u3'] }]);
    const isOpen = () => expect.poll(async () => (await decoders()).length).toBe(1);
    await withReader(content, {}, async ({ chunks }) => {
      await isOpen();
      await chunks.return();
    });
    await expect.poll(decoders).toEqual([]);
    await withReader(content, {}, async ({ chunks }) => {
      for await (const { rows } of chunks) {
        expect(rows).toHaveLength(2);
        await isOpen();
        break;
      }
      expect(await chunks.next()).toEqual({ done: true, value: undefined });
    });
    await expect.poll(decoders).toEqual([]);
  });
});

/** Header of the only page changed in one byte: its levels say that there are fewer than no values. */
const ENDLESS = (() => {
  const data = Array.from({ length: 64 }, (_, i) => (i % 2 === 1 ? null : `u${String(i)}`));
  const content = new Uint8Array(parquetWriteBuffer({ columnData: [{ name: 'who', data }], codec: 'UNCOMPRESSED' }));
  content[19] = 0;
  return content;
})();

function withReader<T>(content: Uint8Array, options: ParquetOptions, use: (feed: RowFeed) => Promise<T>): Promise<T> {
  return withFile(content, async (path) => {
    const file = await open(path);
    try {
      return await use(await openParquet(file, { name: 'people.parquet', ...options }));
    } finally {
      await file.close();
    }
  });
}

/** Processes of this one that decode. */
async function decoders(): Promise<number[]> {
  const found = await promisify(execFile)('pgrep', ['-P', String(process.pid), '-f', 'parquet-decoder']).catch(
    (error: unknown) => {
      // 1: there is none.
      if ((error as { code?: unknown }).code === 1) return { stdout: '' };
      throw error;
    },
  );
  return found.stdout.split('\n').filter(Boolean).map(Number);
}
