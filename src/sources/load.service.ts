import type { Readable } from 'node:stream';

import type { EventChecker } from '../events/accept.model.js';
import type { RetractionExtent } from '../events/retraction.model.js';
import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { FeatureReader } from '../features/feature.reader.js';
import { newId, type Uuid } from '../platform/ids.js';
import type { Database, Queryable } from '../platform/postgres.js';
import { sampledColumns } from './infer/sampled-columns.js';
import { beingReverted, changedSince, noSuchLoad, ofAnotherSource, paused } from './load-errors.js';
import { demandExpected } from './demand-expected.js';
import { expectationsOfViews, type LoadExpectation } from './load-expectation.model.js';
import { DryRunTarget } from './load-dry-run.js';
import { DEFAULT_LOAD_LIMITS, type LoadLimits } from './load-feed.js';
import { LoadForecast, type IdentityLookup } from './load-forecast.js';
import { openLoadFile, STDIN, type LoadFile } from './load-file.js';
import { withLoadLock } from './load-lock.js';
import {
  NO_COUNTS,
  type DryRunResult,
  type LoadCounts,
  type LoadProgress,
  type LoadResult,
  type LoadReverter,
  type NewSourceNote,
} from './load.model.js';
import { alreadyLoaded, figuresOf, resultOf, type FinishedRun } from './load-result.js';
import type { EventAcceptor, LetterSettler, LoadDeadLetterStore } from './load-sender.js';
import type { LoadOrigin, LoadRecord, LoadStore } from './load.store.js';
import { DEFAULT_ERROR_LIMIT, type ErrorLimit, type Mapping } from './mapping.model.js';
import { checkFit, hashed, scanUnits } from './scan-units.js';
import { retryUnavailable } from './retry-unavailable.js';
import { sendFile, type FileToSend } from './send-file.js';
import type { Source } from './source.model.js';
import type { SourceService } from './source.service.js';

const MAX_IN_FLIGHT = 4;

export interface LoadRequest {
  /** A path, `-` for standard input, or a file that is open, which is closed at the end. */
  readonly file: string | LoadFile;
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
  /** Told before anything is sent, where the load makes its source. */
  readonly onNewSource?: (key: string, note: NewSourceNote) => void;
  readonly signal?: AbortSignal;
}

export interface Replacement {
  /** The load that is replaced. */
  readonly loadId: Uuid;
  /** Asked before anything is taken back, unless that has begun already; false: nothing is changed. */
  readonly confirm: (load: LoadOrigin, extent: RetractionExtent) => Promise<boolean>;
  readonly onReverted?: (removed: number, events: number) => void;
}

export interface ReplaceResult {
  readonly checked: DryRunResult;
  /** Null: nothing was changed, because of what the check found or because it was not confirmed. */
  readonly loaded: LoadResult | null;
  readonly isDeclined: boolean;
}

/** The way of records of an entity, as far as a load needs it. */
export interface RecordAcceptor extends EventAcceptor, Pick<EventChecker, 'check'> {
  readonly entity: { readonly joinKey: string };
}

export interface LoadDependencies {
  readonly sources: SourceService;
  readonly loads: LoadStore;
  readonly acceptor: EventAcceptor;
  readonly checker: EventChecker;
  /** Who takes records of entities; left out: rows are about people alone. */
  readonly records?: { acceptorOf(entity: string): Promise<RecordAcceptor> };
  readonly deadLetters: LoadDeadLetterStore & LetterSettler;
  readonly identities: IdentityLookup;
  readonly db: Queryable & Pick<Database, 'session'>;
  readonly clock: Clock;
  /** Rejects when the signal is aborted. */
  readonly sleep: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
  readonly stdin: Readable;
  /** Takes back what a load brought in. */
  readonly reverter: LoadReverter;
  readonly limits?: Partial<LoadLimits>;
}

/**
 * Loads files into the event log.
 *
 * 1. Exactly once: an event's message id is a function of the file and the mapping, and the log keeps one of each.
 * 2. A load that was stopped in any way goes on when it is run again. It reads the file from the start, which costs
 *    little and rebuilds open groups, and sends what the checkpoint does not cover. The checkpoint is written after
 *    everything that it covers is durable, and units are a function of file and mapping alone.
 * 3. Every row ends in an event, a dead letter or the count of skipped rows.
 * 4. One process at a time runs a load: counts and checkpoints are of its run.
 */
