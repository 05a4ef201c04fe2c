import { open, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { KeptLabels } from './features/label-file.service.js';
import { sha256Of } from './features/hashed-file.js';
import { csvRows } from './features/training-set-csv.js';
import { readLabels, summariseLabels, type LabelTimes } from './features/training-set-labels.js';
import { TRAINING_SET_JOB_LIMITS, type LabelStorage } from './features/training-set-job.model.js';
import { ENTITY_COLUMNS, type LabelRow } from './features/training-set.model.js';
import { labelFormatOf, labelRowsOf } from './open-labels.js';
import { WeftError } from './platform/errors.js';
import type { FileFormat } from './sources/row.model.js';
import { storedAs } from './sources/stored-bytes.js';

export interface StoreLabelsParts extends LabelTimes {
  /** Whether a row is of, or names, somebody who must not come back; null: there is nobody such. */
  readonly isErased: ((row: LabelRow) => boolean) | null;
}

const FILE_MODE = 0o600;

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
  const format = labelFormatOf(name);
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
  const { header, rows } = await labelRowsOf(file, { name, format }, parts);
  const passed = header.passed.map((place) => header.names[place] ?? '');
  const columns = [...ENTITY_COLUMNS, ...passed];
  const written = await writeRows(kept, columns, rows, parts);
  checkRows(written.rows);
  return { storedAs: 'csv', columns, ...written, ...(await sizeOf(kept)) };
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
