import {
  parquetMetadataAsync,
  parquetScan,
  parquetSchema,
  type AsyncBuffer,
  type FileMetaData,
  type RowGroup,
} from 'hyparquet';
import { compressors } from 'hyparquet-compressors';

import type { JsonValue } from '../events/event.model.js';
import { checkFooter, checkPages } from './check-parquet-group.js';
import { isExactDecimal, parquetCells, type CellConverter } from './parquet-cell.js';
import { damaged, notTaken, readable } from './parquet-fault.js';

const MAX_FOOTER_BYTES = 64 * 1024 * 1024;
const FOOTER_END_BYTES = 8;
const CHUNK_ROWS = 2_000;
/** Characters of a chunk, about: what is handed on at once. A row that has more is a chunk by itself. */
const CHUNK_LENGTH = 8 * 1024 * 1024;

/** Steps of reading a Parquet file, in this order: the header, and of each row group its announcement and its rows. */
export type ParquetStep =
  | { readonly kind: 'header'; readonly names: readonly string[]; readonly rows: number }
  /** It is being decoded. Numbered from 1. */
  | { readonly kind: 'group'; readonly group: number }
  /** Cells by columns, of rows that follow each other; `firstRow` counts from 0. */
  | { readonly kind: 'rows'; readonly firstRow: number; readonly columns: readonly (readonly JsonValue[])[] };

interface ParquetColumn {
  readonly name: string;
  readonly toJson: CellConverter;
  /** Whether rows of it are put together from levels, that of lists and objects. */
  readonly isNested: boolean;
}

/**
 * Decodes a Parquet file, a row group at a time. Files may be damaged so that this reserves what it can get or does not end:
 * it is for a process that can be ended.
 * @throws WeftError BAD_REQUEST where it is no readable Parquet file, a row group of it is too large, or its data are broken
 */
export async function* decodeParquet(file: AsyncBuffer): AsyncGenerator<ParquetStep, void, undefined> {
  await checkEnd(file);
  const { metadata, columns } = await readable(null, async () => {
    const read = await parquetMetadataAsync(file, { geoparquet: false });
    checkFooter(read);
    return { metadata: withPlainDecimals(read), columns: columnsOf(read) };
  });
  yield { kind: 'header', names: columns.map(({ name }) => name), rows: Number(metadata.num_rows) };
  let firstRow = 0;
  for (const [i, group] of metadata.row_groups.entries()) {
    yield { kind: 'group', group: i + 1 };
    const rows = Number(group.num_rows);
    const place = `row group ${String(i + 1)}`;
    const cells = await readable(place, () => readGroup(file, metadata, group, columns));
    for (let from = 0; from < rows;) {
      const chunk = await readable(place, () => chunkOf(columns, cells, from, rows));
      yield { kind: 'rows', firstRow: firstRow + from, columns: chunk.columns };
      from = chunk.end;
    }
    firstRow += rows;
  }
}

async function checkEnd(buffer: AsyncBuffer): Promise<void> {
  if (buffer.byteLength < FOOTER_END_BYTES) throw damaged('it ends early');
  const end = new DataView(await buffer.slice(buffer.byteLength - FOOTER_END_BYTES));
  const magic = Buffer.from(end.buffer, 4, 4).toString('latin1');
  if (magic === 'PARE') throw notTaken('the Parquet file is encrypted', 'write it without encryption');
  if (magic !== 'PAR1') throw damaged('it ends early');
  if (end.getUint32(0, true) <= MAX_FOOTER_BYTES) return;
  throw notTaken('the footer of the Parquet file is larger than 64 MiB', 'write it with larger row groups');
}

function columnsOf(metadata: FileMetaData): ParquetColumn[] {
  return parquetSchema(metadata).children.map((tree) => ({
    name: tree.element.name,
    toJson: parquetCells(tree),
    isNested: tree.children.length > 0 || tree.element.repetition_type === 'REPEATED',
  }));
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

/** One list of cells for each column, each as long as the group has rows. */
async function readGroup(
  file: AsyncBuffer,
  metadata: FileMetaData,
  group: RowGroup,
  columns: readonly ParquetColumn[],
): Promise<ArrayLike<unknown>[]> {
  const rows = Number(group.num_rows);
  if (rows === 0) return [];
  await checkPages(file, group);
  // Of its own for each group: a scan keeps what it has read.
  const scanOf = (claimed: number) =>
    parquetScan({
      file,
      metadata: { ...metadata, row_groups: [{ ...group, num_rows: BigInt(claimed) }] },
      compressors,
      geoparquet: false,
      useOffsetIndex: false,
    });
  const [scan, longer] = [await scanOf(rows), await scanOf(rows + 1)];
  const cells: ArrayLike<unknown>[] = [];
  for (const { name, isNested } of columns) {
    // Of rows that are put together, one more is asked for: a column that is too long would be cut where the group ends.
    const read = isNested
      ? await longer.readColumn({ column: name, rowStart: 0, rowEnd: rows + 1 })
      : await scan.readColumn({ column: name, rowStart: 0, rowEnd: rows });
    if (read.length !== rows) {
      const length = read.length > rows ? 'more' : String(read.length);
      throw new Error(`the column "${name}" has ${length} rows, and the group ${String(rows)}`);
    }
    cells.push(read);
  }
  return cells;
}

function chunkOf(
  columns: readonly ParquetColumn[],
  cells: readonly ArrayLike<unknown>[],
  from: number,
  rows: number,
): { readonly columns: JsonValue[][]; readonly end: number } {
  const chunk = columns.map((): JsonValue[] => []);
  let length = 0;
  let row = from;
  while (row < rows && row < from + CHUNK_ROWS && length < CHUNK_LENGTH) {
    for (const [i, { toJson }] of columns.entries()) {
      const value: unknown = cells[i]?.[row];
      const cell = value === null || value === undefined ? null : toJson(value);
      chunk[i]?.push(cell);
      length += lengthOf(cell);
    }
    row++;
  }
  return { columns: chunk, end: row };
}

/** About the characters of its text. */
function lengthOf(cell: JsonValue): number {
  if (typeof cell === 'string') return cell.length;
  if (cell === null || typeof cell !== 'object') return 8;
  let length = 8;
  for (const item of Object.values(cell)) length += lengthOf(item);
  return length;
}