export class LoadService {
  constructor(private readonly deps: LoadDependencies) {}

  /** @throws WeftError where the file cannot be read or does not fit the mapping, or the log stays unavailable. */
  async load(request: LoadRequest): Promise<LoadResult> {
    return this.#withFile(request, (file) => this.#load(request, file, null));
  }

  /**
   * Loads a file in place of an earlier load: checks all that can be known first, so that a mapping or a file that is not
   * right changes nothing; then takes the earlier load back, and loads. Stopped anywhere, the same call goes on.
   * @returns the dry run where that shows that a load would not end well
   * @throws WeftError as {@link load}; NOT_FOUND, CONFLICT where the earlier load cannot be reverted, is of another
   *   source, or the file changes meanwhile
   */
  async replace(request: LoadRequest, replacement: Replacement): Promise<ReplaceResult> {
    if (request.file === STDIN) {
      throw new WeftError('BAD_REQUEST', 'standard input cannot be read twice', {
        where: STDIN,
        hint: 'give the path of a file',
      });
    }
    return this.#withFile(request, (file) => this.#replace(request, file, replacement));
  }

  /**
   * Does everything that a load does, identifiers and duplicates included, but for writing; and says whom it would concern.
   * @throws WeftError as {@link load}
   */
  async dryRun(request: LoadRequest): Promise<DryRunResult> {
    return this.#withFile(request, async (file) => (await this.#check(request, file)).checked);
  }

