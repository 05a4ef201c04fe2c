import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { WeftError } from '../platform/errors.js';
import { RowMapper } from './compile-mapping.js';
import { parseMapping } from './parse-mapping.js';
import { openRows } from './row-reader.js';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-misfit-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

const BASE = `source: s
identifiers: { user_id: who }
event: { type: track, name: seen }
properties: { city: city }
`;

/** What is said of a file that is read by the mapping; '' where nothing is. */
async function told(content: string | Buffer, mappingYaml: string): Promise<string> {
  const mapping = parseMapping(`${BASE}${mappingYaml}`);
  const path = join(folder, 'file');
  await writeFile(path, content);
  const file = await open(path);
  try {
    const { header, chunks } = await openRows(file, mapping);
    await chunks.return();
    new RowMapper(mapping, header, { fileHash: '', timeShiftMs: 0 });
    return '';
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    return `${error.message} | ${error.hint ?? ''}`;
  } finally {
    await file.close();
  }
}

const CSV = 'format: csv\n';
const many = (row: string): string => `${row}\n`.repeat(20);

describe('a file that is not what its mapping says', () => {
  it.each([
    [';', '";"'],
    ['\t', '"\\t"'],
    ['|', '"|"'],
  ])('names the delimiter %j where the header has another', async (delimiter, written) => {
    const lines = ['who', 'city', 'when'].join(delimiter);
    const expected = `the file has another delimiter | write delimiter: ${written} in the mapping`;
    expect(await told(`${lines}\n`, CSV)).toContain(expected);
    expect(await told(`"${lines.replaceAll(delimiter, `"${delimiter}"`)}"\n`, CSV)).toContain(`delimiter: ${written}`);
    expect(await told(`${lines}\n`, `${CSV}delimiter: ${written}\n`)).toBe('');
  });

  it('names the delimiter where the mapping names the columns and the rows fall apart otherwise', async () => {
    const mapping = `${CSV}header: [who, city]\n`;
    const said = await told(many('ann;Ulm'), mapping);
    expect(said).toBe(
      'none of the first 20 rows can be read: 1 cells where 2 are expected | write delimiter: ";" in the mapping',
    );
    expect(await told(many('ann,Ulm,x'), mapping)).toContain('"header" in the mapping must name each column');
    expect(await told(`${many('ann;Ulm')}ann,Ulm\n`, mapping)).toBe('');
  });

  it('tells CSV and JSON lines apart, also in short files', async () => {
    expect(await told('{"who":"ann"}\n{"who":"bob"}\n', CSV)).toContain('write "format: jsonl"');
    expect(await told('who,city\nann,Ulm\n', 'format: jsonl\n')).toContain('write "format: csv"');
    expect(await told('{"who":"ann"\n', 'format: jsonl\n')).toBe('');
  });

  it('leaves a few faulty rows to the dead letters', async () => {
    expect(await told('who,city\nann\nbob\n', CSV)).toBe('');
  });

  it('says which columns are missing, what there are, and what a file without a header needs', async () => {
    expect(await told('who,City\n', CSV)).toBe(
      'the header does not fit the mapping:\n  no column "city"; did you mean "City"? | the columns are who, City',
    );
    expect(await told('1,2\n', CSV)).toContain('name the columns in "header" of the mapping');
  });

  it('knows a file whose lines end in CR alone, and shows none of its rows', async () => {
    const problem = await told('who,city\rann,Ulm\rbob,Bonn\r', CSV);
    expect(problem).toContain("tr '\\r' '\\n'");
    expect(problem).not.toContain('ann');
  });

  it('knows UTF-16 with and without a byte order mark, workbooks and Parquet, zipped or not', async () => {
    for (const encode of [
      (text: string) => Buffer.from(text, 'utf16le'),
      (text: string) => Buffer.from(text, 'utf16le').swap16(),
    ]) {
      const name = encode('a')[0] === 0 ? 'UTF-16BE' : 'UTF-16LE';
      for (const text of ['\uFEFFwho,city\n', 'who,city\n']) {
        expect(await told(encode(text), CSV)).toContain(`the file is ${name} | convert it to UTF-8`);
        expect(await told(gzipSync(encode(text)), CSV)).toContain(`the file is ${name}`);
      }
    }
    expect(await told(Buffer.from('PK\x03\x04rest'), CSV)).toContain('save it as CSV');
    expect(await told(Buffer.from('PAR1rest'), CSV)).toContain('Parquet');
  });

  it('points to the encoding where the bytes are Latin-1, and where they are UTF-8 after all', async () => {
    const latin = (text: string): Buffer => Buffer.from(text, 'latin1');
    expect(await told(latin('who,city,Straße\n'), CSV)).toContain('write "encoding: windows-1252" in the mapping');
    expect(await told(latin(`who,city\n${many('zoë,Köln')}`), CSV)).toContain('encoding: windows-1252');
    expect(await told(latin(`who,city,Straße\n${many('zoë,Köln,1')}`), `${CSV}encoding: windows-1252\n`)).toBe('');
    const marked = '\uFEFFwho,city\nzoë,Köln\n';
    expect(await told(marked, CSV)).toBe('');
    expect(await told(marked, `${CSV}encoding: windows-1252\n`)).toContain('leave "encoding: windows-1252" out');
  });

  it('knows a JSON array, and a file that is no JSON at all', async () => {
    const lines = 'format: jsonl\n';
    expect(await told('[{"who":"ann"}]', lines)).toContain("jq -c '.[]'");
    expect(await told('[\n  {\n', lines)).toContain("jq -c '.[]'");
    expect(await told(many('ann,Ulm'), lines)).toContain('write "format: csv"');
    expect(await told('oops\n{"who":"ann"}\n', lines)).toBe('');
  });
});
