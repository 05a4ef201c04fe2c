import type { Clock } from '../../platform/clock.js';
import { Periodic } from '../../platform/periodic.js';
import type { Database } from '../../platform/postgres.js';
import { SessionLease } from '../../platform/session-lease.js';
import { ChangeFeedReader } from '../change-feed.reader.js';
import { ENDPOINT_LIMITS, type Endpoint, type EndpointBacklog } from './endpoint.model.js';
import { EndpointStore } from './endpoint.store.js';
import type { EndpointSender, NextRound } from './endpoint-sender.js';

export interface EndpointRunnerOptions {
  readonly db: Database;
  readonly clock: Clock;
  readonly sender: Pick<EndpointSender, 'round'>;
  /** A look, or a round of an endpoint, that failed; it is tried again. */
  readonly onError: (error: unknown) => void;
  /** Called when an endpoint is there no more. */
  readonly onGone: (key: string) => void;
  /** Time between two looks for changes of other processes, ms. Default 1 s. */
  readonly everyMs?: number;
  /** After a round that failed, ms. Default 5 s. */
  readonly retryMs?: number;
}

/** Of the advisory lock of the one process that sends; any number, the same in each release. */
const SENDER_LOCK = 7_729_119;
const EVERY_MS = 1_000;
/** Between two counts of what has yet to be delivered, ms. */
const NOTE_EVERY_MS = 15_000;
const RETRY_MS = 5_000;
/** How long an endpoint rests at most without a look, ms: its row may have been changed by hand. */
const MAX_REST_MS = 30_000;
/** Between two rounds of an endpoint at least: changes that come one by one are sent in one. */
const MIN_REST_MS = 20;

/** An endpoint that is sent to, by rounds of its own. */
interface Task {
  readonly abort: AbortController;
  readonly ended: Promise<void>;
  wake: () => void;
}

/** How an endpoint stands, as of the last look. */
export interface EndpointStanding extends EndpointBacklog {
  readonly key: string;
  /** Positions of the feed. */
  readonly behind: number;
  readonly isPaused: boolean;
  readonly isDown: boolean;
}

/**
 * Sends to all endpoints: a loop of rounds for each, so that none waits for another.
 *
 * 1. One process does, the one that holds the lease; a process that dies gives it up by dying.
 * 2. A loop that has nothing to do waits for the next change of the feed, which commits of this process tell of at once
 *    and a look at its head soon, for an instant, or for a change of its endpoint.
 */
export class EndpointRunner {
  readonly #options: EndpointRunnerOptions;
  readonly #store: EndpointStore;
  readonly #feed: ChangeFeedReader;
  readonly #lease: SessionLease;
  readonly #looks: Periodic;
  readonly #tasks = new Map<string, Task>();
  #head = -1;
  #notedAtMs: number | null = null;
  #isStopping = false;
  #standings: readonly EndpointStanding[] = [];

