import { open, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { KeptLabels } from './features/label-file.service.js';
import { sha256Of } from './features/hashed-file.js';
import { csvRows } from './features/training-set-csv.js';
import {
  labelHeader,
  labelTime,
  readLabels,
  summariseLabels,
  type LabelHeader,
  type LabelTimes,
} from './features/training-set-labels.js';
import { TRAINING_SET_JOB_LIMITS, type LabelStorage } from './features/training-set-job.model.js';
import { ENTITY_COLUMNS, type LabelRow } from './features/training-set.model.js';
import type { JsonValue } from './events/event.model.js';
import { WeftError } from './platform/errors.js';
import { openRows } from './sources/row-reader.js';
import type { FileFormat, SourceRow } from './sources/row.model.js';
import { storedAs } from './sources/stored-bytes.js';

export interface StoreLabelsParts extends LabelTimes {
  /** Whether a row is of, or names, somebody who must not come back; null: there is nobody such. */
  readonly isErased: ((row: LabelRow) => boolean) | null;
}

const FILE_MODE = 0o600;
/** Characters of a row; as CSV it may need twice as many. */
const MAX_ROW_LENGTH = 400_000;

/**
 * Keeps labels as training sets are made of them, row for row in their order: CSV as it came, all else as CSV. Rows of
 * people who were erased are left out. Each row is read here, so that no job fails by one later.
 * @param received is moved or removed
 * @param folder takes `labels.csv` or `labels.csv.gz`
 * @throws WeftError BAD_REQUEST with file and row for what cannot be read; PAYLOAD_TOO_LARGE for too many rows
 */
export async function storeLabels(
  received: { readonly path: string; readonly name: string },
  folder: string,
  parts: StoreLabelsParts,
): Promise<KeptLabels> {
  const { path, name } = received;
  const format = formatOf(name);
  const file = await open(path);
  try {
    const stored = await storedAs(file);
    const isKeptAsCame = format === 'csv' && (stored === 'plain' || stored === 'gzip');
    const made = isKeptAsCame
      ? await keepCsv(received, join(folder, `labels.${stored === 'gzip' ? 'csv.gz' : 'csv'}`), parts)
      : await rewriteRows(file, { name, format }, join(folder, 'labels.csv'), parts);
    await rm(path, { force: true });
    return made;
  } finally {
    await file.close();
  }
}

function formatOf(name: string): FileFormat {
  const [ending] = /\.(?:csv|jsonl|ndjson|parquet)(?=(?:\.gz|\.zst)?$)/i.exec(name) ?? [];
  return ending === undefined || /csv/i.test(ending) ? 'csv' : /parquet/i.test(ending) ? 'parquet' : 'jsonl';
}

async function keepCsv(
  { path, name }: { readonly path: string; readonly name: string },
  kept: string,
  parts: StoreLabelsParts,
): Promise<KeptLabels> {
  await rename(path, kept);
  try {
    const { rows, passed } = await summariseLabels(kept, parts);
    checkRows(rows);
    const columns = [...ENTITY_COLUMNS, ...passed.map((column) => column.name)];
    const storedAs: LabelStorage = kept.endsWith('.gz') ? 'csv.gz' : 'csv';
    const { isErased } = parts;
    if (isErased === null || !(await hasAny(readLabels(kept, parts), isErased))) {
      return { storedAs, columns, rows, leftOutRows: 0, ...(await sizeOf(kept)) };
    }
    const cleaned = `${kept.replace(/\.gz$/, '')}.cleaned`;
    const written = await writeRows(cleaned, columns, readLabels(kept, parts), parts);
    await rm(kept);
    const place = kept.replace(/\.gz$/, '');
    await rename(cleaned, place);
    return { storedAs: 'csv', columns, ...written, ...(await sizeOf(place)) };
  } catch (error) {
    throw renamed(error, kept, name);
  }
}

async function rewriteRows(
  file: FileHandle,
  { name, format }: { readonly name: string; readonly format: FileFormat },
  kept: string,
  parts: StoreLabelsParts,
): Promise<KeptLabels> {
  const { header, rows } = await labelRowsOf(file, name, format, parts);
  const passed = header.passed.map((place) => header.names[place] ?? '');
  const columns = [...ENTITY_COLUMNS, ...passed];
  const written = await writeRows(kept, columns, rows, parts);
  checkRows(written.rows);
  return { storedAs: 'csv', columns, ...written, ...(await sizeOf(kept)) };
}

/** The rows of a file of any format, and its columns. */
async function labelRowsOf(
  file: FileHandle,
  name: string,
  format: FileFormat,
  times: LabelTimes,
): Promise<{ readonly header: LabelHeader; readonly rows: AsyncGenerator<LabelRow, void, undefined> }> {
  const fault = (message: string, hint: string, row?: number): WeftError =>
    new WeftError('BAD_REQUEST', message, { where: row === undefined ? name : `${name}, row ${String(row)}`, hint });
  const feed = await openRows(file, { format, encoding: 'utf-8', delimiter: ',', header: null }).catch(
    (error: unknown) => {
      if (!(error instanceof WeftError)) throw error;
      // Loads say it of their mapping.
      if (error.message.includes('mapping')) {
        throw fault('the file is not what its name says', 'end the name with .csv, .jsonl or .parquet, as the file is');
      }
      throw fault(error.message, error.hint ?? 'write the file anew');
    },
  );
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
    if (row.fault !== null) throw fault(row.fault.reason, 'mend the row', row.number);
    const { cells, record } = row;
    const odd = cells === null ? Object.keys(record ?? {}).find((key) => !known.has(key)) : undefined;
    if (odd !== undefined) {
      const hint = 'the first row names all columns; write null where one has no value';
      throw fault(`the row has a column "${odd.slice(0, 50)}" that the first row has not`, hint, row.number);
    }
    const texts = cells ?? names.map((each) => textOf(record?.[each] ?? null));
    if (texts.reduce((sum, text) => sum + text.length, 0) > MAX_ROW_LENGTH) {
      throw fault(
        `the row is longer than ${String(MAX_ROW_LENGTH)} characters`,
        'leave out what is so long',
        row.number,
      );
    }
    const [ns = '', value = '', time = ''] = header.entity.map((place) => texts[place] ?? '');
    const timeMs = labelTime(time.trim(), times, (message, hint) => fault(message, hint, row.number));
    return { ns: ns.trim(), value, timeMs, cells: header.passed.map((place) => texts[place] ?? '') };
  };
  const rows = async function* (): AsyncGenerator<LabelRow, void, undefined> {
    if (first === null) return;
    yield rowOf(first);
    for (const row of rest) yield rowOf(row);
    for await (const chunk of feed.chunks) for (const row of chunk.rows) yield rowOf(row);
  };
  return { header, rows: rows() };
}

