import { hash } from 'node:crypto';
import { basename, extname } from 'node:path';

import type { PeopleExportRequest, PeopleExportResult } from './activation/export-people.command.js';
import { ExportedRowStore } from './activation/exported-rows.store.js';
import { PeopleTableExporter, type ExportedTable, type TableTarget } from './activation/people-table.exporter.js';
import { ID_COLUMN, type TableCell, type TableColumn } from './activation/people-table.model.js';
import { PostgresTable } from './activation/postgres-table.js';
import { readNamedVariable } from './config.js';
import { manifestPathOf, writeWithManifest, type WrittenFile } from './features/hashed-file.js';
import { TextRows, type RowEncoder } from './features/row-encoder.js';
import { csvRows } from './features/training-set-csv.js';
import { ParquetRows } from './features/training-set-parquet.js';
import { openPeopleTable, type PeopleTable, type PeopleTableParts } from './people-table.js';
import { WeftError } from './platform/errors.js';
import { formatInstant } from './platform/instant.js';

/** What was done with a row, in files of changes. */
const CHANGE_COLUMN: TableColumn = { name: '_change', type: 'string' };

/**
 * Exports a table of people to a file, with a manifest beside it, or to a table of a PostgreSQL database.
 * @param variable reads environment variables by name
 */
export async function exportPeople(
  parts: PeopleTableParts,
  request: PeopleExportRequest,
  variable: (name: string) => string | undefined = readNamedVariable,
): Promise<PeopleExportResult> {
  const { to } = request;
  if (to.kind === 'file') formatOf(to.path);
  const table = await openPeopleTable(parts, request);
  request.onTotal(table.profiles);
  return to.kind === 'file'
    ? exportToFile(parts, request, table, to.path)
    : exportToTable(parts, request, table, { ...to, variable });
}

function runTo(
  { db }: PeopleTableParts,
  { name, onlyChanges, signal, onProgress, to }: PeopleExportRequest,
  { specHash: columnsHash, pages }: PeopleTable,
  target: TableTarget,
): Promise<ExportedTable> {
  // What one target has got tells nothing of what another one lacks.
  const place = to.kind === 'file' ? [] : [to.urlEnv, to.table];
  const specHash = hash('sha256', JSON.stringify([columnsHash, to.kind, ...place]), 'hex');
  const exporter = new PeopleTableExporter(new ExportedRowStore(db));
  return exporter.run({ name, specHash, onlyChanges, pages, target, signal, onProgress });
}

async function exportToFile(
  parts: PeopleTableParts,
  request: PeopleExportRequest,
  table: PeopleTable,
  path: string,
): Promise<PeopleExportResult> {
  const { name, onlyChanges } = request;
  const { clock } = parts;
  const columns = [ID_COLUMN, ...(onlyChanges ? [CHANGE_COLUMN] : []), ...table.columns];
  const manifestOf = ({ rows, removed, unchanged, withheld, since }: ExportedTable, hashed: WrittenFile) => ({
    format: 1,
    file: basename(path),
    ...hashed,
    createdAt: formatInstant(clock.now()),
    export: name,
    changesSince: onlyChanges && since !== null ? formatInstant(since) : null,
    rows,
    removed: onlyChanges ? removed : 0,
    unchanged,
    withheld,
    columns,
  });
  const exported: ExportedTable[] = [];
  await writeWithManifest(path, async (file) => {
    const encoder = encoderOf(path, columns);
    const done = await runTo(parts, request, table, {
      isDurable: false,
      write: async ({ changed, removed }) => {
        const nothing = table.columns.map(() => null);
        for (const { profileId, cells } of changed) {
          const bytes = encoder.add([profileId, ...(onlyChanges ? ['changed'] : []), ...cells]);
          if (bytes !== null) await file.write(bytes);
        }
        // A file of everything has those who are in it.
        for (const id of onlyChanges ? removed : []) {
          const bytes = encoder.add([id, 'removed', ...nothing]);
          if (bytes !== null) await file.write(bytes);
        }
      },
    });
    await file.write(encoder.end());
    exported.push(done);
    return (hashed) => manifestOf(done, hashed);
  });
  const [done] = exported;
  if (done === undefined) throw new WeftError('INTERNAL', 'a file was written by nobody');
  await done.confirm(clock.now());
  const { rows, removed, unchanged, withheld, since } = done;
  return { rows, removed, unchanged, withheld, since, others: null, manifest: basename(manifestPathOf(path)) };
}

async function exportToTable(
  parts: PeopleTableParts,
  request: PeopleExportRequest,
  table: PeopleTable,
  to: { readonly table: string; readonly urlEnv: string; readonly variable: (name: string) => string | undefined },
): Promise<PeopleExportResult> {
  const { clock } = parts;
  const target = await PostgresTable.open(to, table.columns, { variable: to.variable, nowMs: clock.now() });
  try {
    const exported = await runTo(parts, request, table, target);
    const others = request.onlyChanges ? null : await target.removeOthers();
    await exported.confirm(clock.now());
    const { rows, removed, unchanged, withheld, since } = exported;
    return { rows, removed, unchanged, withheld, since, others, manifest: null };
  } finally {
    await target.close();
  }
}

const FORMATS = ['.csv', '.jsonl', '.parquet'] as const;

/** @throws WeftError BAD_REQUEST for another ending */
function formatOf(path: string): (typeof FORMATS)[number] {
  const format = FORMATS.find((ending) => ending === extname(path));
  if (format !== undefined) return format;
  throw new WeftError('BAD_REQUEST', 'the ending of the file does not say its format', {
    where: '--out',
    hint: 'end its name with .csv, .jsonl or .parquet',
  });
}

function encoderOf(path: string, columns: readonly TableColumn[]): RowEncoder {
  const format = formatOf(path);
  if (format === '.parquet') return new ParquetRows(columns);
  return format === '.csv' ? csvRows(columns) : new TextRows('', (cells) => jsonLine(cells, columns));
}

/** Times in ISO 8601. */
function jsonLine(cells: readonly TableCell[], columns: readonly TableColumn[]): string {
  const entries = columns.map(({ name, type }, i) => {
    const cell = cells[i] ?? null;
    return [name, type === 'timestamp' && typeof cell === 'number' ? formatInstant(cell) : cell] as const;
  });
  return `${JSON.stringify(Object.fromEntries(entries))}\n`;
}
