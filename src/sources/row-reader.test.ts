import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { openRows, type RowFormat } from './row-reader.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-rows-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

const CSV: RowFormat = { format: 'csv', encoding: 'utf-8', delimiter: ',', header: null };

/** The header, and the rows as cells, objects or fault codes. Reads the file twice, with the same result. */
async function read(
  content: string | Buffer,
  format: Partial<RowFormat> = {},
): Promise<{ header: unknown; rows: unknown[] }> {
  const path = join(folder, 'file');
  await writeFile(path, content);
  const file = await open(path);
  try {
    const results = [];
    for (let time = 0; time < 2; time++) {
      const opened = await openRows(file, { ...CSV, ...format });
      const rows: unknown[] = [];
      let bytesRead = 0;
      for await (const chunk of opened.chunks) {
        rows.push(...chunk.rows.map((row) => row.fault?.code ?? row.cells ?? row.record));
        expect(chunk.bytesRead).toBeGreaterThanOrEqual(bytesRead);
        bytesRead = chunk.bytesRead;
      }
      expect(bytesRead).toBe((await file.stat()).size);
      results.push({ header: opened.header, rows });
    }
    expect(results[1]).toEqual(results[0]);
    return results[0] ?? { header: null, rows: [] };
  } finally {
    await file.close();
  }
}

describe('reading rows of a file', () => {
  it('takes the first row of a CSV file as its header', async () => {
    expect(await read('a , b\n1,2\n3\n')).toEqual({ header: ['a', 'b'], rows: [['1', '2'], 'ROW_RAGGED'] });
  });

  it('takes the names that it is given for a file without a header', async () => {
    expect(await read('1\t2\n3\t4', { header: ['a', 'b'], delimiter: '\t' })).toEqual({
      header: ['a', 'b'],
      rows: [
        ['1', '2'],
        ['3', '4'],
      ],
    });
  });

  it('reads Windows-1252', async () => {
    const bytes = Buffer.from([0x61, 0x0a, 0x80, 0x20, 0xe9, 0x0a]);
    expect((await read(bytes, { encoding: 'windows-1252' })).rows).toEqual([['€ é']]);
    expect((await read(bytes)).rows).toEqual(['ROW_BAD_UTF8']);
  });

  it('reads JSON lines, and gzip of several members', async () => {
    const members = Buffer.concat([gzipSync('{"a":1}\n{"a":'), gzipSync('2}\n')]);
    expect(await read(members, { format: 'jsonl' })).toEqual({ header: null, rows: [{ a: 1 }, { a: 2 }] });
  });

  it('reads files longer than its buffers', async () => {
    const lines = Array.from({ length: 60_000 }, (_, i) => `${String(i)},"é, ${String(i)}"`);
    for (const content of [Buffer.from(`n,t\n${lines.join('\n')}`), gzipSync(`n,t\n${lines.join('\n')}`)]) {
      const { rows } = await read(content);
      expect(rows).toHaveLength(60_000);
      expect(rows[59_999]).toEqual(['59999', 'é, 59999']);
    }
  });

  it('says what is wrong with a header or with gzip data', async () => {
    await expect(read('')).rejects.toThrow('the file is empty');
    await expect(read('"a,b\n1,2')).rejects.toThrow('the header cannot be read');
    await expect(read(Buffer.concat([Buffer.from([0x1f, 0x8b]), Buffer.from('rubbish')]))).rejects.toThrow(
      'the gzip data is broken',
    );
  });

  it('can be left before the end', async () => {
    const path = join(folder, 'left');
    await writeFile(path, gzipSync('a\n'.repeat(1_000_000)));
    const file = await open(path);
    const opened = await openRows(file, CSV);
    await opened.chunks.next();
    await opened.chunks.return();
    expect((await file.stat()).size).toBeGreaterThan(0);
    await file.close();
  });
});
