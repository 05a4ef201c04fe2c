import { isUtf8 } from 'node:buffer';
import type { FileHandle } from 'node:fs/promises';

import type { JsonValue } from '../../events/event.model.js';
import { WeftError } from '../../platform/errors.js';
import { TextDecoderStream, type Encoding } from '../decode-text.js';
import { openParquet } from '../parquet-reader.js';
import type { FileFormat, SourceRow } from '../row.model.js';
import { CsvSplitter } from '../split-csv.js';
import { JsonLineSplitter } from '../split-json-lines.js';
import { decompressedBytes, storedAs } from '../stored-bytes.js';
import { sniffCsv } from './sniff-csv.js';

const HEAD_BYTES = 1_048_576;
/** Places behind the head of a file that is not compressed, and what is read at each. */
const PLACES = 16;
const PLACE_BYTES = 65_536;
export const MAX_SAMPLE_ROWS = 20_000;

/** Rows of a file, by which a mapping is drafted: by column names, a missing value undefined. */
export interface FileSample {
  readonly format: FileFormat;
  readonly encoding: Encoding;
  readonly delimiter: string;
  /** Names for the columns of a CSV file that has no header row; null: it has one, or needs none. */
  readonly header: readonly string[] | null;
  readonly columns: readonly string[];
  /** Rows that follow each other, from the start of the file. */
  readonly head: readonly SampleRow[];
  /** Those and others, of the rest of the file. */
  readonly rows: readonly SampleRow[];
  /** Numbers of the rows of the head, as a load counts them. */
  readonly headNumbers: readonly number[];
  /** Rows that could not be read. */
  readonly faulty: number;
  readonly isWhole: boolean;
  /** Where the sample is from, in words. */
  readonly place: string;
}

export type SampleRow = ReadonlyMap<string, JsonValue>;

/**
 * Reads a sample: the first megabyte, and of a file that is not compressed also pieces of 64 KB throughout it.
 * @throws WeftError BAD_REQUEST where it is empty, or nothing that can be loaded
 */
export async function readSample(file: FileHandle): Promise<FileSample> {
  const stored = await storedAs(file);
  if (stored === 'parquet') return sampleParquet(file);
  const { bytes, isWhole } = await headOf(file, stored);
  if (bytes.length === 0) throw new WeftError('BAD_REQUEST', 'the file is empty', { where: 'byte 0' });
  const encoding: Encoding = isUtf8(withoutLastLine(bytes, isWhole)) ? 'utf-8' : 'windows-1252';
  const text = textOf(bytes, encoding);
  const places =
    isWhole || stored !== 'plain' ? [] : (await piecesOf(file, bytes.length)).map((piece) => textOf(piece, encoding));
  const place = isWhole ? 'the whole file' : places.length > 0 ? 'its start and 16 places in it' : 'its start';
  const base = { encoding, isWhole, place };
  const isJson = /^\s*\{/.test(text);
  return isJson ? sampleJsonLines(text, places, base) : sampleCsv(text, places, base);
}

type Base = Pick<FileSample, 'encoding' | 'isWhole' | 'place'>;

async function headOf(file: FileHandle, stored: Awaited<ReturnType<typeof storedAs>>) {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of decompressedBytes(file, stored, { bytesRead: 0 })) {
    parts.push(part);
    length += part.length;
    if (length > HEAD_BYTES) return { bytes: Buffer.concat(parts).subarray(0, HEAD_BYTES), isWhole: false };
  }
  return { bytes: Buffer.concat(parts), isWhole: true };
}

/** Each from the start of a line. A line break within a quoted field may be taken for one; what comes of it is left out. */
async function piecesOf(file: FileHandle, from: number): Promise<Buffer[]> {
  const { size } = await file.stat();
  const pieces: Buffer[] = [];
  for (let i = 0; i < PLACES; i++) {
    const position = from + Math.floor(((size - from - PLACE_BYTES) * i) / (PLACES - 1));
    if (position < from) continue;
    const piece = Buffer.alloc(PLACE_BYTES);
    const { bytesRead } = await file.read(piece, 0, PLACE_BYTES, position);
    const lineStart = piece.indexOf(0x0a) + 1;
    pieces.push(withoutLastLine(piece.subarray(lineStart, bytesRead), false));
  }
  return pieces;
}

