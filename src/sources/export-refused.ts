import { open, type FileHandle } from 'node:fs/promises';

import type { JsonObject } from '../events/event.model.js';
import type { DeadLetterReader, StoredDeadLetter } from '../events/dead-letter.reader.js';
import { WeftError } from '../platform/errors.js';
import { errnoOf } from '../platform/file-lock.js';
import type { Uuid } from '../platform/ids.js';
import { encodeText } from './decode-text.js';
import { noSuchLoad } from './load-errors.js';
import type { LoadReader } from './load.reader.js';
import type { Mapping } from './mapping.model.js';
import { parseJsonRow } from './parse-json-row.js';
import { parseMapping } from './parse-mapping.js';
import { formerRowId, REFUSAL_COLUMNS } from './refused-rows.model.js';

const PAGE_ROWS = 500;

export interface RefusedRowsReport {
  readonly out: string;
  readonly format: 'csv' | 'jsonl';
  readonly rows: number;
  /** Of which no columns are known: they could not be read, or are longer than what is kept, or gone. */
  readonly unreadable: number;
  /** What the mapping must say otherwise for the exported file; empty: nothing. */
  readonly notes: readonly string[];
}

/**
 * Writes the refused rows of a load that are still open to a file, in the columns of the loaded one and with those of
 * {@link REFUSAL_COLUMNS}, by rising row number. Mended and loaded with the same mapping, each becomes the event that it
 * would have been. Memory does not grow with the rows.
 * @throws WeftError NOT_FOUND, CONFLICT where rows were grouped, BAD_REQUEST where the file is there or cannot be written
 */
export async function exportRefused(
  { letters, loads }: { readonly letters: DeadLetterReader; readonly loads: LoadReader },
  loadId: Uuid,
  out: string,
): Promise<RefusedRowsReport> {
  const settings = await loads.settings(loadId);
  if (settings === null) throw noSuchLoad(loadId);
  if (settings.mapping === null) throw notExported('its mapping was not kept', loadId);
  const mapping = parseMapping(settings.mapping);
  if (mapping.group !== null)
    throw notExported('its rows were grouped, and of a refused group one row is kept', loadId);
  const format = mapping.format === 'csv' ? 'csv' : 'jsonl';
  const file = await openNew(out);
  try {
    const writer = new RefusedWriter(file, mapping, settings.fileHash.slice(0, 32));
    for (let after = 0; ;) {
      const page = await letters.openOfLoad(loadId, after, PAGE_ROWS);
      await writer.write(page);
      if (page.length < PAGE_ROWS) break;
      after = page.at(-1)?.rowNumber ?? after;
    }
    const { rows, unreadable } = writer;
    return { out, format, rows, unreadable, notes: notesOn(mapping) };
  } finally {
    await file.close();
  }
}

function notesOn({ format, header }: Mapping): string[] {
  if (format === 'parquet') return ['the rows are JSON lines: load them with "format: jsonl" in the mapping'];
  return header === null ? [] : ['the first row names the columns: load them without "header" in the mapping'];
}

class RefusedWriter {
  rows = 0;
  unreadable = 0;
  #columns: readonly string[] | null = null;

  constructor(
    private readonly file: FileHandle,
    private readonly mapping: Mapping,
    private readonly fileHash: string,
  ) {}

  async write(page: readonly StoredDeadLetter[]): Promise<void> {
    let text = '';
    for (const letter of page) {
      const record = recordOf(letter);
      if (record === null) {
        this.unreadable++;
        continue;
      }
      this.rows++;
      text += this.#line(record, letter);
    }
    if (text !== '') await this.file.write(encodeText(text, this.mapping.encoding));
  }

  #line(record: JsonObject, { rowNumber, code, reason }: StoredDeadLetter): string {
    const column = /column "([^"]*)"/.exec(reason)?.[1] ?? '';
    // A row that was exported before goes on having the name that it had first.
    const former = formerRowId(record['_file'], record['_row'])?.split(':');
    const [file = this.fileHash, row = String(rowNumber)] = former ?? [];
    const added: readonly string[] = [row, column, code, reason, file];
    if (this.mapping.format !== 'csv') {
      const fields = REFUSAL_COLUMNS.map((name, i) => [name, added[i] ?? ''] as const);
      return `${JSON.stringify({ ...record, ...Object.fromEntries(fields) })}\n`;
    }
    const isFirst = this.#columns === null;
    this.#columns ??= Object.keys(record).filter((name) => !(REFUSAL_COLUMNS as readonly string[]).includes(name));
    const cells = this.#columns.map((name) => cellText(record[name]));
    const text = this.#csvRow([...cells, ...added]);
    return isFirst ? `${this.#csvRow([...this.#columns, ...REFUSAL_COLUMNS])}${text}` : text;
  }

  #csvRow(cells: readonly string[]): string {
    const { delimiter } = this.mapping;
    const isQuoted = (cell: string): boolean => /["\r\n]/.test(cell) || cell.includes(delimiter);
    return `${cells.map((cell) => (isQuoted(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(delimiter)}\n`;
  }
}

/** The row by its columns; null where it was not kept so, or not as a whole. */
function recordOf({ payload, isCut }: StoredDeadLetter): JsonObject | null {
  if (isCut) return null;
  try {
    const value: unknown = parseJsonRow(payload);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : null;
  } catch {
    return null;
  }
}

function cellText(value: JsonObject[string] | undefined): string {
  return typeof value === 'string' ? value : value === null || value === undefined ? '' : JSON.stringify(value);
}

async function openNew(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', 0o600);
  } catch (error) {
    const isThere = errnoOf(error) === 'EEXIST';
    throw new WeftError(
      'BAD_REQUEST',
      `the file cannot be written: ${isThere ? 'it is there already' : errnoOf(error)}`,
      {
        where: path,
        hint: isThere ? 'name another file, or remove it first' : 'name a file in a folder that may be written to',
        cause: error,
      },
    );
  }
}

function notExported(why: string, loadId: Uuid): WeftError {
  return new WeftError('CONFLICT', `the refused rows cannot be exported: ${why}`, {
    where: loadId,
    hint: 'mend the file or the mapping, and load it with --replace',
  });
}
