import type { Chores } from './chores.js';
import type { DefinitionsLoader, LoadedDefinitions } from './definitions.js';
import { deadEventText } from './events/dead-letter.model.js';
import { readAppliedPos } from './events/applied-log.reader.js';
import type { DeadLetterStore } from './events/dead-letter.store.js';
import type { DamagedEvent, EventLog } from './events/event-log.model.js';
import type { LoggedEvent } from './events/event.model.js';
import { EventsMoved, LeaseLost } from './events/partition-lease.model.js';
import type { PartitionLeases } from './events/partition-lease.store.js';
import { LogAhead } from './log-ahead.js';
import { mayPass, TOO_SLOW } from './passing-failure.js';
import { DefinitionsChanged, type BatchResult } from './pipeline-transaction.js';
import type { Pipeline } from './pipeline.js';
import type { Clock } from './platform/clock.js';
import { WeftError, type ErrorCode } from './platform/errors.js';
import type { Uuid } from './platform/ids.js';
import type { Database } from './platform/postgres.js';
import { SqlError } from './platform/sql-errors.js';
import type { TimerStore } from './segments/timer.store.js';

export interface WorkerLimits {
  /** Events of one batch, at most 10,000. */
  readonly maxBatchEvents: number;
  readonly maxBatchTimers: number;
  /** Least time between two looks at who holds which partitions, ms. */
  readonly leaseRefreshMs: number;
}

export interface WorkerParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: EventLog;
  readonly leases: PartitionLeases;
  readonly pipeline: Pipeline;
  readonly timers: TimerStore;
  readonly deadLetters: DeadLetterStore;
  readonly definitions: DefinitionsLoader;
  readonly chores: Chores;
  readonly observer: WorkerObserver;
  readonly limits?: Partial<WorkerLimits>;
}

export interface WorkerObserver {
  retrying(error: unknown, attempt: number): void;
  poisoned(event: Pick<LoggedEvent, 'pos' | 'sourceId'>, error: unknown): void;
  lagging(events: number): void;
}

const DEFAULT_LIMITS: WorkerLimits = { maxBatchEvents: 1_000, maxBatchTimers: 1_000, leaseRefreshMs: 2_000 };
const MAX_BATCH_BYTES = 1024 * 1024;
/** Least time between two looks for due timers while there are events, ms. */
const TIMER_LOOK_MS = 20;
const IDLE_POLL_MS = 25;
const MAX_RETRY_DELAY_MS = 5_000;
/** Failures of one batch that may pass before the worker starts over with its leases. */
const MAX_ATTEMPTS = 8;
/** A worker that always has events does a chore every so many rounds. */
const ROUNDS_PER_CHORE = 16;
/** And looks so often at what is not to fall behind: one step of that is as much as the batches of so many rounds. */
const ROUNDS_PER_KEEP_UP = 4;

/** Timers up to `untilT` may fire once everything up to `pos` is applied: whatever came later was accepted later. */
interface TimerBarrier {
  readonly pos: number;
  readonly untilT: number;
}

/** Events in a row that may be blamed, with none between them that could be applied. Then it is not them. */
const MAX_BURIED_IN_A_ROW = 20;

/** How long a timer that cannot be fired is put off. */
const POSTPONE_MS = 60 * 60 * 1000;

/** Applies the log and fires timers, one micro-batch after the other, for as long as it runs. */
export class Worker {
  readonly #parts: WorkerParts;
  readonly #limits: WorkerLimits;
  readonly #ahead: LogAhead;
  #running: Promise<void> | null = null;
  #isStopping = false;
  /** Ends the pause under way, if there is one. */
  #endPause: (() => void) | null = null;
  #isIdle = false;
  #isWoken = false;
  #leasesCheckedAt = Number.NEGATIVE_INFINITY;
  #barrier: TimerBarrier | null = null;
  #roundsSinceChore = 0;
  #buriedInARow = 0;
  #timerLimit: number;
  #timersLookedAt = Number.NEGATIVE_INFINITY;

  constructor(parts: WorkerParts) {
    this.#parts = parts;
    this.#limits = { ...DEFAULT_LIMITS, ...parts.limits };
    this.#timerLimit = this.#limits.maxBatchTimers;
    this.#ahead = new LogAhead(parts);
  }

