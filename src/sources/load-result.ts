import type { Clock } from '../platform/clock.js';
import type { Queryable } from '../platform/postgres.js';
import type { LoadFinding } from './load-expectation.model.js';
import type { LoadFile } from './load-file.js';
import type { LetterSettler } from './load-sender.js';
import type { LoadCounts, LoadOutcome, LoadResult, NewSourceNote } from './load.model.js';
import type { LoadRecord, LoadStore } from './load.store.js';
import type { Mapping } from './mapping.model.js';

export interface LoadResultParts {
  readonly db: Queryable;
  readonly clock: Clock;
  readonly loads: Pick<LoadStore, 'countRefused'>;
  readonly deadLetters: Pick<LetterSettler, 'countSettled'>;
}

/** A run of a load, as far as what is told of it depends on that. */
export interface FinishedRun {
  readonly request: {
    readonly mapping: Pick<Mapping, 'source'>;
    readonly timeShiftMs?: number;
    readonly shiftToMs?: number;
  };
  readonly file: LoadFile;
  readonly newSource: NewSourceNote | null;
  /** As it was when the run began. */
  readonly load: LoadRecord;
  readonly isNew: boolean;
  /** ms */
  readonly startedAt: number;
}

/** What a run came to that found its file loaded completely. */
export async function alreadyLoaded(parts: LoadResultParts, run: FinishedRun): Promise<LoadResult> {
  const { accepted, duplicates, finishedAt } = run.load;
  const counts = { ...run.load, accepted: 0, duplicates: accepted + duplicates };
  return resultOf(parts, run, 'already_loaded', counts, finishedAt);
}

/** What a run came to, letters of all runs of its load included. @param loadedAt ms; null: not all of it is loaded */
export async function resultOf(
  { loads, deadLetters, db, clock }: LoadResultParts,
  { load, request, isNew, newSource, file, startedAt }: FinishedRun,
  outcome: LoadOutcome,
  counts: LoadCounts,
  loadedAt: number | null,
  unexpected: readonly LoadFinding[] = [],
): Promise<LoadResult> {
  const refusedByCode = await loads.countRefused(load.id);
  const { shiftToMs, timeShiftMs = load.timeShiftMs } = request;
  return {
    outcome,
    loadId: load.id,
    source: request.mapping.source,
    newSource,
    resumed: !isNew && load.status !== 'done',
    timeShiftMs: load.timeShiftMs,
    shiftKept: !isNew && (shiftToMs !== undefined || timeShiftMs !== load.timeShiftMs),
    emit: load.emit,
    loadedAt,
    unexpected,
    ...figuresOf(counts, file, clock.now() - startedAt),
    accepted: counts.accepted,
    duplicates: counts.duplicates,
    refused: Object.values(refusedByCode).reduce((sum, count) => sum + count, 0),
    refusedByCode,
    lettersSettled: await deadLetters.countSettled(db, load.id),
  };
}

/** What loads and dry runs alike say of a file. */
export function figuresOf(counts: LoadCounts, file: LoadFile, tookMs: number) {
  const seconds = tookMs / 1_000;
  return {
    rows: counts.rowsRead,
    skipped: counts.rowsSkipped,
    events: counts.accepted + counts.duplicates,
    identifiersDropped: counts.dropped,
    bytes: file.sizeBytes,
    seconds,
    rowsPerSecond: seconds > 0 ? Math.round(counts.rowsRead / seconds) : 0,
  };
}