function withoutLastLine(bytes: Buffer, isWhole: boolean): Buffer {
  return isWhole ? bytes : bytes.subarray(0, bytes.lastIndexOf(0x0a) + 1);
}

function textOf(bytes: Buffer, encoding: Encoding): string {
  const decoder = new TextDecoderStream(encoding);
  return decoder.write(bytes) + decoder.end();
}

function sampleCsv(text: string, places: readonly string[], base: Base): FileSample {
  const { delimiter, header, isHeaderRow } = sniffCsv(text, base.isWhole);
  const rowsOf = (part: string, isFirst: boolean): SourceRow[] => {
    const rows: SourceRow[] = [];
    const splitter = new CsvSplitter(delimiter, header.length);
    splitter.push(part, true, rows);
    if (base.isWhole) splitter.end(true, rows);
    return (isFirst && isHeaderRow ? rows.slice(1) : rows).slice(0, MAX_SAMPLE_ROWS);
  };
  const toRow = ({ cells }: SourceRow): SampleRow =>
    new Map(header.flatMap((name, i) => (cells?.[i] === undefined ? [] : [[name, cells[i]] as const])));
  const sampled = sampleOf(
    rowsOf(text, true),
    places.map((part) => rowsOf(part, false)),
    toRow,
  );
  return { ...base, ...sampled, format: 'csv', delimiter, header: isHeaderRow ? null : header, columns: header };
}

function sampleJsonLines(text: string, places: readonly string[], base: Base): FileSample {
  const rowsOf = (part: string): SourceRow[] => {
    const rows: SourceRow[] = [];
    const splitter = new JsonLineSplitter();
    splitter.push(part, true, rows);
    if (base.isWhole) splitter.end(true, rows);
    return rows.slice(0, MAX_SAMPLE_ROWS);
  };
  const sampled = sampleOf(rowsOf(text), places.map(rowsOf), recordRow);
  const columns = [...new Set(sampled.rows.flatMap((row) => [...row.keys()]))];
  if (columns.length === 0) throw unreadable('no line of it is a JSON object');
  return { ...base, ...sampled, format: 'jsonl', delimiter: ',', header: null, columns };
}

async function sampleParquet(file: FileHandle): Promise<FileSample> {
  const { header, chunks } = await openParquet(file);
  const head: SampleRow[] = [];
  const headNumbers: number[] = [];
  let isWhole = true;
  for await (const { rows } of chunks) {
    isWhole = head.length + rows.length <= MAX_SAMPLE_ROWS;
    if (!isWhole) break;
    head.push(...rows.map(recordRow));
    headNumbers.push(...rows.map(({ number }) => number));
  }
  const place = isWhole ? 'the whole file' : 'its start';
  const base = { encoding: 'utf-8', delimiter: ',', header: null, faulty: 0 } as const;
  return { ...base, format: 'parquet', columns: header ?? [], head, headNumbers, rows: head, isWhole, place };
}

function recordRow({ record }: SourceRow): SampleRow {
  return new Map(Object.entries(record ?? {}));
}

function sampleOf(
  head: readonly SourceRow[],
  others: readonly (readonly SourceRow[])[],
  toRow: (row: SourceRow) => SampleRow,
): Pick<FileSample, 'head' | 'headNumbers' | 'rows' | 'faulty'> {
  const readable = (rows: readonly SourceRow[]): SourceRow[] => rows.filter(({ fault }) => fault === null);
  const firstRows = readable(head);
  const first = firstRows.map(toRow);
  const faulty = head.length - first.length;
  if (first.length === 0 && faulty > 0) throw unreadable('no row of its start can be read');
  const rows = [...first, ...others.flatMap((part) => readable(part).map(toRow))];
  return { head: first, headNumbers: firstRows.map(({ number }) => number), rows, faulty };
}

function unreadable(message: string): WeftError {
  const hint = 'files are CSV, JSON lines (one object a line) or Parquet, plain or compressed with gzip or zstd';
  return new WeftError('BAD_REQUEST', message, { where: 'byte 0', hint });
}
