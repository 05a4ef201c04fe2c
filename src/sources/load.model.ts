import type { Uuid } from '../platform/ids.js';
import type { ErrorLimit } from './mapping.model.js';

/** What a load has done so far. */
export interface LoadProgress {
  readonly phase: 'hashing' | 'scanning' | 'loading';
  /** Rows read, a CSV header and blank rows not counted. */
  readonly rows: number;
  /** Events that the rows became. */
  readonly events: number;
  /** Rows or groups that became none. */
  readonly refused: number;
  /** Bytes of the file as it is stored. */
  readonly bytesRead: number;
  readonly bytesTotal: number;
}

/**
 * - `loaded`: the whole file is in.
 * - `already_loaded`: an earlier load of this file with this mapping was complete; nothing was sent.
 * - `interrupted`: stopped on request; the same load again goes on from there.
 * - `too_many_refused`: the error limit was reached; what was accepted stays, the same load again goes on.
 */
export type LoadOutcome = 'loaded' | 'already_loaded' | 'interrupted' | 'too_many_refused';

export interface LoadResult {
  readonly outcome: LoadOutcome;
  readonly loadId: Uuid;
  readonly source: string;
  /** Whether an earlier, unfinished run of this load was continued. */
  readonly resumed: boolean;
  /** Added to every time, ms. */
  readonly timeShiftMs: number;
  /** Whether another time shift was asked for than the one that the first run had stored, which stands. */
  readonly shiftKept: boolean;
  readonly emit: boolean;
  readonly rows: number;
  /** Rows that `when` left out. */
  readonly skipped: number;
  /** Events made from rows; `accepted + duplicates + refused by validation`. */
  readonly events: number;
  readonly accepted: number;
  /** Events that were in the log already. */
  readonly duplicates: number;
  /** Dead letters of this load, all runs together. */
  readonly refused: number;
  readonly refusedByCode: Readonly<Record<string, number>>;
  readonly bytes: number;
  readonly seconds: number;
  readonly rowsPerSecond: number;
}

export interface DryRunResult {
  readonly source: string;
  /** The first events, as they would be sent. */
  readonly firstEvents: readonly unknown[];
  readonly rows: number;
  readonly events: number;
  readonly skipped: number;
  readonly refused: number;
  readonly refusedByCode: Readonly<Record<string, number>>;
  /** The first refusals. */
  readonly firstRefusals: readonly { readonly rowNumber: number; readonly code: string; readonly reason: string }[];
  /** Whether the counts are of the whole file; else of its first part. */
  readonly complete: boolean;
  /** Rows and events of the whole file, by the share of its bytes that was read. */
  readonly estimatedRows: number;
  readonly estimatedEvents: number;
  /** Times of the events, ms; null where none has one. */
  readonly firstTimeMs: number | null;
  readonly lastTimeMs: number | null;
}

/** `500`: more than 500 refusals stop a load. `30%`: more than 1,000 and more than 30 %. Undefined: neither. */
export function parseErrorLimit(text: string): ErrorLimit | undefined {
  const match = /^(\d{1,15})$|^(\d{1,3}(?:\.\d+)?)%$/.exec(text.trim());
  if (match === null) return undefined;
  if (match[1] !== undefined) return { rows: Number(match[1]), share: 0 };
  const share = Number(match[2]) / 100;
  return share <= 1 ? { rows: 1_000, share } : undefined;
}

export function isOverLimit(limit: ErrorLimit, refused: number, total: number): boolean {
  return refused > limit.rows && refused > limit.share * total;
}
