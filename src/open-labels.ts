import { open, type FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';
import type { JsonObject, JsonValue } from './events/event.model.js';
import {
  labelHeader,
  labelTime,
  type LabelFault,
  type LabelHeader,
  type LabelTimes,
  type OpenedLabels,
} from './features/training-set-labels.js';
import type { LabelRow } from './features/training-set.model.js';
import { WeftError } from './platform/errors.js';
import { openRows } from './sources/row-reader.js';
import type { FileFormat, RowFeed, SourceRow } from './sources/row.model.js';

/** Characters of a row; as CSV it may need twice as many. */
const MAX_ROW_LENGTH = 400_000;

/**
 * The labels of a file of any format that loads read: CSV, JSON lines or Parquet by its name, also as `.gz` or `.zst`. It is
 * closed once the rows are read, or reading stops.
 * @throws WeftError NOT_FOUND, BAD_REQUEST with file and row for what cannot be read
 */
export async function openLabels(path: string, times: LabelTimes): Promise<OpenedLabels> {
  const name = basename(path);
  const file = await open(path).catch((cause: unknown) => {
    throw new WeftError('NOT_FOUND', 'the labels file cannot be opened', {
      where: path,
      hint: 'give --labels the path of a file of labels that is there and may be read',
      cause,
    });
  });
  try {
    const { header, rows } = await labelRowsOf(file, { name, format: labelFormatOf(name) }, times);
    return { header, rows: closing(rows, file) };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function* closing(rows: AsyncIterable<LabelRow>, file: FileHandle): AsyncGenerator<LabelRow, void, undefined> {
  try {
    yield* rows;
  } finally {
    await file.close();
  }
}

export function labelFormatOf(name: string): FileFormat {
  const [ending] = /\.(?:csv|jsonl|ndjson|parquet)(?=(?:\.gz|\.zst)?$)/i.exec(name) ?? [];
  return ending === undefined || /csv/i.test(ending) ? 'csv' : /parquet/i.test(ending) ? 'parquet' : 'jsonl';
}

/** The rows of a file of any format, and its columns. @param name how errors call it */
export async function labelRowsOf(
  file: FileHandle,
  { name, format }: { readonly name: string; readonly format: FileFormat },
  times: LabelTimes,
): Promise<OpenedLabels> {
  const fault = (message: string, hint: string, row?: number): WeftError =>
    new WeftError('BAD_REQUEST', message, { where: row === undefined ? name : `${name}, row ${String(row)}`, hint });
  const feed = await openRows(file, { format, encoding: 'utf-8', delimiter: ',', header: null }, name).catch(
    (error: unknown) => {
      if (!(error instanceof WeftError)) throw error;
      // Loads say it of their mapping.
      if (error.message.includes('mapping')) {
        throw fault('the file is not what its name says', 'end the name with .csv, .jsonl or .parquet, as the file is');
      }
      throw fault(error.message, error.hint ?? 'write the file anew');
    },
  );
  try {
    return await labelsOfFeed(feed, times, fault);
  } catch (error) {
    await feed.chunks.return();
    throw error;
  }
}

async function labelsOfFeed(
  feed: RowFeed,
  times: LabelTimes,
  fault: (message: string, hint: string, row?: number) => WeftError,
): Promise<OpenedLabels> {
  let first: SourceRow | null = null;
  let rest: readonly SourceRow[] = [];
  while (first === null) {
    const next = await feed.chunks.next();
    if (next.done === true) break;
    [first = null, ...rest] = next.value.rows;
  }
  const names = feed.header ?? Object.keys(first?.record ?? {});
  if (first !== null && first.fault !== null) throw fault(first.fault.reason, 'mend the row', first.number);
  const header = labelHeader(names, (message, hint) => fault(message, hint));
  const known = new Set(names);
  const rowOf = (row: SourceRow): LabelRow => {
    const ofRow: LabelFault = (message, hint) => fault(message, hint, row.number);
    if (row.fault !== null) throw ofRow(row.fault.reason, 'mend the row');
    const { cells, record } = row;
    const odd = cells === null ? Object.keys(record ?? {}).find((key) => !known.has(key)) : undefined;
    if (odd !== undefined) {
      const hint = 'the first row names all columns; write null where one has no value';
      throw ofRow(`the row has a column "${odd.slice(0, 50)}" that the first row has not`, hint);
    }
    return labelRow(cells ?? labelTexts(record ?? {}, names), header, times, ofRow);
  };
  const rows = async function* (): AsyncGenerator<LabelRow, void, undefined> {
    try {
      if (first === null) return;
      yield rowOf(first);
      for (const row of rest) yield rowOf(row);
      for await (const chunk of feed.chunks) for (const row of chunk.rows) yield rowOf(row);
    } finally {
      await feed.chunks.return();
    }
  };
  return { header, rows: rows() };
}

/** The texts of a record's columns, as CSV would have them. */
export function labelTexts(record: JsonObject, names: readonly string[]): string[] {
  return names.map((name) => textOf(record[name] ?? null));
}

/** A row of labels by its texts. @throws what `fault` makes of one that is too long, or whose time is none */
export function labelRow(
  texts: readonly string[],
  { entity, passed }: LabelHeader,
  times: LabelTimes,
  fault: LabelFault,
): LabelRow {
  if (texts.reduce((sum, text) => sum + text.length, 0) > MAX_ROW_LENGTH) {
    throw fault(`the row is longer than ${String(MAX_ROW_LENGTH)} characters`, 'leave out what is so long');
  }
  const [ns = '', value = '', time = ''] = entity.map((place) => texts[place] ?? '');
  const timeMs = labelTime(time.trim(), times, fault);
  return { ns: ns.trim(), value, timeMs, cells: passed.map((place) => texts[place] ?? '') };
}

function textOf(value: JsonValue): string {
  if (value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