  /**
   * Takes its place among the workers without applying anything yet.
   * @throws WorkersExclude
   */
  async join(): Promise<void> {
    await this.#parts.leases.join();
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends after the batch in hand and gives the partitions back. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#endPause?.();
    await this.#running;
    await this.#parts.leases.close();
  }

  /** To be called when there may be something to do; saves the wait for the next poll. */
  wake(): void {
    this.#isWoken = true;
    if (this.#isIdle) this.#endPause?.();
  }

  /** One round: events, timers, and a chore if there were neither. True if anything was done. What tests call instead of `start`. */
  async runOnce(): Promise<boolean> {
    if (this.#isStopping) return false;
    try {
      await this.#refreshLeases();
      if (this.#parts.leases.held.length === 0) return false;
      const applied = await this.#applyNext();
      const fired = await this.#fireDue(applied);
      if (applied || fired) this.#parts.chores.stir();
      if ((applied || fired) && ++this.#roundsSinceChore < ROUNDS_PER_CHORE) {
        if (this.#roundsSinceChore % ROUNDS_PER_KEEP_UP === 0) await this.#keepUp();
        return true;
      }
      this.#roundsSinceChore = 0;
      return (await this.#doChore()) || applied || fired;
    } catch (error) {
      if (error instanceof DefinitionsChanged) this.#parts.definitions.invalidate();
      else if (!(error instanceof LeaseLost)) throw error instanceof Unprepared ? error.cause : error;
      this.#forget();
      this.#leasesCheckedAt = Number.NEGATIVE_INFINITY;
      return true;
    }
  }

  /** Rounds until there is nothing left to do at the clock's present instant. */
  async drain(): Promise<void> {
    while (await this.runOnce());
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#isStopping) {
      try {
        this.#isWoken = false;
        const busy = await this.runOnce();
        failures = 0;
        if (!busy) await this.#idle();
      } catch (error) {
        failures++;
        this.#parts.observer.retrying(error, failures);
        this.#forget();
        this.#leasesCheckedAt = Number.NEGATIVE_INFINITY;
        await this.#pause(Math.min(MAX_RETRY_DELAY_MS, 2 ** failures * 10));
      }
    }
  }

  /** Until the next poll, a wake-up or the stop; a wake-up during the last round counts. */
  async #idle(): Promise<void> {
    if (this.#isWoken) return;
    this.#isIdle = true;
    await this.#pause(IDLE_POLL_MS);
    this.#isIdle = false;
  }

  /** Cut short by the stop; by wake-ups only when idle, for a database that fails is not to be asked for each event. */
  async #pause(ms: number): Promise<void> {
    if (this.#isStopping) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#endPause = null;
  }

  async #refreshLeases(): Promise<void> {
    const now = performance.now();
    const { leases } = this.#parts;
    if (now - this.#leasesCheckedAt < this.#limits.leaseRefreshMs && leases.held.length > 0) return;
    if (await leases.refresh()) this.#forget();
    this.#leasesCheckedAt = now;
  }

  async #applyNext(): Promise<boolean> {
    const { log, leases, observer } = this.#parts;
    const held = leases.held;
    const afterPos = Math.min(...held.map((lease) => lease.appliedPos));
    const reading = {
      parts: held.map((lease) => lease.part),
      limit: this.#limits.maxBatchEvents,
      maxBytes: MAX_BATCH_BYTES,
    };
    const batch = (await this.#ahead.take(afterPos)) ?? (await log.readBatch({ ...reading, afterPos }));
    if (batch.scannedPos <= afterPos) return false;
    observer.lagging(batch.head.pos - batch.scannedPos);
    const applied = new Map(held.map((lease) => [lease.part, lease.appliedPos]));
    const isNew = ({ pos, part }: { readonly pos: number; readonly part: number }): boolean =>
      pos > (applied.get(part) ?? 0);
    const events = batch.events.filter(isNew);
    const damaged = batch.damaged.find(isNew);
    if (damaged === undefined) {
      const { scannedPos, head } = batch;
      // Who is hardly behind reads what has come until its turn: batches are as large as they can be.
      const isBehind = leases.holdsAll && head.pos - scannedPos >= this.#limits.maxBatchEvents;
      const next = (): void => {
        this.#ahead.begin({ ...reading, afterPos: scannedPos });
      };
      await this.#apply(events, scannedPos, isBehind ? next : undefined);
      return true;
    }
    // What stands before it, then the one that nobody can read; what stands behind is read again.
    const before = events.filter(({ pos }) => pos < damaged.pos);
    if (before.length > 0) await this.#apply(before, damaged.pos - 1);
    if (this.#buriedInARow >= MAX_BURIED_IN_A_ROW) throw damaged.error;
    this.#buriedInARow++;
    await this.#bury(letterOfDamaged(damaged), damaged.error, damaged.pos);
    return true;
  }

  /**
   * Applies events; halves a batch that fails, down to the one that is to blame, which goes to the dead letters.
   * @param onResolved called once it is known who they are about
   */
  async #apply(events: readonly LoggedEvent[], toPos: number, onResolved?: () => void): Promise<void> {
    try {
      await this.#attempt((definitions) => this.#parts.pipeline.applyEvents(definitions, events, toPos, onResolved));
      if (events.length > 0) this.#buriedInARow = 0;
    } catch (error) {
      const [only] = events;
      if (only === undefined || !mayBeTheEvents(error, events.length)) throw error;
      if (events.length === 1) {
        if (this.#buriedInARow >= MAX_BURIED_IN_A_ROW) throw error;
        this.#buriedInARow++;
        const namedIds = only.identifiers.map(({ id }) => id);
        await this.#bury({ ...only, namedIds, payload: deadEventText(only) }, error, toPos);
        return;
      }
      const middle = events.length >>> 1;
      const first = events.slice(0, middle);
      await this.#apply(first, first.at(-1)?.pos ?? toPos);
      await this.#apply(events.slice(middle), toPos);
    }
  }

  async #bury(event: BuriedEvent, error: unknown, toPos: number): Promise<void> {
    const { db, leases, deadLetters, observer } = this.#parts;
    observer.poisoned(event, error);
    await db.transaction(async (tx) => {
      await leases.advance(tx, toPos);
      await deadLetters.insert(tx, [
        {
          sourceId: event.sourceId,
          stage: 'apply',
          code: error instanceof WeftError ? error.code : 'INTERNAL',
          reason: error instanceof Error ? error.message : String(error),
          messageId: event.messageId ?? null,
          pos: event.pos,
          namedIds: event.namedIds,
          receivedAt: event.acceptedAt,
          form: { kind: 'event' },
          payload: event.payload,
        },
      ]);
    });
    leases.advanced(toPos);
  }

  /**
   * Fires due timers, once everything accepted before has been applied: an event that is still in the log may be what
   * keeps a timer from firing. Raising the log's clock first makes that a statement about all later events too. Where
   * the log is behind, the barrier stays until it is reached: events that keep coming do not move it.
   */
  async #fireDue(applied: boolean): Promise<boolean> {
    const { db, pipeline } = this.#parts;
    const barrier = (this.#barrier ??= await this.#nextBarrier(applied));
    if (barrier === null || (await readAppliedPos(db)) < barrier.pos) return false;
    const limit = this.#timerLimit;
    try {
      const result = await this.#attempt((defs) => pipeline.fireTimers(defs, barrier.untilT, limit));
      this.#timerLimit = this.#limits.maxBatchTimers;
      // Bulk that is left waits with what is due by then: else timers that came due meanwhile would wait behind it.
      if (result.timers < limit || result.areLiveDone === true) this.#barrier = null;
      return result.timers > 0;
    } catch (error) {
      if (!mayBeTheEvents(error, limit)) throw error;
      await this.#avoidTimers(barrier, limit, error);
      return true;
    }
  }

  /** Fewer timers at a time, down to the one that cannot be fired: that one is put off, so that the others go on. */
  async #avoidTimers({ untilT }: TimerBarrier, limit: number, error: unknown): Promise<void> {
    const { db, leases, observer, pipeline, timers } = this.#parts;
    observer.retrying(error, 1);
    pipeline.forget();
    if (limit > 1) {
      this.#timerLimit = limit >>> 1;
      return;
    }
    const parts = leases.held.map((lease) => lease.part);
    const [culprit] = await timers.due(db, parts, untilT, 1);
    if (culprit !== undefined) await timers.postpone(db, culprit.profileId, untilT + POSTPONE_MS);
  }

  async #nextBarrier(isBusy: boolean): Promise<TimerBarrier | null> {
    const { clock, db, leases, log, timers } = this.#parts;
    const untilT = clock.now();
    if (isBusy && Math.abs(untilT - this.#timersLookedAt) < TIMER_LOOK_MS) return null;
    this.#timersLookedAt = untilT;
    const parts = leases.held.map((lease) => lease.part);
    const next = await timers.nextDueAt(db, parts);
    if (next === null || next > untilT) return null;
    return { pos: (await log.bumpTime(untilT)).pos, untilT };
  }

  async #keepUp(): Promise<void> {
    const { chores, definitions } = this.#parts;
    await chores.keepUp(await definitions.current());
  }

  async #doChore(): Promise<boolean> {
    const { chores, definitions, pipeline } = this.#parts;
    this.#ahead.forget();
    if (!(await definitions.isCurrent())) {
      definitions.invalidate();
      pipeline.forget();
    }
    await chores.register(await definitions.current());
    try {
      return await chores.runOne(await definitions.current());
    } catch (error) {
      if (!(error instanceof EventsMoved)) throw error;
      // Read again by the next round, without a pause: events are not to wait for as long as another worker moves some.
      pipeline.forget();
      this.#parts.observer.retrying(error, 1);
      return true;
    }
  }

  #forget(): void {
    this.#parts.pipeline.forget();
    this.#ahead.forget();
  }

  async #attempt(work: (definitions: LoadedDefinitions) => Promise<BatchResult>): Promise<BatchResult> {
    const { definitions, observer, pipeline } = this.#parts;
    for (let attempt = 1; ; attempt++) {
      try {
        return await work(await this.#prepare());
      } catch (error) {
        // Prepared from here on, the next batch would be as of before this one.
        this.#ahead.forget();
        if (attempt === MAX_ATTEMPTS) throw error;
        if (error instanceof DefinitionsChanged) {
          definitions.invalidate();
          pipeline.forget();
          continue;
        }
        if (!mayPass(error)) throw error;
        observer.retrying(error, attempt);
        if (error.retryAfterMs !== 0) await this.#pause(2 ** attempt * 5);
      }
    }
  }

  async #prepare(): Promise<LoadedDefinitions> {
    const { chores, definitions } = this.#parts;
    try {
      await chores.register(await definitions.current());
      return await definitions.current();
    } catch (error) {
      if (error instanceof DefinitionsChanged || error instanceof LeaseLost || mayPass(error)) throw error;
      throw new Unprepared(error);
    }
  }
}

