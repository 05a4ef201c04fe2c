import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { createGunzip } from 'node:zlib';
import { CsvError, parse } from 'csv-parse';
import { EVENT_LIMITS } from '../events/accept.model.js';
import { WeftError } from '../platform/errors.js';
import type { FeatureType } from './feature.model.js';
import { ENTITY_COLUMNS, OUTCOME_COLUMNS, type LabelRow, type TrainingColumn } from './training-set.model.js';

/** Reads a point in time as ms; NaN for a text that is none. */
export type ParseTime = (text: string) => number;

export interface LabelTimes {
  readonly parseTime: ParseTime;
  /** The present instant, ms. */
  readonly nowMs: number;
}

/** Rows of labels, to be read once. */
export interface OpenedLabels {
  readonly header: LabelHeader;
  readonly rows: AsyncGenerator<LabelRow, void, undefined>;
}

/** Opens labels that are no CSV as this file reads it. @throws WeftError NOT_FOUND, BAD_REQUEST */
export type OpenLabels = (path: string, times: LabelTimes) => Promise<OpenedLabels>;

export interface LabelReading extends LabelTimes {
  /** What reads other formats than CSV; left out: none is. */
  readonly openLabels?: OpenLabels | undefined;
}

/** What a labels file holds, known before the first row is answered. */
export interface LabelsSummary {
  readonly rows: number;
  /** The columns that are handed through, with the narrowest type that all of their cells have. */
  readonly passed: readonly TrainingColumn[];
}

const MAX_RECORD_LENGTH = 1_000_000;
const MAX_COLUMNS = 1_000;
const WHOLE_NUMBER = /^-?\d+$/;
const DAY_MS = 86_400_000;

/** What stands where in a row. */
export interface LabelHeader {
  readonly names: readonly string[];
  /** Places of ns, value and time. */
  readonly entity: readonly [number, number, number];
  /** Places of all others. */
  readonly passed: readonly number[];
}

/** Names of files that are no CSV, or packed otherwise than by gzip. */
const OTHER_FORMAT = /\.(?:jsonl|ndjson|parquet)(?:\.gz|\.zst)?$|\.zst$/i;

/**
 * The rows of a labels file: CSV with a header that has `ns`, `value` and `time` (ISO 8601, or ms since the epoch), in
 * any order, and as a rule `label`; `.gz` is unpacked. Files of other formats, by their names, are read by who opens
 * them. One row at a time in memory. Times lie between 2000, before which no event can be, and tomorrow: others are
 * seconds, or dates without dashes, that were taken for milliseconds.
 * @throws WeftError BAD_REQUEST with file and line for a row that cannot be read; NOT_FOUND where there is no file
 */
export async function* readLabels(path: string, reading: LabelReading): AsyncGenerator<LabelRow, void, undefined> {
  yield* isOther(path, reading) ? (await reading.openLabels(path, reading)).rows : readCsvLabels(path, reading);
}

function isOther(path: string, reading: LabelReading): reading is LabelReading & { readonly openLabels: OpenLabels } {
  return reading.openLabels !== undefined && OTHER_FORMAT.test(path);
}

async function* readCsvLabels(path: string, times: LabelTimes): AsyncGenerator<LabelRow, void, undefined> {
  for await (const { header, cells, line } of records(path)) {
    const [ns, value, time] = header.entity.map((place) => cells[place] ?? '') as [string, string, string];
    const timeMs = labelTime(time.trim(), times, (message, hint) => faulty(path, line, message, hint));
    yield { ns: ns.trim(), value, timeMs, cells: header.passed.map((place) => cells[place] ?? '') };
  }
}

/** Makes an error that says where. */
export type LabelFault = (message: string, hint: string) => WeftError;

/** The instant that a text says, ms. @throws what `fault` makes where it says none, or one that cannot be */
export function labelTime(text: string, { parseTime, nowMs }: LabelTimes, fault: LabelFault): number {
  const isNumber = WHOLE_NUMBER.test(text);
  const ms = isNumber ? Number(text) : parseTime(text);
  if (ms >= EVENT_LIMITS.minTimeMs && ms <= nowMs + DAY_MS) return ms;
  const said = `"${text.slice(0, 50)}"`;
  if (Number.isNaN(ms)) {
    throw fault(`${said} is no time`, 'write ISO 8601 such as 2026-01-31T12:00:00Z, or milliseconds since 1970');
  }
  const hint = isNumber
    ? 'a number is taken for milliseconds since 1970: are these seconds, or a date? write milliseconds or ISO 8601'
    : 'write the time as of which the features are wanted, as 2026-01-31T12:00:00Z';
  throw fault(`the time ${said} is ${ms > nowMs ? 'more than a day ahead' : 'before the year 2000'}`, hint);
}

/** Reads the file once, so that its faults are known before the work begins, and the types of its columns. */
export async function summariseLabels(path: string, reading: LabelReading): Promise<LabelsSummary> {
  const { header, rows: labels } = isOther(path, reading)
    ? await reading.openLabels(path, reading)
    : { header: await readHeader(path), rows: readCsvLabels(path, reading) };
  const kinds = header.passed.map(() => new ColumnKind());
  let rows = 0;
  for await (const { cells } of labels) {
    rows++;
    cells.forEach((cell, i) => kinds[i]?.see(cell));
  }
  const passed = header.passed.map((place, i) => ({
    name: header.names[place] ?? '',
    type: kinds[i]?.type ?? ('string' as const),
  }));
  return { rows, passed };
}

