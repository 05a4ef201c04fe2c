import type { FileHandle } from 'node:fs/promises';
import { parquetMetadataAsync, parquetScan, parquetSchema, type AsyncBuffer, type FileMetaData } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';

import type { JsonObject } from '../events/event.model.js';
import { WeftError } from '../platform/errors.js';
import { isExactDecimal, parquetCells, type CellConverter } from './parquet-cell.js';
import type { RowChunk, RowFeed, SourceRow } from './row.model.js';

/** A row group is decoded as a whole, because its columns are stored one after the other. */
const MAX_GROUP_BYTES = 512 * 1024 * 1024;
const MAX_FOOTER_BYTES = 64 * 1024 * 1024;
const FOOTER_END_BYTES = 8;
const CHUNK_ROWS = 2_000;

interface ParquetColumn {
  readonly name: string;
  readonly toJson: CellConverter;
}

interface GroupRange {
  readonly rowStart: number;
  readonly rowEnd: number;
}

/**
 * The rows of a Parquet file as objects, numbered from 1, in memory bounded by its largest row group. Compressions:
 * snappy, gzip, brotli, lz4, zstd and none.
 * @throws WeftError BAD_REQUEST where it is no readable Parquet file, or a row group of it is too large; while reading:
 *   where its data are broken
 */
export async function openParquet(file: FileHandle): Promise<RowFeed> {
  const { size } = await file.stat();
  const buffer = bufferOf(file, size);
  await checkFooter(buffer);
  const metadata = await readable(() => parquetMetadataAsync(buffer, { geoparquet: false }));
  checkGroups(metadata);
  const columns = parquetSchema(metadata).children.map((tree): ParquetColumn => ({
    name: tree.element.name,
    toJson: parquetCells(tree),
  }));
  return { header: columns.map(({ name }) => name), chunks: readGroups(buffer, withPlainDecimals(metadata), columns) };
}

function bufferOf(file: FileHandle, byteLength: number): AsyncBuffer {
  return {
    byteLength,
    slice: async (start, end = byteLength) => {
      const bytes = new Uint8Array(Math.max(0, Math.min(end, byteLength) - start));
      let at = 0;
      while (at < bytes.length) {
        const { bytesRead } = await file.read(bytes, at, bytes.length - at, start + at);
        if (bytesRead === 0) throw broken('it ends early');
        at += bytesRead;
      }
      return bytes.buffer;
    },
  };
}

async function checkFooter(buffer: AsyncBuffer): Promise<void> {
  if (buffer.byteLength < FOOTER_END_BYTES) throw broken('it ends early');
  const end = new DataView(await buffer.slice(buffer.byteLength - FOOTER_END_BYTES));
  const magic = Buffer.from(end.buffer, 4, 4).toString('latin1');
  if (magic === 'PARE') throw notTaken('the Parquet file is encrypted', 'write it without encryption');
  if (magic !== 'PAR1') throw broken('it ends early');
  if (end.getUint32(0, true) <= MAX_FOOTER_BYTES) return;
  throw notTaken('the footer of the Parquet file is larger than 64 MiB', 'write it with larger row groups');
}

function checkGroups({ row_groups: groups }: FileMetaData): void {
  for (const [i, { total_byte_size: bytes }] of groups.entries()) {
    if (bytes <= MAX_GROUP_BYTES) continue;
    throw notTaken(
      `row group ${String(i + 1)} of the Parquet file has ${String(bytes / 1_048_576n)} MiB, more than 512`,
      'write it with smaller row groups, such as 100,000 rows each',
    );
  }
}

/** Has the decoder hand out decimals as they are stored. */
function withPlainDecimals(metadata: FileMetaData): FileMetaData {
  const schema = metadata.schema.map((element) => {
    if (!isExactDecimal(element)) return element;
    const { converted_type: _converted, logical_type: _logical, ...plain } = element;
    return plain;
  });
  return { ...metadata, schema };
}

async function* readGroups(
  buffer: AsyncBuffer,
  metadata: FileMetaData,
  columns: readonly ParquetColumn[],
): AsyncGenerator<RowChunk, void, undefined> {
  const total = Number(metadata.num_rows);
  let rowStart = 0;
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows);
    const cells = await readable(() => readGroup(buffer, metadata, columns, { rowStart, rowEnd }));
    for (let from = rowStart; from < rowEnd; from += CHUNK_ROWS) {
      const to = Math.min(from + CHUNK_ROWS, rowEnd);
      const rows: SourceRow[] = [];
      for (let row = from; row < to; row++) rows.push(rowOf(columns, cells, row, row - rowStart));
      yield { rows, bytesRead: Math.floor(buffer.byteLength * (to / total)) };
    }
    rowStart = rowEnd;
  }
  yield { rows: [], bytesRead: buffer.byteLength };
}

/** One list of cells for each column. */
async function readGroup(
  file: AsyncBuffer,
  metadata: FileMetaData,
  columns: readonly ParquetColumn[],
  range: GroupRange,
): Promise<ArrayLike<unknown>[]> {
  // Of its own for each group: a scan keeps what it has read.
  const scan = await parquetScan({ file, metadata, compressors, geoparquet: false });
  const cells: ArrayLike<unknown>[] = [];
  for (const { name } of columns) cells.push(await scan.readColumn({ column: name, ...range }));
  return cells;
}

function rowOf(
  columns: readonly ParquetColumn[],
  cells: readonly ArrayLike<unknown>[],
  row: number,
  at: number,
): SourceRow {
  const record: JsonObject = {};
  for (const [i, { name, toJson }] of columns.entries()) {
    const value: unknown = cells[i]?.[at];
    record[name] = value === null || value === undefined ? null : toJson(value);
  }
  return { number: row + 1, cells: null, record, fault: null };
}

/** The library throws plain errors, and a RangeError where a length in the file is nonsense. */
async function readable<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof WeftError || !(error instanceof Error)) throw error;
    throw broken(error.message.replace(/^parquet /, ''), error);
  }
}

function broken(why: string, cause?: Error): WeftError {
  return new WeftError('BAD_REQUEST', `the Parquet file cannot be read: ${why}`, {
    hint: 'get the file again, or write it anew; what was read so far stays loaded',
    cause,
  });
}

function notTaken(message: string, hint: string): WeftError {
  return new WeftError('BAD_REQUEST', message, { hint });
}
