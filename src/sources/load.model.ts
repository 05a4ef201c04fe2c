import type { Retraction, RetractionExtent } from '../events/retraction.model.js';
import type { Uuid } from '../platform/ids.js';
import type { LoadFinding } from './load-expectation.model.js';
import type { ErrorLimit } from './mapping.model.js';

export const LOAD_STATUSES = ['running', 'done', 'failed', 'reverting', 'reverted'] as const;
/** `running` until it is done, whether a process is at it or not; a load that is `reverted` has left nothing behind. */
export type LoadStatus = (typeof LOAD_STATUSES)[number];

/** What a load has done so far. `fetching`: rows of a query are being
 * read into a file. `finishing`: the file is read, and what it became is still on its way into the log. */
export interface LoadProgress {
  readonly phase: 'fetching' | 'hashing' | 'scanning' | 'loading' | 'finishing';
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

export interface NewSourceNote {
  /** The key of a source that there was, and that this one is like; null: there is none. */
  readonly near: string | null;
}

/** What a load or a dry run came to. */
interface LoadReport {
  readonly source: string;
  /** Given where the source was made by this load, or would be: whether another one may have been meant. */
  readonly newSource: NewSourceNote | null;
  /** Added to every time, ms. */
  readonly timeShiftMs: number;
  /** Read, a CSV header and blank rows not counted. */
  readonly rows: number;
  /** Rows that `when` left out. */
  readonly skipped: number;
  /** Events that rows or groups became; those refused are not among them. */
  readonly events: number;
  /** Rows and groups that became none. */
  readonly refused: number;
  readonly refusedByCode: Readonly<Record<string, number>>;
  /** Identifiers that the events were taken without, by `namespace.reason`. */
  readonly identifiersDropped: DroppedCounts;
  /** What the mapping and batch views expect of the file, and it is not. */
  readonly unexpected: readonly LoadFinding[];
  readonly bytes: number;
  readonly seconds: number;
  readonly rowsPerSecond: number;
}

/** Of an `already_loaded` file, the figures are of the load that brought it; its events are duplicates now. */
export interface LoadResult extends LoadReport {
  readonly outcome: LoadOutcome;
  readonly loadId: Uuid;
  /** Whether an earlier, unfinished run of this load was continued; the figures are of all its runs together. */
  readonly resumed: boolean;
  /** Whether another time shift was asked for than the one that the first run had stored, which stands. */
  readonly shiftKept: boolean;
  readonly emit: boolean;
  /** When the whole file was in, ms; null: it is not. */
  readonly loadedAt: number | null;
  readonly accepted: number;
  /** Refused rows of earlier loads that this one brought in, so that they are open no more. */
  readonly lettersSettled: number;
  /** Events that were in the log already. Of a resumed load, also those that a run sent and had no time to count. */
  readonly duplicates: number;
}

/** What events would do to people, by the identifiers that they and the profiles have. */
export interface ForecastPeople {
  /** Who is not known yet. */
  readonly created: number;
  /** Who is known, and would have new events. */
  readonly updated: number;
  /** Profiles that would become part of others. */
  readonly mergedAway: number;
  /** Events that were looked at: those that are new. */
  readonly events: number;
  /** Whether there are more events than were looked at. */
  readonly isSample: boolean;
}

/** A column of the file, from a sample of it. */
export interface SampledColumn {
  readonly name: string;
  readonly type: string;
  readonly distinct: number;
  /** 0…1 of the rows. */
  readonly emptyShare: number;
}

/** What a load would report. */
export interface DryRunResult extends LoadReport {
  /** Of the events, those that are in the log already, or in the file before. */
  readonly duplicates: number;
  /** Null where it was not asked. */
  readonly people: ForecastPeople | null;
  readonly columns: readonly SampledColumn[];
  /** `not_as_expected`: a load would stop before it sends anything. */
  readonly outcome: Exclude<LoadOutcome, 'already_loaded'> | 'not_as_expected';
  /** Whether this file is loaded with this mapping, so that a load would send nothing. */
  readonly alreadyLoaded: boolean;
  /** The first events, as they would be sent. */
  readonly firstEvents: readonly unknown[];
  /** The first refusals. */
  readonly firstRefusals: readonly { readonly rowNumber: number; readonly code: string; readonly reason: string }[];
  /** Times of the events, ms; null where none has one. */
  readonly firstTimeMs: number | null;
  readonly lastTimeMs: number | null;
}

/** Counts by `namespace.reason`, such as `email.malformed`. */
export type DroppedCounts = Readonly<Record<string, number>>;

/**
 * How far a load has come. Each unit ends as exactly one of accepted, duplicate and refused, and units are counted in
 * their order, so the sum of the three says which units are durable: the first so many.
 */
export interface LoadCounts {
  /** Rows that had been read when the last of these units was sent. For people; nothing is decided by it. */
  readonly rowsRead: number;
  /** Of them those that `when` left out. */
  readonly rowsSkipped: number;
  readonly accepted: number;
  readonly duplicates: number;
  readonly refused: number;
  readonly dropped: DroppedCounts;
}

export const NO_COUNTS: LoadCounts = {
  rowsRead: 0,
  rowsSkipped: 0,
  accepted: 0,
  duplicates: 0,
  refused: 0,
  dropped: {},
};

export function unitsOf({ accepted, duplicates, refused }: LoadCounts): number {
  return accepted + duplicates + refused;
}

/** The counts once a later batch is durable too. */
export function addBatch(before: LoadCounts, batch: LoadCounts): LoadCounts {
  const dropped = { ...before.dropped };
  for (const [key, count] of Object.entries(batch.dropped)) dropped[key] = (dropped[key] ?? 0) + count;
  return {
    rowsRead: Math.max(before.rowsRead, batch.rowsRead),
    rowsSkipped: Math.max(before.rowsSkipped, batch.rowsSkipped),
    accepted: before.accepted + batch.accepted,
    duplicates: before.duplicates + batch.duplicates,
    refused: before.refused + batch.refused,
    dropped,
  };
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

/** Takes back what loads brought in, as far as loads need it. */
export interface LoadReverter {
  extentOfLoad(loadId: Uuid): Promise<RetractionExtent>;
  takeBackLoad(loadId: Uuid): Promise<Retraction>;
  done(id: Uuid, options: RevertOptions): Promise<Retraction>;
}

interface RevertOptions {
  readonly onProgress?: (removed: number, events: number) => void;
  readonly signal?: AbortSignal;
}
