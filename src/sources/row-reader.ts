import type { FileHandle } from 'node:fs/promises';

import { WeftError } from '../platform/errors.js';
import { TextDecoderStream, type Encoding } from './decode-text.js';
import { hintOf, misfitOf, parquetMisfit } from './file-misfit.js';
import { openParquet } from './parquet-reader.js';
import type { FileFormat, RowChunk, RowFeed, SourceRow } from './row.model.js';
import { CsvSplitter } from './split-csv.js';
import { JsonLineSplitter } from './split-json-lines.js';
import { decompressedBytes, storedAs, type StoredAs } from './stored-bytes.js';

export interface RowFormat {
  readonly format: FileFormat;
  readonly encoding: Encoding;
  /** CSV: one character. */
  readonly delimiter: string;
  /** CSV: the names of the columns of a file without a header line; null: the first row is the header. */
  readonly header: readonly string[] | null;
}

/**
 * Opens the rows of a file from its first byte, whatever the handle's position. Gzip, zstd and Parquet are recognised by
 * their first bytes. Memory does not grow with the file. The chunks are to be read to their end, or returned: they may hold
 * a process.
 * @param name how errors about broken data call the file
 * @throws WeftError BAD_REQUEST where there is no readable header, or no first row is, or the file is of another format;
 *   while reading: where compressed data is cut off or broken
 */
export async function openRows(file: FileHandle, format: RowFormat, name: string | null = null): Promise<RowFeed> {
  const stored = await storedAs(file);
  if (stored === 'parquet' || format.format === 'parquet') {
    const misfit = parquetMisfit(stored === 'parquet', format);
    if (misfit !== null) throw headerError(misfit.message, misfit.hint);
    return openParquet(file, { name });
  }
  const chunks = readChunks(file, stored, format);
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
  stored: StoredAs,
  format: RowFormat,
): AsyncGenerator<RowChunk, void, undefined> {
  const progress = { bytesRead: 0 };
  const decoder = new TextDecoderStream(format.encoding);
  const splitter =
    format.format === 'csv' ? new CsvSplitter(format.delimiter, format.header?.length ?? 0) : new JsonLineSplitter();
  for await (const chunk of decompressedBytes(file, stored, progress)) {
    const rows: SourceRow[] = [];
    const text = decoder.write(chunk);
    splitter.push(text, decoder.sawInvalid, rows);
    yield { rows, bytesRead: progress.bytesRead };
  }
  const rows: SourceRow[] = [];
  const text = decoder.end();
  splitter.push(text, decoder.sawInvalid, rows);
  splitter.end(decoder.sawInvalid, rows);
  yield { rows, bytesRead: progress.bytesRead };
}

function headerError(message: string, hint: string, rowNumber = 1): WeftError {
  return new WeftError('BAD_REQUEST', message, { where: `row ${String(rowNumber)}`, hint });
}
