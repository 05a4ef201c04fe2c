import type { FormerPlace } from '../events/dead-letter.model.js';
import type { JsonObject } from '../events/event.model.js';

/**
 * Columns that an export of refused rows adds to those of the file, and that loading it again looks at or ignores:
 * where the row was, the first 32 characters of the hash of its file, and why it was refused.
 */
export const REFUSAL_COLUMNS = ['_row', '_column', '_code', '_reason', '_file'] as const;
type RefusalColumn = (typeof REFUSAL_COLUMNS)[number];

const ROW: RefusalColumn = '_row';
const FILE: RefusalColumn = '_file';
const FILE_HASH = /^[0-9a-f]{32}$/;
const ROW_NUMBER = /^[1-9]\d{0,14}$/;

/** Where a row that was exported had been refused, as names of rows without a key go; null: it is a row of this file. */
export function formerRowId(file: unknown, row: unknown): string | null {
  const number = typeof row === 'number' ? String(row) : row;
  if (typeof file !== 'string' || typeof number !== 'string') return null;
  return FILE_HASH.test(file) && ROW_NUMBER.test(number) ? `${file}:${number}` : null;
}

/** Reads {@link formerRowId} of rows of a file with these columns; null where it lacks those of an export. */
export function formerRowIdReader(
  columnIndex: ReadonlyMap<string, number> | null,
): (row: { readonly cells: readonly string[] | null; readonly record: JsonObject | null }) => string | null {
  if (columnIndex === null) return ({ record }) => formerRowId(record?.[FILE], record?.[ROW]);
  const [file, row] = [columnIndex.get(FILE), columnIndex.get(ROW)];
  if (file === undefined || row === undefined) return () => null;
  return ({ cells }) => formerRowId(cells?.[file], cells?.[row]);
}

/** The place that {@link formerRowId} names. */
export function formerPlaceOf(rowId: string | null): FormerPlace | null {
  const [file, row] = rowId?.split(':') ?? [];
  return file === undefined || row === undefined ? null : { file, row: Number(row) };
}
