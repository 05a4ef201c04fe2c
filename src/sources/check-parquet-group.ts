import * as zlib from 'node:zlib';
import type { AsyncBuffer, ColumnMetaData, FileMetaData, PageHeader, RowGroup, SchemaElement } from 'hyparquet';
import { parquetHeader } from 'hyparquet/src/column.js';

import { damaged, notTaken } from './parquet-fault.js';

/** A row group is decoded as a whole, because its columns are stored one after the other. */
const MAX_GROUP_BYTES = 512 * 1024 * 1024;
/** Cells of a row group, items of lists each for themselves: nulls and repeated values take next to no bytes of a file. */
const MAX_GROUP_VALUES = 2 ** 27;
/** What else a group may hold in one column: decoders begin with an array of this length. */
const MAX_COLUMN_VALUES = 2 ** 25;
const SMALLER_GROUPS = 'write it with smaller row groups, such as 100,000 rows each';

/** The checksum of pages that have one. Node.js has it from 20.15 and 22.2 on. */
const { crc32 } = zlib as { readonly crc32?: (data: Uint8Array) => number };

interface LeafShape {
  /** Whether a row may have several values. */
  readonly isRepeated: boolean;
}

/**
 * What the footer says of its row groups, before anything is read or reserved by it.
 * @throws WeftError BAD_REQUEST where its figures cannot be, or a group is too large to be decoded
 */
export function checkFooter({ num_rows: total, row_groups: groups, schema }: FileMetaData): void {
  const leaves = leavesOf(schema);
  let rows = 0n;
  for (const [i, group] of groups.entries()) {
    checkGroup(group, leaves, i + 1);
    rows += group.num_rows;
  }
  if (rows !== total) {
    throw damaged(`the footer counts ${String(total)} rows, and its row groups have ${String(rows)} of them`);
  }
}

function checkGroup(group: RowGroup, leaves: ReadonlyMap<string, LeafShape>, number: number): void {
  const { total_byte_size: bytes, num_rows: rows } = group;
  const place = `row group ${String(number)}`;
  if (bytes > MAX_GROUP_BYTES) {
    const size = `${String(bytes / 1_048_576n)} MiB, more than ${String(MAX_GROUP_BYTES / 1_048_576)}`;
    throw notTaken(`${place} of the Parquet file has ${size}`, SMALLER_GROUPS);
  }
  if (rows < 0n) throw damaged(`${place}: it has ${String(rows)} rows`);
  const columns = group.columns.map(({ meta_data: column }) => {
    if (column === undefined) throw damaged(`${place}: a column is not described`);
    return column;
  });
  let values = rows;
  for (const column of columns) {
    const { path_in_schema: path, num_values: count, total_compressed_size: size } = column;
    const name = path.join('.');
    const leaf = leaves.get(name);
    if (leaf === undefined) throw damaged(`${place}: the schema has no column "${name.slice(0, 100)}"`);
    const isMisfit = leaf.isRepeated ? count < rows : count !== rows;
    if (isMisfit || size < 0n) {
      throw damaged(`${place}: the column "${name}" has ${String(count)} values for ${String(rows)} rows`);
    }
    values += count;
    if (count > MAX_COLUMN_VALUES || values > MAX_GROUP_VALUES) {
      throw notTaken(`${place} of the Parquet file has more values than can be decoded at once`, SMALLER_GROUPS);
    }
  }
  if (columns.length !== leaves.size) {
    throw damaged(`${place}: it has ${String(columns.length)} columns, and the schema ${String(leaves.size)}`);
  }
}