/** An event that is given up, and what its letter keeps. */
type BuriedEvent = Pick<LoggedEvent, 'pos' | 'sourceId' | 'acceptedAt'> & {
  readonly messageId?: string;
  readonly namedIds: readonly Uuid[];
  readonly payload: string;
};

/** Its bytes behind the format, as far as they are text. */
function letterOfDamaged({ pos, sourceId, anchorId, acceptedAt, payload }: DamagedEvent): BuriedEvent {
  return { pos, sourceId, namedIds: [anchorId], acceptedAt, payload: payload.toString('utf8', 1) };
}

/** What went wrong before any event was looked at: none of them can be to blame. */
class Unprepared extends Error {
  constructor(override readonly cause: unknown) {
    super('the definitions could not be made ready');
  }
}

/**
 * What no event can cause: a model, an expression or a setting that is broken, as after a bad release. Blaming events for
 * it would bury the whole stream; the worker waits instead, and says why.
 */
const NOT_THE_EVENTS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'CONFIG_INVALID',
  'NOT_CONFIGURED',
  'DEFINITION_INVALID',
  'EXPRESSION_INVALID',
  'MODEL_INVALID',
  'NOT_FOUND',
]);

/** Classes of SQLSTATE likewise: no such table or column, no right, no such role or database, a damaged server. */
const NOT_THE_EVENTS_SQL: ReadonlySet<string> = new Set(['42', '28', '3D', 'XX']);

function mayBeTheEvents(error: unknown, events: number): boolean {
  if (error instanceof LeaseLost || error instanceof DefinitionsChanged || error instanceof Unprepared) return false;
  if (error instanceof WeftError && NOT_THE_EVENTS.has(error.code)) return false;
  if (error instanceof SqlError && NOT_THE_EVENTS_SQL.has(error.sqlState.slice(0, 2))) return false;
  if (error instanceof SqlError && TOO_SLOW.has(error.sqlState)) return events > 1;
  return !mayPass(error);
}
