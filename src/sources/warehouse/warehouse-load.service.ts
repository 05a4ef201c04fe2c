import type { Clock } from '../../platform/clock.js';
import { WeftError } from '../../platform/errors.js';
import type { Uuid } from '../../platform/ids.js';
import { mayGoOn } from '../load-files.js';
import type { LoadFinding } from '../load-expectation.model.js';
import type { DryRunResult, LoadOutcome, LoadResult } from '../load.model.js';
import type { LoadRequest, LoadService } from '../load.service.js';
import { checkColumns } from '../mapping-columns.js';
import { spoolWindow, type SpooledWindow } from './spool-window.js';
import type { PositionKey, WarehousePositionStore } from './warehouse-position.store.js';
import {
  overlapOf,
  queryHash,
  type WarehouseQuery,
  type WarehouseSource,
  type WindowStart,
} from './warehouse.model.js';

export interface WarehouseLoadRequest extends Omit<LoadRequest, 'file' | 'shiftToMs'> {
  /** From the first row, whatever was loaded before. */
  readonly full?: boolean;
}

/** Sums over the loads of one run. */
const MAX_UNEXPECTED = 100;

export interface WarehouseLoadResult {
  readonly outcome: LoadOutcome;
  readonly source: string;
  /** Each window of rows is a load of its own. */
  readonly loads: number;
  /** The last of them; null where there were no rows. */
  readonly lastLoadId: Uuid | null;
  readonly rows: number;
  readonly skipped: number;
  readonly events: number;
  readonly accepted: number;
  readonly duplicates: number;
  readonly refused: number;
  /** Refused rows of earlier loads that are in now. */
  readonly lettersSettled: number;
  /** What single loads were not as expected in, the first hundred. */
  readonly unexpected: readonly LoadFinding[];
  readonly seconds: number;
  /** Up to where rows are loaded, as the store writes it; null: nowhere, or the query has no cursor. */
  readonly position: string | null;
}

export interface WarehouseDryRun {
  /** Of the first window of rows that a load would send; null where there are none. */
  readonly checked: DryRunResult | null;
  /** Whether there are more rows than that. */
  readonly hasMore: boolean;
}

export interface WarehouseLoadDependencies {
  readonly loads: Pick<LoadService, 'load' | 'dryRun'>;
  readonly positions: WarehousePositionStore;
  /** @throws WeftError NOT_CONFIGURED where its secrets are not there */
  readonly open: (query: WarehouseQuery) => WarehouseSource;
  readonly clock: Clock;
}

/**
 * Loads the rows of a query, window by window.
 *
 * 1. A window is copied first and then sent as the load of a file, with all that such a load keeps to.
 * 2. The position moves once a window is in, and never back. Stopped anywhere, the same run goes on at the window that was
 *    not finished; what it had sent of that is found to be there by its keys.
 * 3. A run begins some way before the position, because a transaction may end after one that began later.
 */
export class WarehouseLoadService {
  constructor(private readonly deps: WarehouseLoadDependencies) {}

  /** @throws WeftError where the query cannot be read or does not fit the mapping, or the log stays unavailable */
  async load(request: WarehouseLoadRequest): Promise<WarehouseLoadResult> {
    const { clock, positions } = this.deps;
    const startedAt = clock.now();
    return this.#withSource(request, async (query, source) => {
      const key = keyOf(request, query);
      if (request.full === true) await positions.remove(key);
      const sum = new RunSum(request.mapping.source, await positions.find(key));
      try {
        await this.#loadWindows(request, query, source, sum);
      } catch (error) {
        if (request.signal?.aborted !== true) throw error;
        sum.isInterrupted = true;
      }
      return sum.result((clock.now() - startedAt) / 1_000);
    });
  }

  async #loadWindows(
    request: WarehouseLoadRequest,
    query: WarehouseQuery,
    source: WarehouseSource,
    sum: RunSum,
  ): Promise<void> {
    const { clock, loads, positions } = this.deps;
    let start = await firstStart(query, source, sum.position);
    for (;;) {
      const window = await this.#spool(request, query, source, start);
      if (window === null) return;
      const settled = await settledPlace(source, window, sum.position);
      const result = await loads.load({ ...request, file: window.file });
      sum.add(result);
      if (!mayGoOn(result)) return;
      if (settled !== null) {
        await positions.move(keyOf(request, query), sum.position, settled, clock.now());
        sum.position = settled;
      }
      if (window.isLast) return;
      start = { after: window.last, overlap: null };
    }
  }

  /** Does all that a load of the first window would do, but for writing. @throws WeftError as {@link load} */
  async dryRun(request: WarehouseLoadRequest): Promise<WarehouseDryRun> {
    return this.#withSource(request, async (query, source) => {
      const position = request.full === true ? null : await this.deps.positions.find(keyOf(request, query));
      const window = await this.#spool(request, query, source, await firstStart(query, source, position));
      await source.close();
      if (window === null) return { checked: null, hasMore: false };
      return {
        checked: await this.deps.loads.dryRun({ ...request, file: window.file }),
        hasMore: !window.isLast,
      };
    });
  }

  async #withSource<T>(
    { mapping }: WarehouseLoadRequest,
    use: (query: WarehouseQuery, source: WarehouseSource) => Promise<T>,
  ): Promise<T> {
    const { from } = mapping;
    if (from === null) {
      throw new WeftError('BAD_REQUEST', 'the mapping does not say where rows come from', {
        where: 'from',
        hint: 'name a file, or give the mapping a "from"',
      });
    }
    const source = this.deps.open(from);
    try {
      const header = (await source.columns()).map(({ name }) => name);
      checkColumns(mapping, header);
      return await use(from, source);
    } finally {
      await source.close();
    }
  }

  #spool(
    { mapping, signal, onProgress }: WarehouseLoadRequest,
    query: WarehouseQuery,
    source: WarehouseSource,
    start: WindowStart,
  ): Promise<SpooledWindow | null> {
    // What looks at several rows has to see them together.
    const isWhole = query.cursor === null || mapping.group !== null || mapping.dedupe !== null;
    return spoolWindow(source, {
      start,
      minRows: isWhole ? null : query.windowRows,
      signal,
      onRows: (rows) => onProgress?.({ ...NOTHING_SENT, rows }),
    });
  }
}

