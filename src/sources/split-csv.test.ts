import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { TextDecoderStream } from './decode-text.js';
import { MAX_ROW_LENGTH, type SourceRow } from './row.model.js';
import { CsvSplitter } from './split-csv.js';

/** Splits bytes that arrive in pieces of the given sizes, the last size repeated. */
function split(bytes: Buffer, pieceSizes: readonly number[], delimiter = ','): SourceRow[] {
  const decoder = new TextDecoderStream('utf-8');
  const splitter = new CsvSplitter(delimiter);
  const out: SourceRow[] = [];
  let piece = 0;
  for (let from = 0; from < bytes.length; piece++) {
    const size = pieceSizes[Math.min(piece, pieceSizes.length - 1)] ?? bytes.length;
    splitter.push(decoder.write(bytes.subarray(from, from + size)), decoder.sawInvalid, out);
    from += size;
  }
  splitter.push(decoder.end(), decoder.sawInvalid, out);
  splitter.end(decoder.sawInvalid, out);
  return out;
}

function rows(text: string, pieceSizes: readonly number[] = [1 << 20]): SourceRow[] {
  return split(Buffer.from(text), pieceSizes);
}

function cells(text: string): (readonly string[] | null)[] {
  return rows(text).map((row) => row.cells);
}

function faults(text: string): [number, string][] {
  return rows(text).flatMap((row) => (row.fault === null ? [] : [[row.number, row.fault.code] as [number, string]]));
}

describe('CSV splitting', () => {
  it('reads quoted delimiters, doubled quotes and line breaks inside quotes', () => {
    expect(cells('a,b\n"x,1","say ""hi"""\n"two\nlines",\r\n')).toEqual([
      ['a', 'b'],
      ['x,1', 'say "hi"'],
      ['two\nlines', ''],
    ]);
  });

  it('takes a quote inside an unquoted field as a plain character', () => {
    expect(cells('name,size\nscreen,5" wide\n')[1]).toEqual(['screen', '5" wide']);
  });

  it('skips the byte order mark, CRLF and a missing last line break', () => {
    expect(cells('\uFEFFa,b\r\n1,2\r\n3,4')).toEqual([
      ['a', 'b'],
      ['1', '2'],
      ['3', '4'],
    ]);
  });

  it('numbers rows as a spreadsheet does, blank rows included', () => {
    expect(rows('a,b\n\n1,2\n"x\ny",3\n4,5\n').map((row) => row.number)).toEqual([1, 3, 4, 5]);
  });

  it('sets rows apart that have too few or too many cells', () => {
    expect(faults('a,b\n1\n1,2\n1,2,3\n')).toEqual([
      [2, 'ROW_RAGGED'],
      [4, 'ROW_RAGGED'],
    ]);
  });

  it('loses one line, not the file, to an unbalanced quote', () => {
    const text = 'a,b\n"open,1\n2,3\n4,5\n';
    expect(faults(text)).toEqual([[2, 'ROW_MALFORMED']]);
    expect(cells(text).slice(2)).toEqual([
      ['2', '3'],
      ['4', '5'],
    ]);
    expect(faults('a,b\n"shut"x,1\n2,3\n')).toEqual([[2, 'ROW_MALFORMED']]);
  });

  it('finds rows whose bytes are not UTF-8 and leaves their neighbours alone', () => {
    const bytes = Buffer.concat([
      Buffer.from('a,b\n1,é\n'),
      Buffer.from([0x63, 0xe9, 0x2c, 0x64, 0x0a]),
      Buffer.from('\uFFFD,ü\n'),
    ]);
    const found = split(bytes, [3, 1]);
    expect(found.map((row) => row.fault?.code ?? row.cells)).toEqual([
      ['a', 'b'],
      ['1', 'é'],
      'ROW_BAD_UTF8',
      ['\uFFFD', 'ü'],
    ]);
  });

  it('sets rows over the bound apart without holding them', () => {
    const long = 'x'.repeat(MAX_ROW_LENGTH + 1);
    for (const pieceSizes of [[1 << 23], [65_536]]) {
      const found = rows(`a,b\n${long},1\n"${long}",2\n${'y'.repeat(MAX_ROW_LENGTH - 2)},z\n`, pieceSizes);
      expect(found.map((row) => row.fault?.code ?? row.number)).toEqual([1, 'ROW_TOO_LONG', 'ROW_TOO_LONG', 4]);
      expect(found[1]?.fault?.excerpt.length).toBeLessThan(1_000);
    }
  });

  it('reads a row at the bound with CRLF however the text is cut', () => {
    const line = `${'y'.repeat(MAX_ROW_LENGTH - 2)},z`;
    for (const size of [MAX_ROW_LENGTH + 5, MAX_ROW_LENGTH + 6, 1_000_003]) {
      expect(rows(`a,b\r\n${line}\r\n1,2`, [size]).map((row) => row.fault)).toEqual([null, null, null]);
    }
  });

  it('agrees with a general parser on well-formed files', () => {
    const cell = fc.string({ unit: fc.constantFrom('a', 'é', '😀', ' ', ',', '"', '\n', '\r', '1'), maxLength: 6 });
    const table = fc
      .integer({ min: 2, max: 4 })
      .chain((width) =>
        fc.array(fc.array(cell, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 6 }),
      );
    fc.assert(
      fc.property(table, fc.constantFrom('\n', '\r\n'), fc.array(fc.nat(7), { minLength: 1 }), (data, end, sizes) => {
        const quoted = (value: string): string => (/[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
        const text = data.map((row) => row.map(quoted).join(',')).join(end) + end;
        const expected = parse(text, { relax_column_count: true });
        expect(
          rows(
            text,
            sizes.map((size) => size + 1),
          ).map((row) => row.cells),
        ).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  it('gives the same rows however dirty bytes are cut into chunks', () => {
    const byte = fc.constantFrom(0x22, 0x2c, 0x0a, 0x0d, 0x61, 0xc3, 0xa9, 0xff, 0xf0, 0x9f);
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 60 }), fc.array(fc.nat(6), { minLength: 1 }), (data, sizes) => {
        const bytes = Buffer.from([0x61, 0x2c, 0x62, 0x0a, ...data]);
        const shape = (found: SourceRow[]): unknown => found.map((row) => [row.number, row.cells, row.fault?.code]);
        expect(
          shape(
            split(
              bytes,
              sizes.map((size) => size + 1),
            ),
          ),
        ).toEqual(shape(split(bytes, [1_000])));
      }),
      { numRuns: 2_000 },
    );
  });
});
