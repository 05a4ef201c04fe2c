import type { JsonObject } from '../events/event.model.js';

export const FILE_FORMATS = ['csv', 'jsonl', 'parquet'] as const;
export type FileFormat = (typeof FILE_FORMATS)[number];

/** Longest row, in UTF-16 units of its text. */
export const MAX_ROW_LENGTH = 1_048_576;

export type RowFaultCode = 'ROW_TOO_LONG' | 'ROW_MALFORMED' | 'ROW_RAGGED' | 'ROW_BAD_UTF8';

/** Why a row cannot be read at all. */
export interface RowFault {
  readonly code: RowFaultCode;
  readonly reason: string;
  /** The first characters of the row's text. */
  readonly excerpt: string;
}

/**
 * One row of a file. `number` counts rows from 1, a CSV header included: the number a spreadsheet shows, and the line
 * number where no field holds a line break. Blank lines count and are not handed on.
 */
export interface SourceRow {
  readonly number: number;
  /** CSV: one string a column, in the header's order. */
  readonly cells: readonly string[] | null;
  /** JSON lines and Parquet: the object. */
  readonly record: JsonObject | null;
  readonly fault: RowFault | null;
  /** Of a row that was cleaned: as it was before. */
  readonly asRead?: SourceRow;
  /** Of a row that was cleaned: why it is refused all the same. */
  readonly invalid?: { readonly code: string; readonly reason: string };
  /** Of a row that was cleaned: columns whose values are not what they should be. */
  readonly flags?: readonly string[];
}

export interface RowChunk {
  readonly rows: readonly SourceRow[];
  /** How far that is, of the bytes of a file as it is stored. */
  readonly bytesRead: number;
}

/**
 * Rows in batches, of a file or of another store of rows. Opened again it gives the same rows in the same order with the
 * same numbers, so that the number of a row is a place from which reading can be resumed, and names its event.
 */
export interface RowFeed {
  /** CSV and Parquet: the columns. JSON lines: null. */
  readonly header: readonly string[] | null;
  /** To be read once. Stopping early closes the streams; the file handle stays open. */
  readonly chunks: AsyncGenerator<RowChunk, void, undefined>;
}

const LONE_SURROGATES = /\p{Surrogate}/gu;
/** Most characters of a row that are quoted in a fault. */
const MAX_EXCERPT_LENGTH = 500;

export function faultyRow(number: number, code: RowFaultCode, reason: string, text: string): SourceRow {
  const excerpt = text.slice(0, MAX_EXCERPT_LENGTH).replace(LONE_SURROGATES, '\uFFFD');
  return { number, cells: null, record: null, fault: { code, reason, excerpt } };
}
