import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { TextDecoderStream } from './decode-text.js';
import { MAX_ROW_LENGTH, type SourceRow } from './row.model.js';
import { JsonLineSplitter } from './split-json-lines.js';

function split(bytes: Buffer, pieceBytes = 1 << 20): SourceRow[] {
  const decoder = new TextDecoderStream('utf-8');
  const splitter = new JsonLineSplitter();
  const out: SourceRow[] = [];
  for (let from = 0; from < bytes.length; from += pieceBytes) {
    splitter.push(decoder.write(bytes.subarray(from, from + pieceBytes)), decoder.sawInvalid, out);
  }
  splitter.push(decoder.end(), decoder.sawInvalid, out);
  splitter.end(decoder.sawInvalid, out);
  return out;
}

function shape(rows: readonly SourceRow[]): unknown[] {
  return rows.map((row) => [row.number, row.fault?.code ?? row.record]);
}

describe('JSON lines', () => {
  it('are objects, one a line; blank lines count and are left out', () => {
    expect(shape(split(Buffer.from('\uFEFF{"a":1}\r\n\n {"a":"é"} \n{"a":3}')))).toEqual([
      [1, { a: 1 }],
      [3, { a: 'é' }],
      [4, { a: 3 }],
    ]);
  });

  it('that cannot be read cost themselves only', () => {
    const long = `{"a":"${'x'.repeat(MAX_ROW_LENGTH)}"}`;
    const bytes = Buffer.concat([
      Buffer.from(`{"a":\n[1]\nnull\n${long}\n{"a":"`),
      Buffer.from([0xff]),
      Buffer.from('"}\n{"a":4}\n'),
    ]);
    const expected = [
      [1, 'ROW_MALFORMED'],
      [2, 'ROW_MALFORMED'],
      [3, 'ROW_MALFORMED'],
      [4, 'ROW_TOO_LONG'],
      [5, 'ROW_BAD_UTF8'],
      [6, { a: 4 }],
    ];
    expect(shape(split(bytes))).toEqual(expected);
    expect(shape(split(bytes, 70_001))).toEqual(expected);
  });

  it('are the same however their bytes are cut', () => {
    const piece = fc.constantFrom('{"a":"é"}', '{"a":"😀"}', '\n', '\r\n', '{', ' ', '\u00ff');
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 20 }),
        fc.integer({ min: 1, max: 7 }),
        fc.boolean(),
        (pieces, size, dirty) => {
          const bytes = Buffer.from(pieces.join(''), dirty ? 'latin1' : 'utf8');
          expect(shape(split(bytes, size))).toEqual(shape(split(bytes)));
        },
      ),
      { numRuns: 1_000 },
    );
  });
});