  async #withFile<T>(request: LoadRequest, use: (file: LoadFile) => Promise<T>): Promise<T> {
    const { file: given } = request;
    const file = typeof given === 'string' ? await openLoadFile(given, this.deps.stdin) : given;
    try {
      return await use(file);
    } finally {
      await file.handle.close();
    }
  }

  /** @param expectedHash that of the file when it was checked; null where it was not */
  async #load(request: LoadRequest, file: LoadFile, expectedHash: string | null): Promise<LoadResult> {
    const startedAt = this.deps.clock.now();
    // Before anything is written: a file that does not fit the mapping leaves no trace.
    await checkFit(file, request.mapping);
    await this.#records(request.mapping);
    const expectations = await this.#expectations(request.mapping);
    const fileHash = await hashed(request, file);
    if (expectedHash !== null && fileHash !== expectedHash) throw changedSince(file);
    const known = await this.#known(request.mapping, fileHash);
    // What is loaded completely stays so, whatever is expected by now.
    const isDone = known?.status === 'done' && request.again !== true;
    if (known?.status !== 'reverting' && !isDone) await demandExpected(request, file, expectations, known);
    const { source, newSource } = await this.#source(request);
    const { load, isNew } = await this.#register(request, file, fileHash, source);
    if (load.status === 'reverting') throw beingReverted(load.id);
    const run = { request, file, fileHash, expectations, source, newSource, load, isNew, startedAt };
    if (load.status === 'done' && request.again !== true) return await alreadyLoaded(this.deps, run);
    return await withLoadLock(this.deps.db, { id: load.id, fileName: file.name }, async () => {
      // Another run may have gone on with it since it was read, or ended.
      const current = await this.#known(request.mapping, fileHash, source);
      if (current?.id !== load.id || current.status === 'reverting') throw beingReverted(load.id);
      const locked = { ...run, load: current };
      if (current.status === 'done' && request.again !== true) return await alreadyLoaded(this.deps, locked);
      return await this.#run(locked);
    });
  }

  async #replace(
    request: LoadRequest,
    file: LoadFile,
    { loadId, confirm, onReverted }: Replacement,
  ): Promise<ReplaceResult> {
    const { loads, reverter } = this.deps;
    const replaced = await loads.origin(loadId);
    if (replaced === null) throw noSuchLoad(loadId);
    if (replaced.source !== request.mapping.source) throw ofAnotherSource(replaced, request.mapping.source);
    await this.#demandReady(request.mapping.source);
    const { checked, fileHash, known } = await this.#check(request, file, loadId);
    if (checked.outcome !== 'loaded' || checked.events === 0) return { checked, loaded: null, isDeclined: false };
    if (known?.status === 'reverting') throw beingReverted(known.id);
    const hasBegun = replaced.status === 'reverting' || replaced.status === 'reverted';
    if (!hasBegun && !(await confirm(replaced, await reverter.extentOfLoad(loadId)))) {
      return { checked, loaded: null, isDeclined: true };
    }
    // Time has passed since: what would stop the load now is to stop the revert.
    await this.#demandReady(request.mapping.source);
    if ((await hashed(request, file)) !== fileHash) throw changedSince(file);
    const { signal } = request;
    const { id } = await reverter.takeBackLoad(loadId);
    await reverter.done(id, {
      ...(signal === undefined ? undefined : { signal }),
      ...(onReverted === undefined ? undefined : { onProgress: onReverted }),
    });
    return { checked, loaded: await this.#load(request, file, fileHash), isDeclined: false };
  }

  /** @param replacedId a load that will be gone by then, and does not count as known */
  async #check(request: LoadRequest, file: LoadFile, replacedId: Uuid | null = null): Promise<Checked> {
    const startedAt = this.deps.clock.now();
    const { mapping } = request;
    await checkFit(file, mapping);
    const fileHash = await hashed(request, file);
    const source = await this.deps.sources.findByKey(mapping.source);
    const found = await this.#known(mapping, fileHash, source);
    const known = found?.id === replacedId ? null : found;
    const timeShiftMs = known?.timeShiftMs ?? (await this.#timeShift(request, file));
    // What is to be replaced would count as there.
    const forecast = replacedId === null ? new LoadForecast(this.deps.db, this.deps.identities) : null;
    const records = await this.#records(mapping);
    const target = new DryRunTarget(records ?? this.deps.checker, records === null ? forecast : null);
    const expectations = await this.#expectations(mapping);
    const what = { ...this.#toSend(request, file, fileHash, timeShiftMs), expectations };
    const { outcome, counts, unexpected } = await sendFile(what, {
      ...this.deps,
      acceptor: target,
      deadLetters: target,
      settler: null,
      source: source ?? { id: 0, key: mapping.source },
      loadId: known?.id ?? '',
      historical: request.emit !== true,
      receivedAtMs: known?.startedAt ?? startedAt,
      maxInFlight: 1,
      startFrom: NO_COUNTS,
      checkpoint: () => Promise.resolve(),
      failed: () => Promise.resolve(),
    });
    const isDone = known?.status === 'done' && request.again !== true;
    const isStopped = outcome === 'loaded' && !isDone && unexpected.some(({ otherwise }) => otherwise === 'stop');
    const checked: DryRunResult = {
      outcome: isStopped ? 'not_as_expected' : outcome,
      unexpected,
      alreadyLoaded: known?.status === 'done',
      source: mapping.source,
      newSource: source === null ? { near: await this.deps.sources.nearest(mapping.source) } : null,
      timeShiftMs,
      ...figuresOf(counts, file, this.deps.clock.now() - startedAt),
      refused: counts.refused,
      duplicates: counts.duplicates,
      people: records === null ? (forecast?.people ?? null) : null,
      columns: await sampledColumns(file.handle),
      ...target.findings,
    };
    return { checked, fileHash, known };
  }

  /** What the mapping expects, and the batch views that its source feeds. */
  async #expectations({ source, entity, expectations }: Mapping): Promise<readonly LoadExpectation[]> {
    const views = await new FeatureReader(this.deps.db).allViews();
    return [...expectations, ...expectationsOfViews(views, source, entity)];
  }

  /**
   * Who takes rows that are about an entity; null: they are events.
   * @throws WeftError NOT_FOUND for an entity that there is not; DEFINITION_INVALID for another key than its own
   */
  async #records({ entity, identifiers }: Mapping): Promise<RecordAcceptor | null> {
    if (entity === null || this.deps.records === undefined) return null;
    const acceptor = await this.deps.records.acceptorOf(entity);
    const { joinKey } = acceptor.entity;
    if (identifiers.every(({ name }) => name === joinKey)) return acceptor;
    throw new WeftError('DEFINITION_INVALID', `the mapping names no ${joinKey}, by which ${entity} is known`, {
      where: 'identifiers',
      hint: `write identifiers: { ${joinKey}: <column> }`,
    });
  }

  /** The load of this file with this mapping; null where there is none yet. @param of its source, if that is known */
  async #known({ source: key, hash: mappingHash }: Mapping, fileHash: string, of?: Source | null) {
    const source = of === undefined ? await this.deps.sources.findByKey(key) : of;
    return source === null ? null : this.deps.loads.find({ sourceId: source.id, fileHash, mappingHash });
  }

  /** @throws WeftError SOURCE_PAUSED */
  async #demandReady(sourceKey: string): Promise<void> {
    if ((await this.deps.sources.findByKey(sourceKey))?.paused === true) throw paused(sourceKey);
  }

  /**
   * History may be loaded into a source of any kind, so that live events go on from it.
   * @throws WeftError SOURCE_PAUSED
   */
  async #source({ mapping, onNewSource }: LoadRequest): Promise<Pick<Run, 'source' | 'newSource'>> {
    const { sources } = this.deps;
    const key = mapping.source;
    const found = await sources.findByKey(key);
    if (found?.paused === true) throw paused(key);
    if (found !== null) return { source: found, newSource: null };
    const newSource = { near: await sources.nearest(key) };
    const source = await sources.ensure({ key, kind: 'batch' });
    onNewSource?.(key, newSource);
    return { source, newSource };
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
      mapping: request.mapping.text,
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
    let lastMs = Number.NEGATIVE_INFINITY;
    await scanUnits(request, file, ({ event }) => {
      lastMs = Math.max(lastMs, event?.timestampMs ?? Number.NEGATIVE_INFINITY);
    });
    if (Number.isFinite(lastMs)) return request.shiftToMs - lastMs;
    throw new WeftError('BAD_REQUEST', 'no event of the file has a time, so there is nothing to shift', {
      where: file.name,
      hint: 'give the mapping a "time", or load without a shift',
    });
  }

  async #run(run: Run): Promise<LoadResult> {
    const { request, file, load, source } = run;
    const { db, deadLetters, loads, sleep } = this.deps;
    const retry = <T>(attempt: () => Promise<T>) => retryUnavailable(attempt, (ms) => sleep(ms, request.signal));
    const hasLetters = await deadLetters.hasOpenRows(db, source.id, load.id);
    const what = { ...this.#toSend(request, file, run.fileHash, load.timeShiftMs), expectations: run.expectations };
    const { outcome, counts, unexpected } = await sendFile(what, {
      ...this.deps,
      acceptor: (await this.#records(request.mapping)) ?? this.deps.acceptor,
      settler: hasLetters ? deadLetters : null,
      source,
      loadId: load.id,
      historical: !load.emit,
      receivedAtMs: load.startedAt,
      // One at a time where changes follow from the order of acceptance: it is then the order of the file.
      maxInFlight: load.emit ? 1 : MAX_IN_FLIGHT,
      startFrom: load.status === 'done' ? NO_COUNTS : load,
      checkpoint: (reached) => retry(() => loads.update(load.id, 'running', reached, null)),
      failed: (reached) => this.#markFailed(load, reached),
    });
    const status = outcome === 'loaded' ? 'done' : outcome === 'interrupted' ? 'running' : 'failed';
    const finishedAt = status === 'running' ? null : this.deps.clock.now();
    await retry(() => loads.update(load.id, status, counts, finishedAt));
    return resultOf(this.deps, run, outcome, counts, status === 'done' ? finishedAt : null, unexpected);
  }

  #toSend(
    request: LoadRequest,
    file: LoadFile,
    fileHash: string,
    timeShiftMs: number,
  ): Omit<FileToSend, 'expectations'> {
    const { mapping, signal, onProgress } = request;
    return {
      file,
      fileHash,
      mapping,
      timeShiftMs,
      errorLimit: request.errorLimit ?? mapping.errorLimit ?? DEFAULT_ERROR_LIMIT,
      limits: { ...DEFAULT_LOAD_LIMITS, ...this.deps.limits },
      signal,
      onProgress,
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

interface Run extends FinishedRun {
  readonly request: LoadRequest;
  readonly fileHash: string;
  readonly expectations: readonly LoadExpectation[];
  readonly source: Source;
}

interface Checked {
  readonly checked: DryRunResult;
  readonly fileHash: string;
  /** The load of this file with this mapping. */
  readonly known: LoadRecord | null;
}
