import { TextRows } from './row-encoder.js';
import type { TrainingCell, TrainingColumn } from './training-set.model.js';

const LINE_END = '\r\n';
const NEEDS_QUOTES = /[",\r\n]/;

/**
 * One line of CSV by RFC 4180. Null is an empty cell and the empty text a quoted one; times are ISO 8601 in UTC; lists
 * and maps are JSON, times in them in ms.
 */
export function csvRow(cells: readonly TrainingCell[], columns: readonly TrainingColumn[]): string {
  return cells.map((cell, i) => cellText(cell, columns[i])).join(',') + LINE_END;
}

export function csvHeader(columns: readonly TrainingColumn[]): string {
  return columns.map(({ name }) => quoted(name)).join(',') + LINE_END;
}

/** A file of these columns, their names first. */
export function csvRows(columns: readonly TrainingColumn[]): TextRows {
  return new TextRows(csvHeader(columns), (cells) => csvRow(cells, columns));
}

function cellText(cell: TrainingCell, column: TrainingColumn | undefined): string {
  if (cell === null) return '';
  if (typeof cell === 'string') return quoted(cell);
  if (typeof cell === 'object') return quoted(JSON.stringify(cell));
  return column?.type === 'timestamp' ? new Date(Number(cell)).toISOString() : String(cell);
}

function quoted(text: string): string {
  if (text !== '' && !NEEDS_QUOTES.test(text)) return text;
  return `"${text.replaceAll('"', '""')}"`;
}
