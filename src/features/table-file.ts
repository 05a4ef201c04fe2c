import { basename } from 'node:path';
import { WeftError } from '../platform/errors.js';
import { writeWithManifest } from './hashed-file.js';
import { ParquetRows } from './training-set-parquet.js';
import type { TrainingCell, TrainingColumn } from './training-set.model.js';

/** Rows with the cells of these columns, in order. To be read once. */
export interface ExportedTable {
  readonly columns: readonly TrainingColumn[];
  readonly rows: AsyncIterable<readonly TrainingCell[]>;
  /** Events of the log up to here are in. */
  readonly toPos: number;
  /** Rows of the log that cannot be read, once all rows are read. */
  readonly damagedEvents: () => number;
}

export interface TableManifest {
  readonly format: 1;
  /** Name of the file, without its folder. */
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly rows: number;
  readonly damagedEvents: number;
  readonly logPosition: number;
  readonly createdAt: string;
  readonly columns: readonly string[];
}

/** @throws WeftError BAD_REQUEST for another ending than `.parquet` */
export function checkTablePath(path: string): void {
  if (path.endsWith('.parquet')) return;
  throw new WeftError('BAD_REQUEST', 'the file is Parquet', { where: 'out', hint: 'end its name with .parquet' });
}

/**
 * Writes a table and its manifest; both appear once both are whole, and neither on a failure.
 * @param drop columns to leave out
 * @throws WeftError BAD_REQUEST for a column that there is not, none at all, or a file that cannot be written
 */
export async function writeTable(
  path: string,
  { columns, rows, toPos, damagedEvents }: ExportedTable,
  { drop, nowMs }: { readonly drop: readonly string[]; readonly nowMs: number },
): Promise<TableManifest> {
  const names = columns.map(({ name }) => name);
  const unknown = drop.find((name) => !names.includes(name));
  const places = [...columns.keys()].filter((place) => !drop.includes(names[place] ?? ''));
  if (unknown !== undefined || places.length === 0) {
    const what = unknown === undefined ? 'no column is left' : `there is no column ${unknown}`;
    throw new WeftError('BAD_REQUEST', what, { where: 'drop', hint: `columns are ${names.join(', ')}` });
  }
  const kept = places.flatMap((place) => columns[place] ?? []);
  return writeWithManifest(path, async (file) => {
    const encoder = new ParquetRows(kept);
    let count = 0;
    for await (const cells of rows) {
      count++;
      const bytes = encoder.add(places.map((place) => cells[place] ?? null));
      if (bytes !== null) await file.write(bytes);
    }
    await file.write(encoder.end());
    return (written) => ({
      format: 1,
      file: basename(path),
      ...written,
      rows: count,
      damagedEvents: damagedEvents(),
      logPosition: toPos,
      createdAt: new Date(nowMs).toISOString(),
      columns: kept.map(({ name }) => name),
    });
  });
}
