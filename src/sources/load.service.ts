import type { FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';

import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { newId } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import { RowMapper } from './compile-mapping.js';
import { createUnitMaker, type LoadUnit, type UnitMaker } from './group-rows.js';
import { assertUnchanged, hashFile, openLoadFile, type LoadFile } from './load-file.js';
import { isOverLimit, type DryRunResult, type LoadOutcome, type LoadProgress, type LoadResult } from './load.model.js';
import { DryRunCounts } from './load-dry-run.js';
import { LoadFeed } from './load-feed.js';
import { LoadSender, type EventAcceptor, type LoadDeadLetterStore } from './load-sender.js';
import { unitsOf, type LoadCounts, type LoadRecord, type LoadStore } from './load.store.js';
import { DEFAULT_ERROR_LIMIT, type ErrorLimit, type Mapping } from './mapping.model.js';
import { openRows, type OpenRows } from './row-reader.js';
import type { Source } from './source.model.js';
import type { SourceService } from './source.service.js';

const MAX_IN_FLIGHT = 4;
const DRY_RUN_ROWS = 100_000;
const NO_COUNTS: LoadCounts = { rowsRead: 0, accepted: 0, duplicates: 0, refused: 0 };

export interface LoadRequest {
  /** A path, or `-` for standard input. */
  readonly file: string;
  readonly mapping: Mapping;
  /** Added to every time; default 0. A load that was begun keeps the shift that it began with. */
  readonly timeShiftMs?: number;
  /** Shifts times so that the last one of the file becomes this instant; instead of `timeShiftMs`. */
  readonly shiftToMs?: number;
  /** Emit the changes that the events cause. Default: history, which sets state and emits nothing. */
  readonly emit?: boolean;
  /** Default: the mapping's, else {@link DEFAULT_ERROR_LIMIT}. */
  readonly errorLimit?: ErrorLimit;
  /** Send a file again that is loaded completely. */
  readonly again?: boolean;
  readonly onProgress?: (progress: LoadProgress) => void;
  readonly signal?: AbortSignal;
}

export interface LoadDependencies {
  readonly sources: SourceService;
  readonly loads: LoadStore;
  readonly acceptor: EventAcceptor;
  readonly deadLetters: LoadDeadLetterStore;
  readonly db: Queryable;
  readonly clock: Clock;
  /** Rejects when the signal is aborted. */
  readonly sleep: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
  readonly stdin: Readable;
}

/**
 * Loads files into the event log.
 *
 * 1. Exactly once: an event's message id is a function of the file and the mapping, and the log keeps one of each.
 * 2. A load that was stopped in any way goes on when it is run again. It reads the file from the start, which costs
 *    little and rebuilds open groups, and sends what the checkpoint does not cover. The checkpoint is written after
 *    everything that it covers is durable, and units are a function of file and mapping alone.
 * 3. Every row ends in an event, a dead letter or the count of skipped rows.
 */
export class LoadService {
  constructor(private readonly deps: LoadDependencies) {}

  /** @throws WeftError where the file cannot be read or does not fit the mapping, or the log stays unavailable. */
  async load(request: LoadRequest): Promise<LoadResult> {
    const startedAt = this.deps.clock.now();
    const file = await openLoadFile(request.file, this.deps.stdin);
    try {
      const { mapping, signal } = request;
      // Before anything is written: a file that does not fit the mapping leaves no trace.
      await this.#checkHeader(file.handle, mapping);
      const fileHash = await hashFile(file, signal, (bytesRead) => {
        request.onProgress?.({ ...NO_PROGRESS, phase: 'hashing', bytesRead, bytesTotal: file.sizeBytes });
      });
      const source = await this.#source(mapping.source);
      const { load, isNew } = await this.#register(request, file, fileHash, source);
      const run = { request, file, fileHash, source, load, isNew, startedAt };
      if (load.status === 'done' && request.again !== true) return await this.#alreadyLoaded(run);
      return await this.#run(run);
    } finally {
      await file.handle.close();
    }
  }

  /** Maps the first rows and tells what a load would do; writes nothing. Identifier rules are not asked. */
  async dryRun(request: Pick<LoadRequest, 'file' | 'mapping' | 'timeShiftMs' | 'signal'>): Promise<DryRunResult> {
    const file = await openLoadFile(request.file, this.deps.stdin);
    try {
      const { maker, opened } = await this.#open(
        file.handle,
        request.mapping,
        '0'.repeat(64),
        request.timeShiftMs ?? 0,
      );
      const counted = new DryRunCounts();
      const units: LoadUnit[] = [];
      let bytesRead = 0;
      let complete = true;
      for await (const chunk of opened.chunks) {
        request.signal?.throwIfAborted();
        for (const row of chunk.rows) maker.push(row, units);
        counted.rows += chunk.rows.length;
        counted.add(units);
        bytesRead = chunk.bytesRead;
        if (counted.rows >= DRY_RUN_ROWS && bytesRead < file.sizeBytes) {
          complete = false;
          break;
        }
      }
      maker.end(units);
      counted.add(units);
      return counted.result(request.mapping.source, maker.skipped, complete, complete ? 1 : bytesRead / file.sizeBytes);
    } finally {
      await file.handle.close();
    }
  }

  async #checkHeader(handle: FileHandle, mapping: Mapping): Promise<void> {
    const { opened } = await this.#open(handle, mapping, '', 0);
    await opened.chunks.return();
  }

  async #open(
    handle: FileHandle,
    mapping: Mapping,
    fileHash: string,
    timeShiftMs: number,
  ): Promise<{ opened: OpenRows; mapper: RowMapper; maker: UnitMaker }> {
    const opened = await openRows(handle, mapping);
    try {
      const mapper = new RowMapper(mapping, opened.header, { fileHash, timeShiftMs });
      return { opened, mapper, maker: createUnitMaker(mapping, mapper) };
    } catch (error) {
      await opened.chunks.return();
      throw error;
    }
  }

  /** History may be loaded into a source of any kind, so that live events go on from it. */
  async #source(key: string): Promise<Source> {
    return (await this.deps.sources.findByKey(key)) ?? (await this.deps.sources.ensure({ key, kind: 'batch' }));
  }

  async #register(
    request: LoadRequest,
    file: LoadFile,
    fileHash: string,
    source: Source,
  ): Promise<{ load: LoadRecord; isNew: boolean }> {
    const key = { sourceId: source.id, fileHash, mappingHash: request.mapping.hash };
    const found = await this.deps.loads.find(key);
    if (found !== null) return { load: found, isNew: false };
    const startedAt = this.deps.clock.now();
    await this.deps.loads.insert({
      ...key,
      id: newId(startedAt),
      fileName: file.name,
      timeShiftMs: await this.#timeShift(request, file),
      emit: request.emit ?? false,
      startedAt,
    });
    const load = await this.deps.loads.find(key);
    if (load === null) throw new WeftError('CONFLICT', 'the load was removed while it began', { where: file.name });
    return { load, isNew: true };
  }

  async #timeShift(request: LoadRequest, file: LoadFile): Promise<number> {
    if (request.shiftToMs === undefined) return request.timeShiftMs ?? 0;
    const { maker, opened } = await this.#open(file.handle, request.mapping, '', 0);
    const units: LoadUnit[] = [];
    let rows = 0;
    let lastMs = Number.NEGATIVE_INFINITY;
    const take = (): void => {
      for (const { event } of units) lastMs = Math.max(lastMs, event?.timestampMs ?? Number.NEGATIVE_INFINITY);
      units.length = 0;
    };
    for await (const chunk of opened.chunks) {
      request.signal?.throwIfAborted();
      for (const row of chunk.rows) maker.push(row, units);
      rows += chunk.rows.length;
      take();
      const { bytesRead } = chunk;
      request.onProgress?.({ ...NO_PROGRESS, phase: 'scanning', rows, bytesRead, bytesTotal: file.sizeBytes });
    }
    maker.end(units);
    take();
    if (Number.isFinite(lastMs)) return request.shiftToMs - lastMs;
    throw new WeftError('BAD_REQUEST', 'no event of the file has a time, so there is nothing to shift', {
      where: file.name,
      hint: 'give the mapping a "time", or load without a shift',
    });
  }

  async #run(run: Run): Promise<LoadResult> {
    const { request, file, load } = run;
    const { opened, mapper, maker } = await this.#open(file.handle, request.mapping, run.fileHash, load.timeShiftMs);
    const sender = new LoadSender({
      ...this.deps,
      source: run.source,
      loadId: load.id,
      historical: !load.emit,
      mapper,
      now: () => this.deps.clock.now(),
      sleep: (ms) => this.deps.sleep(ms, request.signal),
      // One at a time where changes follow from the order of acceptance: it is then the order of the file.
      maxInFlight: load.emit ? 1 : MAX_IN_FLIGHT,
      startFrom: load.status === 'done' ? NO_COUNTS : load,
    });
    const feed = new LoadFeed(maker, sender, async (counts) => {
      await this.deps.loads.update(load.id, 'running', counts, null);
    });
    const limit = request.errorLimit ?? request.mapping.errorLimit ?? DEFAULT_ERROR_LIMIT;
    const isOver = (counts: LoadCounts): boolean => isOverLimit(limit, counts.refused, unitsOf(counts));
    let outcome: LoadOutcome = 'loaded';
    try {
      for await (const chunk of opened.chunks) {
        if (request.signal?.aborted === true) outcome = 'interrupted';
        else if (isOver(sender.counts)) outcome = 'too_many_refused';
        if (outcome !== 'loaded') break;
        for (const row of chunk.rows) {
          feed.rows++;
          maker.push(row, feed.pending);
          if (!feed.isFull) continue;
          await feed.flush(false);
          if (request.signal?.aborted === true) break;
        }
        const { rows, units, refused } = feed;
        const { bytesRead } = chunk;
        const bytesTotal = file.sizeBytes;
        request.onProgress?.({ phase: 'loading', rows, events: units - refused, refused, bytesRead, bytesTotal });
      }
      if (request.signal?.aborted === true) outcome = 'interrupted';
      if (outcome === 'loaded') {
        maker.end(feed.pending);
        await feed.flush(true);
      }
      await sender.drain();
      await assertUnchanged(file);
    } catch (error) {
      await sender.settle();
      if (request.signal?.aborted !== true) {
        await this.#markFailed(load, sender.counts);
        throw error;
      }
      outcome = 'interrupted';
    }
    if (outcome === 'loaded' && isOver(sender.counts)) outcome = 'too_many_refused';
    return this.#finish(run, outcome, sender.counts, feed);
  }

  async #finish(run: Run, outcome: LoadOutcome, counts: LoadCounts, feed: LoadFeed): Promise<LoadResult> {
    const { load } = run;
    const isDone = outcome === 'loaded';
    const status = isDone ? 'done' : outcome === 'interrupted' ? 'running' : 'failed';
    const reached = isDone ? { ...counts, rowsRead: feed.rows } : counts;
    await this.deps.loads.update(load.id, status, reached, status === 'running' ? null : this.deps.clock.now());
    return this.#result(run, outcome, {
      rows: feed.rows,
      skipped: feed.skipped,
      events: feed.units - feed.refused,
      accepted: counts.accepted,
      duplicates: counts.duplicates,
    });
  }

  async #alreadyLoaded(run: Run): Promise<LoadResult> {
    const { rowsRead, accepted, duplicates } = run.load;
    const events = accepted + duplicates;
    return this.#result(run, 'already_loaded', { rows: rowsRead, skipped: 0, events, accepted: 0, duplicates: events });
  }

  async #result(
    run: Run,
    outcome: LoadOutcome,
    counts: Pick<LoadResult, 'rows' | 'skipped' | 'events' | 'accepted' | 'duplicates'>,
  ): Promise<LoadResult> {
    const { load, request } = run;
    const refusedByCode = await this.deps.loads.countRefused(load.id);
    const seconds = (this.deps.clock.now() - run.startedAt) / 1_000;
    return {
      outcome,
      loadId: load.id,
      source: request.mapping.source,
      resumed: !run.isNew && load.status !== 'done',
      timeShiftMs: load.timeShiftMs,
      shiftKept:
        !run.isNew &&
        (request.shiftToMs !== undefined || (request.timeShiftMs ?? load.timeShiftMs) !== load.timeShiftMs),
      emit: load.emit,
      ...counts,
      refused: Object.values(refusedByCode).reduce((sum, count) => sum + count, 0),
      refusedByCode,
      bytes: run.file.sizeBytes,
      seconds,
      rowsPerSecond: seconds > 0 ? Math.round(counts.rows / seconds) : 0,
    };
  }

  /** Only a note for people: a load that is not `done` goes on when it is run again, whatever its status says. */
  async #markFailed(load: LoadRecord, counts: LoadCounts): Promise<void> {
    try {
      await this.deps.loads.update(load.id, 'failed', counts, this.deps.clock.now());
    } catch {
      // The error that brought us here is the one to tell.
    }
  }
}

interface Run {
  readonly request: LoadRequest;
  readonly file: LoadFile;
  readonly fileHash: string;
  readonly source: Source;
  readonly load: LoadRecord;
  readonly isNew: boolean;
  readonly startedAt: number;
}

const NO_PROGRESS = { rows: 0, events: 0, refused: 0 } as const;
