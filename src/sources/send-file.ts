import type { Clock } from '../platform/clock.js';
import type { Queryable } from '../platform/postgres.js';
import type { Uuid } from '../platform/ids.js';
import { RowMapper } from './compile-mapping.js';
import { withCleaning } from './dedupe-rows.js';
import { createUnitMaker, type UnitMaker } from './group-rows.js';
import { ExpectationCheck } from './check-expectations.js';
import type { LoadExpectation, LoadFinding } from './load-expectation.model.js';
import { assertUnchanged, type LoadFile } from './load-file.js';
import { LoadFeed, type LoadLimits } from './load-feed.js';
import { isOverLimit, unitsOf, type LoadCounts, type LoadProgress } from './load.model.js';
import { LoadSender, type EventAcceptor, type LetterSettler, type LoadDeadLetterStore } from './load-sender.js';
import type { ErrorLimit, Mapping } from './mapping.model.js';
import { openRows } from './row-reader.js';
import type { RowFeed } from './row.model.js';

export interface FileToSend {
  readonly file: LoadFile;
  readonly fileHash: string;
  readonly mapping: Mapping;
  readonly timeShiftMs: number;
  readonly errorLimit: ErrorLimit;
  /** All that is expected of the file. */
  readonly expectations: readonly LoadExpectation[];
  readonly limits: LoadLimits;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: LoadProgress) => void) | undefined;
}

/** Where the units of a file go: into the log, or nowhere in a dry run. */
export interface SendTarget {
  readonly source: { readonly id: number; readonly key: string };
  readonly loadId: Uuid;
  readonly historical: boolean;
  readonly receivedAtMs: number;
  readonly acceptor: EventAcceptor;
  readonly deadLetters: LoadDeadLetterStore;
  /** Null: no letters are closed. */
  readonly settler: Pick<LetterSettler, 'settleRows'> | null;
  readonly db: Queryable;
  readonly clock: Clock;
  readonly sleep: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
  readonly maxInFlight: number;
  readonly startFrom: LoadCounts;
  /** Keeps counts of which everything is durable. */
  checkpoint(counts: LoadCounts): Promise<void>;
  /** Told before an error is thrown on. */
  failed(counts: LoadCounts): Promise<void>;
}

export interface SentFile {
  readonly outcome: 'loaded' | 'interrupted' | 'too_many_refused';
  readonly counts: LoadCounts;
  /** What is not met by the units that were read. */
  readonly unexpected: readonly LoadFinding[];
}

/** Opens the rows of a file and what makes units of them. */
export async function openUnits(
  { handle, name }: LoadFile,
  mapping: Mapping,
  options: { readonly fileHash: string; readonly timeShiftMs: number },
): Promise<{ readonly opened: RowFeed; readonly mapper: RowMapper; readonly maker: UnitMaker }> {
  const opened = await openRows(handle, mapping, name);
  try {
    const mapper = new RowMapper(mapping, opened.header, options);
    return { opened, mapper, maker: withCleaning(mapping, opened.header, createUnitMaker(mapping, mapper)) };
  } catch (error) {
    await opened.chunks.return();
    throw error;
  }
}

/**
 * Reads a file from its start and sends the units that `startFrom` does not cover. Of an outcome other than `loaded`,
 * the counts are of what is durable.
 * @throws WeftError what reading or sending throws, unless it was stopped on request
 */
export async function sendFile(what: FileToSend, target: SendTarget): Promise<SentFile> {
  const { file, mapping, signal, limits, errorLimit, onProgress } = what;
  const { opened, mapper, maker } = await openUnits(file, mapping, what);
  const sender = new LoadSender({
    ...target,
    mapper,
    now: () => target.clock.now(),
    sleep: (ms) => target.sleep(ms, signal),
  });
  const tell = (phase: LoadProgress['phase'], bytesRead: number): void => {
    const { rows, units, refused } = feed;
    onProgress?.({ phase, rows, events: units - refused, refused, bytesRead, bytesTotal: file.sizeBytes });
  };
  const check = new ExpectationCheck(what.expectations, (row) => mapper.formerPlace(row) !== null);
  const feed: LoadFeed = new LoadFeed(maker, sender, (counts) => target.checkpoint(counts), limits, check);
  const isOver = (): boolean => isOverLimit(errorLimit, sender.counts.refused, unitsOf(sender.counts));
  let outcome: SentFile['outcome'];
  try {
    outcome = await readAndSend({ ...what, tell, isOver }, opened, maker, feed);
    await sender.drain();
    await assertUnchanged(file);
  } catch (error) {
    await sender.settle();
    if (signal?.aborted !== true) {
      await target.failed(sender.counts);
      throw error;
    }
    outcome = 'interrupted';
  }
  if (outcome === 'loaded' && isOver()) outcome = 'too_many_refused';
  const counts = { ...sender.counts, rowsRead: feed.rows, rowsSkipped: feed.skipped };
  return { outcome, counts, unexpected: check.findings(outcome === 'loaded') };
}

interface Reading extends Pick<FileToSend, 'file' | 'signal'> {
  readonly tell: (phase: LoadProgress['phase'], bytesRead: number) => void;
  readonly isOver: () => boolean;
}

async function readAndSend(
  { file, signal, tell, isOver }: Reading,
  { chunks }: RowFeed,
  maker: UnitMaker,
  feed: LoadFeed,
): Promise<SentFile['outcome']> {
  for await (const { rows, bytesRead } of chunks) {
    if (isOver()) return 'too_many_refused';
    for (const row of rows) {
      if (signal?.aborted === true) return 'interrupted';
      feed.rows++;
      maker.push(row, feed.pending);
      if (feed.isFull) await feed.flush(false);
    }
    tell('loading', bytesRead);
  }
  if (signal?.aborted === true) return 'interrupted';
  maker.end(feed.pending);
  const tellFinishing = (): void => {
    tell('finishing', file.sizeBytes);
  };
  tellFinishing();
  await feed.flush(true, tellFinishing);
  return 'loaded';
}