/** Null: the query has no cursor. The connection is ended: a load may take longer than it would last. */
async function settledPlace(
  source: WarehouseSource,
  { file, last }: SpooledWindow,
  before: string | null,
): Promise<string | null> {
  try {
    return last === null ? null : await source.settle(last, before);
  } catch (error) {
    await file.handle.close();
    throw error;
  } finally {
    await source.close();
  }
}

const NOTHING_SENT = { phase: 'fetching', events: 0, refused: 0, bytesRead: 0, bytesTotal: 0 } as const;

function keyOf({ mapping }: WarehouseLoadRequest, query: WarehouseQuery): PositionKey {
  return { source: mapping.source, queryHash: queryHash(query) };
}

/** @throws WeftError DEFINITION_INVALID where the cursor is no column to read on by */
async function firstStart(
  query: WarehouseQuery,
  source: WarehouseSource,
  position: string | null,
): Promise<WindowStart> {
  if (query.cursor === null) return { after: null, overlap: null };
  const columns = await source.columns();
  const column = columns.find(({ name }) => name === query.cursor);
  if (column === undefined || column.cursorKind === null) {
    const found = column === undefined ? 'the query has no such column' : `it is of the type ${column.type}`;
    throw new WeftError('DEFINITION_INVALID', `rows cannot be read on by "${query.cursor}": ${found}`, {
      where: 'from.cursor',
      hint: 'name a column of times or numbers that grows with each change; cast it in the query if need be',
    });
  }
  const overlap = overlapOf(query, column.cursorKind);
  return { after: position, overlap: position === null ? null : overlap };
}

class RunSum {
  isInterrupted = false;
  #loads = 0;
  #last: LoadResult | null = null;
  #rows = 0;
  #skipped = 0;
  #events = 0;
  #accepted = 0;
  #duplicates = 0;
  #refused = 0;
  #lettersSettled = 0;
  readonly #unexpected: LoadFinding[] = [];

  constructor(
    private readonly source: string,
    public position: string | null,
  ) {}

  add(result: LoadResult): void {
    this.#loads++;
    this.#last = result;
    this.#rows += result.rows;
    this.#skipped += result.skipped;
    this.#events += result.events;
    this.#accepted += result.accepted;
    this.#duplicates += result.duplicates;
    this.#refused += result.refused;
    this.#lettersSettled += result.lettersSettled;
    this.#unexpected.push(...result.unexpected.slice(0, MAX_UNEXPECTED - this.#unexpected.length));
  }

  result(seconds: number): WarehouseLoadResult {
    const isNew = this.#accepted > 0 || this.#refused > 0;
    const outcome = this.isInterrupted ? 'interrupted' : (this.#last?.outcome ?? 'already_loaded');
    return {
      // Rows of the overlap are loaded again, and found to be there.
      outcome: outcome === 'loaded' || outcome === 'already_loaded' ? (isNew ? 'loaded' : 'already_loaded') : outcome,
      source: this.source,
      loads: this.#loads,
      lastLoadId: this.#last?.loadId ?? null,
      rows: this.#rows,
      skipped: this.#skipped,
      events: this.#events,
      accepted: this.#accepted,
      duplicates: this.#duplicates,
      refused: this.#refused,
      lettersSettled: this.#lettersSettled,
      unexpected: this.#unexpected,
      seconds,
      position: this.position,
    };
  }
}