/** Columns that hold values, by their paths. */
function leavesOf([root, ...elements]: readonly SchemaElement[]): Map<string, LeafShape> {
  const leaves = new Map<string, LeafShape>();
  let at = 0;
  const walk = (path: readonly string[], isRepeated: boolean): void => {
    const element = elements[at++];
    if (element === undefined) throw damaged('its schema ends early');
    const own = { path: [...path, element.name], isRepeated: isRepeated || element.repetition_type === 'REPEATED' };
    const children = element.num_children ?? 0;
    if (children === 0) leaves.set(own.path.join('.'), own);
    for (let i = 0; i < children; i++) walk(own.path, own.isRepeated);
  };
  for (let i = 0; i < (root?.num_children ?? 0); i++) walk([], false);
  if (at !== elements.length) throw damaged('its schema has columns that belong to nothing');
  return leaves;
}

/**
 * The headers of a group's pages, before decoders believe them: they reserve what a header asks for. Checksums are compared
 * where pages have them; a value that is another one is else not to be told from what was written.
 * @throws WeftError BAD_REQUEST, or plain errors, where a page is not what the footer says
 */
export async function checkPages(file: AsyncBuffer, { columns }: RowGroup): Promise<void> {
  let bytesLeft = MAX_GROUP_BYTES;
  for (const { meta_data: column } of columns) {
    if (column !== undefined) bytesLeft = await checkColumn(file, column, bytesLeft);
  }
}

/** @returns what is left of the bytes that pages of the group may unpack to */
async function checkColumn(file: AsyncBuffer, column: ColumnMetaData, bytesLeft: number): Promise<number> {
  const name = column.path_in_schema.join('.');
  // Some writers have 0 where there is none.
  const { dictionary_page_offset: dictionary = 0n, data_page_offset: firstPage } = column;
  const start = Number(dictionary === 0n ? firstPage : dictionary);
  const end = start + Number(column.total_compressed_size);
  if (start < 0 || end > file.byteLength) throw new Error(`the column "${name}" lies outside the file`);
  const bytes = new Uint8Array(await file.slice(start, end));
  const reader = { view: new DataView(bytes.buffer), offset: 0 };
  const expected = Number(column.num_values);
  let left = bytesLeft;
  let values = 0;
  while (values < expected) {
    const header = parquetHeader(reader);
    const { compressed_page_size: packed, uncompressed_page_size: unpacked, crc } = header;
    const page = bytes.subarray(reader.offset, reader.offset + packed);
    if (!(packed >= 0) || page.length !== packed) throw new Error(`a page of the column "${name}" ends early`);
    if (!(unpacked >= 0 && unpacked <= left)) {
      throw new Error(`pages of the column "${name}" would unpack to more than a row group may have`);
    }
    if (crc !== undefined && crc32 !== undefined && (crc32(page) | 0) !== (crc | 0)) {
      throw new Error(`the checksum of a page of the column "${name}" is not that of its bytes`);
    }
    left -= unpacked;
    reader.offset += packed;
    values += valuesOf(header, name);
  }
  if (values > expected) throw new Error(`the column "${name}" has more values than the footer says`);
  return left;
}

/** Values of a data page; none of a dictionary. */
function valuesOf(header: PageHeader, name: string): number {
  const { dictionary_page_header: dictionary, uncompressed_page_size: bytes } = header;
  if (header.type === 'DICTIONARY_PAGE') {
    const count = dictionary?.num_values ?? -1;
    // No entry of a dictionary takes less than a byte; that of booleans is not used.
    if (count >= 0 && count <= bytes) return 0;
    throw new Error(`the dictionary of the column "${name}" cannot have ${String(count)} values`);
  }
  const second = header.type === 'DATA_PAGE_V2' ? header.data_page_header_v2 : undefined;
  const count = (header.type === 'DATA_PAGE' ? header.data_page_header : second)?.num_values ?? -1;
  if (count < 0) throw new Error(`a page of the column "${name}" has no readable header`);
  const { num_nulls: nulls = 0, num_rows: rows = 0 } = second ?? {};
  const levels = (second?.definition_levels_byte_length ?? 0) + (second?.repetition_levels_byte_length ?? 0);
  if (nulls >= 0 && nulls <= count && rows >= 0 && rows <= count && levels >= 0 && levels <= bytes) return count;
  throw new Error(`a page of the column "${name}" has figures in its header that cannot be`);
}