/** What stands in a cell, as CSV would have it. */
function textOf(value: JsonValue): string {
  if (value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

async function writeRows(
  path: string,
  columns: readonly string[],
  rows: AsyncIterable<LabelRow>,
  { isErased }: StoreLabelsParts,
): Promise<{ readonly rows: number; readonly leftOutRows: number }> {
  const encoder = csvRows(columns.map((name) => ({ name, type: name === 'time' ? 'timestamp' : 'string' })));
  const file = await open(path, 'wx', FILE_MODE);
  const counts = { rows: 0, leftOutRows: 0 };
  try {
    for await (const row of rows) {
      if (isErased?.(row) === true) {
        counts.leftOutRows++;
        continue;
      }
      checkRows(++counts.rows);
      const bytes = encoder.add([row.ns, row.value, row.timeMs, ...row.cells]);
      if (bytes !== null) await file.writeFile(bytes);
    }
    await file.writeFile(encoder.end());
  } finally {
    await file.close();
  }
  return counts;
}

async function hasAny(rows: AsyncIterable<LabelRow>, is: (row: LabelRow) => boolean): Promise<boolean> {
  for await (const row of rows) if (is(row)) return true;
  return false;
}

async function sizeOf(path: string): Promise<{ readonly bytes: number; readonly sha256: string }> {
  return { bytes: (await stat(path)).size, sha256: await sha256Of(path) };
}

function checkRows(rows: number): void {
  const { maxLabelRows } = TRAINING_SET_JOB_LIMITS;
  if (rows <= maxLabelRows) return;
  throw new WeftError('PAYLOAD_TOO_LARGE', `the file has more than ${String(maxLabelRows)} rows`, {
    where: 'name',
    hint: 'send labels in several files',
  });
}

/** The same, where it says where by the name that the sender gave. */
function renamed(error: unknown, kept: string, name: string): unknown {
  if (!(error instanceof WeftError)) return error;
  const { code, message, hint = 'write the file anew', where = '', cause } = error;
  const line = where.startsWith(`${basename(kept)}:`) ? where.slice(basename(kept).length) : '';
  return new WeftError(code, message, { where: `${name}${line}`, hint, cause });
}
