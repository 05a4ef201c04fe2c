import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { TextDecoder } from 'node:util';
import { createGunzip } from 'node:zlib';
import { CsvError, parse } from 'csv-parse';
import { WeftError } from '../../platform/errors.js';
import type { LinkageRecord } from './linkage-model.model.js';
import { MAX_RECORDS } from './record-table.js';

/** Characters of one row. */
const MAX_ROW_LENGTH = 1_048_576;
/** Names of columns that hold ids, if none is named. */
const ID_COLUMNS = ['unique_id', 'record_id', 'rec_id', 'id'];

export interface RecordFiles {
  readonly records: readonly LinkageRecord[];
  /** Of the first file, in its order. */
  readonly columns: readonly string[];
  /** The column of the ids; null where records are numbered, from 1 over all files. */
  readonly idColumn: string | null;
}

/**
 * Reads CSV files with a header, gzip too, into memory. Empty cells are missing values. Ids of several files that are
 * not named by a column are numbers over all of them.
 * @throws WeftError BAD_REQUEST where a file cannot be read, or its columns are not those of the first
 */
export async function readRecordFiles(paths: readonly string[], idColumn: string | null): Promise<RecordFiles> {
  const records: LinkageRecord[] = [];
  let columns: readonly string[] | null = null;
  let id = idColumn;
  for (const path of paths) {
    const header = await readFile(path, (cells, names) => {
      if (columns === null) {
        columns = names;
        id = idColumnOf(names, idColumn, path);
      }
      const values = Object.fromEntries(names.map((name, i) => [name, valueOf(cells[i])]));
      const own = id === null ? null : values[id];
      if (records.length >= MAX_RECORDS) throw tooMany(path);
      records.push({ id: own ?? String(records.length + 1), values });
    });
    columns ??= header;
    if (header.join() !== columns.join()) {
      throw new WeftError('BAD_REQUEST', 'its columns are not those of the first file', {
        where: path,
        hint: `let the header be ${columns.join(', ')}`,
      });
    }
  }
  return { records, columns: columns ?? [], idColumn: id };
}

/** @returns the header */
async function readFile(
  path: string,
  visit: (cells: readonly string[], names: readonly string[]) => void,
): Promise<readonly string[]> {
  const header: string[] = [];
  // Where the last step of a pipeline throws, the pipeline may fail with an abortion in place of what was thrown.
  const thrown: unknown[] = [];
  const take = async (rows: AsyncIterable<readonly string[]>): Promise<void> => {
    try {
      for await (const row of rows) {
        if (header.length === 0) header.push(...distinctNames(row, path));
        else visit(row, header);
      }
    } catch (error) {
      thrown.push(error);
      throw error;
    }
  };
  const parser = parse({ trim: true, skip_empty_lines: true, max_record_size: MAX_ROW_LENGTH });
  const input = createReadStream(path);
  try {
    if (path.endsWith('.gz')) await pipeline(input, createGunzip(), decoded, parser, take);
    else await pipeline(input, decoded, parser, take);
  } catch (error) {
    throw readError(path, thrown[0] ?? error);
  }
  if (header.length > 0) return header;
  throw new WeftError('BAD_REQUEST', 'the file is empty', { where: path, hint: 'its first row is the header' });
}

/**
 * The text of a file: UTF-8, or UTF-16 where it begins with the mark of that.
 * @throws TypeError with the code ERR_ENCODING_INVALID_ENCODED_DATA where bytes are of no character
 */
async function* decoded(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let decoder: TextDecoder | null = null;
  for await (const chunk of chunks) {
    decoder ??= new TextDecoder(chunk[0] === 0xff && chunk[1] === 0xfe ? 'utf-16le' : 'utf-8', { fatal: true });
    yield decoder.decode(chunk, { stream: true });
  }
  if (decoder !== null) yield decoder.decode();
}

/** @throws WeftError BAD_REQUEST where two columns have one name: the values of one of them would be lost */
function distinctNames(names: readonly string[], path: string): readonly string[] {
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice === undefined) return names;
  throw new WeftError('BAD_REQUEST', `two columns are called "${twice}"`, {
    where: `${path}, line 1`,
    hint: 'give every column a name of its own',
  });
}

/** What is wrong where the parser gives up, and what to do about it. */
const CSV_HINTS: Readonly<Record<string, string>> = {
  CSV_RECORD_INCONSISTENT_FIELDS_LENGTH:
    'this row has more or fewer cells than the header; put values with commas into quotes',
  CSV_QUOTE_NOT_CLOSED: 'a quote is not closed before the end of the file; write quotes within values twice',
  CSV_INVALID_CLOSING_QUOTE: 'there is text behind a closing quote; write quotes within values twice',
  INVALID_OPENING_QUOTE: 'a quote stands within a value; put the value into quotes, and write quotes within it twice',
  CSV_MAX_RECORD_SIZE: `a row has more than ${String(MAX_ROW_LENGTH)} characters; a quote may not be closed`,
};

function readError(path: string, error: unknown): unknown {
  if (error instanceof CsvError) {
    return new WeftError('BAD_REQUEST', 'it is no CSV', {
      where: `${path}, line ${String(error['lines'])}`,
      hint: CSV_HINTS[error.code] ?? error.code,
      cause: error,
    });
  }
  if (error instanceof TypeError && 'code' in error && error.code === 'ERR_ENCODING_INVALID_ENCODED_DATA') {
    return new WeftError('BAD_REQUEST', 'it is no text in UTF-8', {
      where: path,
      hint: 'convert it, for example: iconv -f WINDOWS-1252 -t UTF-8',
      cause: error,
    });
  }
  if (error instanceof WeftError || !(error instanceof Error && 'code' in error)) return error;
  const reason = error.code === 'ENOENT' ? 'there is none with this name' : String(error.code);
  return new WeftError('BAD_REQUEST', `cannot read the file: ${reason}`, { where: path, cause: error });
}

function tooMany(path: string): WeftError {
  return new WeftError('BAD_REQUEST', `there are more than ${MAX_RECORDS} records`, {
    where: path,
    hint: 'link fewer at once',
  });
}

function idColumnOf(names: readonly string[], wanted: string | null, path: string): string | null {
  if (wanted === null) return ID_COLUMNS.find((name) => names.includes(name)) ?? null;
  if (names.includes(wanted)) return wanted;
  throw new WeftError('BAD_REQUEST', `there is no column ${wanted}`, {
    where: path,
    hint: `it has ${names.join(', ')}`,
  });
}

function valueOf(cell: string | undefined): string | null {
  return cell === undefined || cell === '' ? null : cell;
}