const INT = /^(?:0|-?[1-9]\d{0,14})$/;
const DOUBLE = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?$/;
const BOOL = /^(?:true|false)$/i;

/** The narrowest type of a column's cells; empty cells have every type. */
class ColumnKind {
  #seen = false;
  #int = true;
  #double = true;
  #bool = true;

  see(cell: string): void {
    if (cell === '') return;
    this.#seen = true;
    this.#int &&= INT.test(cell);
    this.#double &&= DOUBLE.test(cell) && Number.isFinite(Number(cell));
    this.#bool &&= BOOL.test(cell);
  }

  get type(): FeatureType {
    if (!this.#seen) return 'string';
    return this.#int ? 'int' : this.#double ? 'double' : this.#bool ? 'bool' : 'string';
  }
}

interface CsvRecord {
  readonly header: LabelHeader;
  readonly cells: readonly string[];
  readonly line: number;
}

async function readHeader(path: string): Promise<LabelHeader> {
  for await (const { header } of records(path, true)) return header;
  throw faulty(path, 1, 'the file is empty', 'the first row must name the columns: ns,value,time,label');
}

/** @param withHeader also gives the header itself, as the first record */
async function* records(path: string, withHeader = false): AsyncGenerator<CsvRecord, void, undefined> {
  const file = createReadStream(path);
  const parser = parse({ bom: true, skip_empty_lines: true, info: true, max_record_size: MAX_RECORD_LENGTH });
  const fail = (error: Error): void => {
    parser.destroy(error);
  };
  file.on('error', fail);
  if (path.endsWith('.gz')) file.pipe(createGunzip().on('error', fail)).pipe(parser);
  else file.pipe(parser);
  let header: LabelHeader | null = null;
  let line = 1;
  try {
    for await (const { record, info } of parser as AsyncIterable<{ record: string[]; info: { lines: number } }>) {
      if (header === null) {
        header = labelHeader(record, (message, hint) => faulty(path, 1, message, hint));
        if (withHeader) yield { header, cells: record, line };
      } else {
        yield { header, cells: record, line };
      }
      line = info.lines + 1;
    }
  } catch (error) {
    throw readError(path, line, error);
  } finally {
    file.destroy();
  }
}

/** The columns of labels by their names. @throws what `fault` makes of names that will not do */
export function labelHeader(record: readonly string[], fault: LabelFault): LabelHeader {
  const names = record.map((name) => name.trim());
  const [ns = -1, value = -1, time = -1] = ENTITY_COLUMNS.map((name) => names.indexOf(name));
  const missing = ENTITY_COLUMNS.filter((name) => !names.includes(name));
  if (missing.length > 0) {
    throw fault(`there is no column ${missing.join(', ')}`, 'the header is ns,value,time,label and any others');
  }
  const reserved = names.find((name) => (OUTCOME_COLUMNS as readonly string[]).includes(name));
  if (reserved !== undefined) throw fault(`the export adds a column ${reserved} itself`, 'rename the column');
  const twice = names.find((name, i) => name === '' || names.indexOf(name) !== i);
  if (twice !== undefined) throw fault(`column "${twice}" has no name of its own`, 'name each column once');
  if (names.length > MAX_COLUMNS) throw fault('too many columns', `keep at most ${String(MAX_COLUMNS)}`);
  const entity = [ns, value, time] as const;
  return { names, entity, passed: [...names.keys()].filter((place) => !entity.includes(place)) };
}

function readError(path: string, line: number, error: unknown): unknown {
  if (error instanceof WeftError || !(error instanceof Error)) return error;
  if ('code' in error && error.code === 'ENOENT') {
    return new WeftError('NOT_FOUND', 'there is no such labels file', {
      where: path,
      hint: 'give --labels the path of a CSV file with the header ns,value,time,label',
      cause: error,
    });
  }
  if (error instanceof CsvError) return faulty(path, line, csvFault(error), 'write CSV as in RFC 4180', error);
  return new WeftError('BAD_REQUEST', `the labels cannot be read: ${error.message}`, { where: path, cause: error });
}

function csvFault(error: CsvError): string {
  switch (error.code) {
    case 'CSV_RECORD_INCONSISTENT_FIELDS_LENGTH':
    case 'CSV_RECORD_INCONSISTENT_COLUMNS':
      return 'the row has another number of cells than the header';
    case 'CSV_QUOTE_NOT_CLOSED':
      return 'a quote is not closed before the end of the file';
    case 'CSV_MAX_RECORD_SIZE':
      return `the row is longer than ${String(MAX_RECORD_LENGTH)} characters`;
    default:
      return 'the row is no CSV';
  }
}

function faulty(path: string, line: number, message: string, hint: string, cause?: unknown): WeftError {
  const where = `${basename(path)}:${String(line)}`;
  return new WeftError('BAD_REQUEST', message, { where, hint, ...(cause === undefined ? undefined : { cause }) });
}
