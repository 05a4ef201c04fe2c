import type { FileHandle } from 'node:fs/promises';
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';

import { WeftError } from '../platform/errors.js';
import { TextDecoderStream, type Encoding } from './decode-text.js';
import { hintOf, misfitOf } from './file-misfit.js';
import type { FileFormat, SourceRow } from './row.model.js';
import { CsvSplitter } from './split-csv.js';
import { JsonLineSplitter } from './split-json-lines.js';

const CHUNK_BYTES = 262_144;
const GZIP_MAGIC = 0x1f8b;

export interface RowFormat {
  readonly format: FileFormat;
  readonly encoding: Encoding;
  /** CSV: one character. */
  readonly delimiter: string;
  /** CSV: the names of the columns of a file without a header line; null: the first row is the header. */
  readonly header: readonly string[] | null;
}

export interface RowChunk {
  readonly rows: readonly SourceRow[];
  /** Bytes of the file, as it is stored, that were read so far. */
  readonly bytesRead: number;
}

export interface OpenRows {
  /** CSV: the columns. JSON lines: null. */
  readonly header: readonly string[] | null;
  /** To be read once. Stopping early closes the streams; the file handle stays open. */
  readonly chunks: AsyncGenerator<RowChunk, void, undefined>;
}

/**
 * Opens the rows of a file from its first byte, whatever the handle's position. Gzip is recognised by its first bytes.
 * Memory does not grow with the file.
 * @throws WeftError BAD_REQUEST where there is no readable header, or no first row is; while reading: where gzip data is cut off or broken.
 */
export async function openRows(file: FileHandle, format: RowFormat): Promise<OpenRows> {
  const gzipped = await isGzip(file);
  const chunks = readChunks(file, gzipped, format);
  try {
    const first = await firstRows(chunks);
    const isNamed = format.format === 'jsonl' || format.header !== null;
    const { header, rows } = isNamed ? { header: format.header, rows: first.rows } : splitHeader(first.rows, format);
    const misfit = misfitOf(rows, format);
    if (misfit !== null) throw headerError(misfit.message, misfit.hint, rows[0]?.number);
    return { header, chunks: withFirst({ rows, bytesRead: first.bytesRead }, chunks) };
  } catch (error) {
    await chunks.return();
    throw error;
  }
}

/** The first chunk that has rows; the last one where there are none. */
async function firstRows(chunks: AsyncGenerator<RowChunk, void, undefined>): Promise<RowChunk> {
  let last: RowChunk = { rows: [], bytesRead: 0 };
  for (;;) {
    const next = await chunks.next();
    if (next.done === true) return last;
    last = next.value;
    if (last.rows.length > 0) return last;
  }
}

function splitHeader(
  [first, ...rows]: readonly SourceRow[],
  format: RowFormat,
): { readonly header: readonly string[]; readonly rows: readonly SourceRow[] } {
  if (first === undefined) throw headerError('the file is empty', 'the first row must name the columns');
  if (first.fault !== null) {
    throw headerError(`the header cannot be read: ${first.fault.reason}`, hintOf(first.fault, format), first.number);
  }
  return { header: first.cells?.map((cell) => cell.trim()) ?? [], rows };
}

async function* withFirst(
  first: RowChunk,
  rest: AsyncGenerator<RowChunk, void, undefined>,
): AsyncGenerator<RowChunk, void, undefined> {
  try {
    yield first;
    yield* rest;
  } finally {
    await rest.return();
  }
}

async function* readChunks(
  file: FileHandle,
  gzipped: boolean,
  format: RowFormat,
): AsyncGenerator<RowChunk, void, undefined> {
  const progress = { bytesRead: 0 };
  const decoder = new TextDecoderStream(format.encoding);
  const splitter =
    format.format === 'csv' ? new CsvSplitter(format.delimiter, format.header?.length ?? 0) : new JsonLineSplitter();
  const stored = storedBytes(file, progress);
  try {
    for await (const chunk of gzipped ? gunzipped(stored) : stored) {
      const rows: SourceRow[] = [];
      const text = decoder.write(chunk as Buffer);
      splitter.push(text, decoder.sawInvalid, rows);
      yield { rows, bytesRead: progress.bytesRead };
    }
    const rows: SourceRow[] = [];
    const text = decoder.end();
    splitter.push(text, decoder.sawInvalid, rows);
    splitter.end(decoder.sawInvalid, rows);
    yield { rows, bytesRead: progress.bytesRead };
  } catch (error) {
    throw gzipped ? gzipError(error) : error;
  }
}

/** The file's bytes by position, so that the handle stays open and can be read again. */
async function* storedBytes(file: FileHandle, progress: { bytesRead: number }): AsyncGenerator<Buffer> {
  for (;;) {
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, progress.bytesRead);
    if (bytesRead === 0) return;
    progress.bytesRead += bytesRead;
    yield bytesRead === CHUNK_BYTES ? buffer : buffer.subarray(0, bytesRead);
  }
}

function gunzipped(stored: AsyncGenerator<Buffer>): Readable {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  // The callback is required; errors reach the reader through the destroyed gunzip stream.
  pipeline(Readable.from(stored, { objectMode: false }), gunzip, () => undefined);
  return gunzip;
}

async function isGzip(file: FileHandle): Promise<boolean> {
  const head = Buffer.alloc(2);
  const { bytesRead } = await file.read(head, 0, 2, 0);
  return bytesRead === 2 && head.readUInt16BE(0) === GZIP_MAGIC;
}

function gzipError(error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code !== 'Z_BUF_ERROR' && code !== 'Z_DATA_ERROR') return error;
  const what = code === 'Z_BUF_ERROR' ? 'the gzip data ends early' : 'the gzip data is broken';
  return new WeftError('BAD_REQUEST', what, {
    hint: 'get the file again; what was read so far stays loaded',
    cause: error,
  });
}

function headerError(message: string, hint: string, rowNumber = 1): WeftError {
  return new WeftError('BAD_REQUEST', message, { where: `row ${String(rowNumber)}`, hint });
}