  constructor(options: EndpointRunnerOptions) {
    this.#options = options;
    this.#store = new EndpointStore(options.db);
    this.#feed = new ChangeFeedReader(options.db);
    this.#lease = new SessionLease(options.db, SENDER_LOCK, () => {
      for (const { abort } of this.#tasks.values()) abort.abort();
    });
    this.#looks = new Periodic(() => this.#look(), options.everyMs ?? EVERY_MS, options.onError);
  }

  /** As of the last look of this process, if it sends. */
  get standings(): readonly EndpointStanding[] {
    return this.#standings;
  }

  start(): void {
    this.#looks.start();
    this.#looks.wake();
  }

  /** The feed has changes that it had not before. */
  changed(): void {
    for (const task of this.#tasks.values()) task.wake();
  }

  /** Endpoints may have been made or changed. Nothing happens where it was not started. */
  wake(): void {
    this.changed();
    this.#looks.wake();
  }

  /** One look: begins and ends loops. */
  look(): Promise<void> {
    return this.#looks.run();
  }

  /** What is under way is cut off, and sent again by whoever is next. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#looks.stop();
    await this.#endAll();
    await this.#lease.close();
  }

  async #look(): Promise<void> {
    if (this.#isStopping) return;
    const endpoints = await this.#store.page(null, ENDPOINT_LIMITS.maxEndpoints);
    if (endpoints.length === 0) {
      await this.#endAll();
      this.#standings = [];
      return this.#lease.close();
    }
    const lease = await this.#lease.hold();
    if (lease === 'elsewhere') {
      this.#standings = [];
      return;
    }
    // Loops of a lease that was lost have to be over first.
    if (lease === 'taken') await this.#endAll();
    await this.#keepLoops(endpoints);
    const head = await this.#feed.head();
    if (head > this.#head) this.changed();
    this.#head = head;
    if (this.#notedAtMs === null || performance.now() - this.#notedAtMs >= NOTE_EVERY_MS)
      await this.#note(endpoints, head);
  }

  async #keepLoops(endpoints: readonly Endpoint[]): Promise<void> {
    const keys = new Set(endpoints.map(({ key }) => key));
    for (const [key, task] of this.#tasks) {
      if (keys.has(key)) continue;
      task.abort.abort();
      await task.ended;
      this.#options.onGone(key);
    }
    for (const key of keys) if (!this.#tasks.has(key)) this.#begin(key);
  }

  async #note(endpoints: readonly Endpoint[], head: number): Promise<void> {
    this.#notedAtMs = performance.now();
    const backlogs = await this.#store.backlogs(endpoints.map(({ key }) => key));
    this.#standings = endpoints.map(({ key, seq, pausedAt, retryAt }) => ({
      key,
      behind: Math.max(0, head - seq),
      isPaused: pausedAt !== null,
      isDown: retryAt !== null,
      ...(backlogs.get(key) ?? { waiting: 0, dead: 0 }),
    }));
  }

  #begin(key: string): void {
    const abort = new AbortController();
    const bell = new Bell();
    abort.signal.addEventListener('abort', () => {
      bell.ring();
    });
    const ended = this.#loop(key, abort.signal, bell).finally(() => this.#tasks.delete(key));
    this.#tasks.set(key, {
      abort,
      ended,
      wake: () => {
        bell.ring();
      },
    });
  }

  /** Never rejects. */
  async #loop(key: string, signal: AbortSignal, bell: Bell): Promise<void> {
    const { sender, clock, onError } = this.#options;
    // Asked anew each time: it changes while a round is waited for.
    const isOver = (): boolean => signal.aborted;
    while (!isOver()) {
      // What is told from here on is looked at by a round that has yet to begin.
      bell.clear();
      let next: NextRound | null = null;
      try {
        next = await sender.round(key, signal);
      } catch (error) {
        if (!isOver()) onError(error);
      }
      if (isOver()) return;
      if (next === null) await pause(this.#options.retryMs ?? RETRY_MS, signal);
      else if (next.kind === 'now') await pause(MIN_REST_MS, signal);
      else {
        const restMs = next.kind === 'at' ? Math.min(MAX_REST_MS, Math.max(0, next.at - clock.now())) : MAX_REST_MS;
        await bell.rung(restMs);
        await pause(MIN_REST_MS, signal);
      }
    }
  }

  async #endAll(): Promise<void> {
    const tasks = [...this.#tasks.values()];
    for (const { abort } of tasks) abort.abort();
    await Promise.all(tasks.map(({ ended }) => ended));
  }
}

/** Something to wait for that may have been told before. */
class Bell {
  #isRung = false;
  #wake: (() => void) | null = null;

  clear(): void {
    this.#isRung = false;
  }

  ring(): void {
    this.#isRung = true;
    this.#wake?.();
  }

  async rung(maxMs: number): Promise<void> {
    if (this.#isRung) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, maxMs);
      timer.unref();
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = null;
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, ms);
    timer.unref();
    signal.addEventListener('abort', done, { once: true });
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
  });
}
