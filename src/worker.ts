import { setTimeout as sleep } from 'node:timers/promises';
import type { Chores } from './chores.js';
import type { DefinitionsLoader, LoadedDefinitions } from './definitions.js';
import type { DeadLetterStore } from './events/dead-letter.store.js';
import type { EventLog } from './events/event-log.model.js';
import type { LoggedEvent } from './events/event.model.js';
import type { PartitionLeases } from './events/partition-lease.store.js';
import { DefinitionsChanged, isTransient, type BatchResult, type Pipeline } from './pipeline.js';
import type { Clock } from './platform/clock.js';
import { WeftError } from './platform/errors.js';
import type { Database } from './platform/postgres.js';
import type { TimerStore } from './segments/timer.store.js';

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
}

export interface WorkerObserver {
  retrying(error: unknown, attempt: number): void;
  poisoned(event: LoggedEvent, error: unknown): void;
  lagging(events: number): void;
}

const MAX_BATCH_EVENTS = 1_000;
const MAX_BATCH_BYTES = 1024 * 1024;
const MAX_BATCH_TIMERS = 1_000;
const LEASE_REFRESH_MS = 2_000;
const IDLE_POLL_MS = 25;
const MAX_RETRY_DELAY_MS = 5_000;
/** Transient failures of one batch before the worker gives its partitions back. */
const MAX_ATTEMPTS = 8;

/** Applies the log and fires timers, one micro-batch after the other, for as long as it runs. */
export class Worker {
  readonly #parts: WorkerParts;
  #running: Promise<void> | null = null;
  readonly #stop = new AbortController();
  #wake: (() => void) | null = null;
  #leasesCheckedAt = Number.NEGATIVE_INFINITY;

  constructor(parts: WorkerParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends after the batch in hand and gives the partitions back. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake?.();
    await this.#running;
    await this.#parts.leases.close();
  }

  /** To be called when there may be something to do; saves the wait for the next poll. */
  wake(): void {
    this.#wake?.();
  }

  /** One round: events, else timers, else chores. True if anything was done. What tests call instead of `start`. */
  async runOnce(): Promise<boolean> {
    await this.#refreshLeases();
    if (this.#parts.leases.held.length === 0) return false;
    if (await this.#applyNext()) return true;
    if (await this.#fireDue()) return true;
    return this.#doChore();
  }

  /** Rounds until there is nothing left to do at the clock's present instant. */
  async drain(): Promise<void> {
    while (await this.runOnce());
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      try {
        const busy = await this.runOnce();
        failures = 0;
        if (!busy) await this.#idle(IDLE_POLL_MS);
      } catch (error) {
        failures++;
        this.#parts.observer.retrying(error, failures);
        this.#leasesCheckedAt = Number.NEGATIVE_INFINITY;
        await this.#idle(Math.min(MAX_RETRY_DELAY_MS, 2 ** failures * 10));
      }
    }
  }

  async #idle(ms: number): Promise<void> {
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    await Promise.race([woken, sleep(ms, undefined, { ref: false })]);
    this.#wake = null;
  }

  async #refreshLeases(): Promise<void> {
    const now = performance.now();
    const { leases, pipeline } = this.#parts;
    if (now - this.#leasesCheckedAt < LEASE_REFRESH_MS && leases.held.length > 0) return;
    if (await leases.refresh()) pipeline.forget();
    this.#leasesCheckedAt = now;
  }

  async #applyNext(): Promise<boolean> {
    const { log, leases, observer } = this.#parts;
    const held = leases.held;
    const afterPos = Math.min(...held.map((lease) => lease.appliedPos));
    const batch = await log.readBatch({
      afterPos,
      parts: held.map((lease) => lease.part),
      limit: MAX_BATCH_EVENTS,
      maxBytes: MAX_BATCH_BYTES,
    });
    if (batch.scannedPos <= afterPos) return false;
    observer.lagging(batch.head.pos - batch.scannedPos);
    const applied = new Map(held.map((lease) => [lease.part, lease.appliedPos]));
    const events = batch.events.filter((event) => event.pos > (applied.get(event.part) ?? 0));
    await this.#apply(events, batch.scannedPos);
    return true;
  }

  /** Applies events; halves a batch that fails, down to the one that is to blame, which goes to the dead letters. */
  async #apply(events: readonly LoggedEvent[], toPos: number): Promise<void> {
    try {
      await this.#attempt((definitions) => this.#parts.pipeline.applyEvents(definitions, events, toPos));
    } catch (error) {
      const [only] = events;
      if (isTransient(error) || only === undefined) throw error;
      if (events.length === 1) {
        await this.#bury(only, error, toPos);
        return;
      }
      const middle = events.length >>> 1;
      const first = events.slice(0, middle);
      await this.#apply(first, first.at(-1)?.pos ?? toPos);
      await this.#apply(events.slice(middle), toPos);
    }
  }

  async #bury(event: LoggedEvent, error: unknown, toPos: number): Promise<void> {
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
          messageId: event.messageId,
          pos: event.pos,
          receivedAt: event.acceptedAt,
          payload: '',
        },
      ]);
    });
    leases.advanced(toPos);
  }

  /**
   * Fires due timers, once everything accepted up to now has been applied: an event that is still in the log may be
   * what keeps a timer from firing. Raising the log's clock first makes that a statement about all later events too.
   */
  async #fireDue(): Promise<boolean> {
    const { clock, log, leases, timers, db, pipeline } = this.#parts;
    const now = clock.now();
    const parts = leases.held.map((lease) => lease.part);
    const next = await timers.nextDueAt(db, parts);
    if (next === null || next > now) return false;
    const head = await log.bumpTime(now);
    if ((await leases.appliedEverywhere()) < head.pos) return false;
    const result = await this.#attempt((definitions) => pipeline.fireTimers(definitions, now, MAX_BATCH_TIMERS));
    return result.timers > 0;
  }

  async #doChore(): Promise<boolean> {
    const { chores, definitions } = this.#parts;
    const current = await definitions.current();
    await chores.register(current);
    return chores.runOne(await definitions.current());
  }

  async #attempt(work: (definitions: LoadedDefinitions) => Promise<BatchResult>): Promise<BatchResult> {
    const { chores, definitions, observer, pipeline } = this.#parts;
    for (let attempt = 1; ; attempt++) {
      try {
        await chores.register(await definitions.current());
        return await work(await definitions.current());
      } catch (error) {
        if (error instanceof DefinitionsChanged) {
          definitions.invalidate();
          pipeline.forget();
          continue;
        }
        const retryable = error instanceof WeftError && error.code === 'UNAVAILABLE' && attempt < MAX_ATTEMPTS;
        if (!retryable) throw error;
        observer.retrying(error, attempt);
        await sleep(2 ** attempt * 5, undefined, { ref: false });
      }
    }
  }
}
