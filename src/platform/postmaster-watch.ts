import { setTimeout as delay } from 'node:timers/promises';
import { AttemptBudget } from './attempt-budget.js';
import { WeftError } from './errors.js';
import { isStopping, stopPostmaster, type Postmaster } from './postmaster.js';
import { identityOf, isRunning } from './process-identity.js';

/**
 * One user's watch over a server that several use.
 *
 *             gone                          budget spent
 *   watching ------> starting it again -----------------> given up
 *       ^                   |
 *       +-------------------+  it runs, whoever of its users started it
 *
 * 1. Every loss and every failed attempt takes from the budget; when it is spent the user is told to end, so that
 *    whatever supervises it sees that something is wrong.
 * 2. The server keeps its port, else the pools of its users would not find it again.
 * 3. A server that was told to stop, and waits for the sessions that its users keep open, takes no new ones: after a
 *    while it is made to end, and so counts as gone.
 */

const WATCH_MS = 250;
const MAX_RESTARTS = 5;
const RESTART_WINDOW_MS = 10 * 60_000;
const MIN_RESTART_PAUSE_MS = 1_000;
const MAX_RESTART_PAUSE_MS = 16_000;
/** Longer than a process takes to stop that was told to at the same time, and then needs the server to the last. */
const STOPPING_PATIENCE_MS = 30_000;

/** Told of what happens to a server after its start. */
export interface PostmasterObserver {
  /** The server's process is gone. */
  lost(pid: number): void;
  /** @param byUs false if another process started it */
  restarted(pid: number, tookMs: number, byUs: boolean): void;
  /** It did not start; it is tried again. */
  restartFailed(error: unknown): void;
  /** It is not tried again: whoever uses the server should end. Called once at most. */
  gaveUp(error: WeftError): void;
}

/** A server that runs, and whether the caller started it. */
export interface Joined {
  readonly server: Postmaster;
  readonly started: boolean;
}

export interface WatchOptions {
  /** For messages. */
  readonly home: string;
  readonly cluster: string;
  /** Finds the server, or starts it on this port, one user at a time. */
  readonly findOrLaunch: (port: number) => Promise<Joined>;
  readonly observer?: PostmasterObserver;
  readonly stoppingPatienceMs?: number;
}

export class PostmasterWatch {
  readonly #options: WatchOptions;
  readonly #stopped = new AbortController();
  readonly #restarts = new AttemptBudget(MAX_RESTARTS, RESTART_WINDOW_MS);
  readonly #running: Promise<void>;
  #server: Postmaster;

  constructor(server: Postmaster, options: WatchOptions) {
    this.#server = server;
    this.#options = options;
    this.#running = this.#run();
  }

  /** As it is now, or was last. */
  get server(): Postmaster {
    return this.#server;
  }

  /** Resolves once nothing is under way any more. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (await this.#untilGone()) {
      this.#options.observer?.lost(this.#server.pid);
      if (!(await this.#restart())) return;
    }
  }

  /** False if the watch was stopped. */
  async #untilGone(): Promise<boolean> {
    const { cluster, stoppingPatienceMs = STOPPING_PATIENCE_MS } = this.#options;
    const { pid } = this.#server;
    const identity = await identityOf(pid);
    let isPatientUntilMs: number | null = null;
    while (identity !== null && (await isRunning(identity))) {
      if (!(await this.#pause(WATCH_MS))) return false;
      isPatientUntilMs = (await isStopping(cluster))
        ? (isPatientUntilMs ?? performance.now() + stoppingPatienceMs)
        : null;
      // One that cannot be stopped is tried again with the next look.
      if (performance.now() > (isPatientUntilMs ?? Infinity)) await stopPostmaster(pid).catch(() => undefined);
    }
    return true;
  }

  /** False once the watch was stopped or the budget is spent. */
  async #restart(): Promise<boolean> {
    const { observer, home, findOrLaunch } = this.#options;
    const startedMs = performance.now();
    let lastError: unknown;
    for (
      let pauseMs = MIN_RESTART_PAUSE_MS;
      !this.#stopped.signal.aborted;
      pauseMs = Math.min(2 * pauseMs, MAX_RESTART_PAUSE_MS)
    ) {
      if (!this.#restarts.take(performance.now())) {
        observer?.gaveUp(goneForGood(home, lastError));
        return false;
      }
      try {
        const { server, started } = await findOrLaunch(this.#server.port);
        if (server.port !== this.#server.port) throw movedAway(home);
        this.#server = server;
        observer?.restarted(server.pid, performance.now() - startedMs, started);
        return true;
      } catch (error) {
        lastError = error;
        observer?.restartFailed(error);
        await this.#pause(pauseMs);
      }
    }
    return false;
  }

  /** False if the watch was stopped meanwhile. */
  async #pause(ms: number): Promise<boolean> {
    return delay(ms, true, { signal: this.#stopped.signal, ref: false }).catch(() => false);
  }
}

function goneForGood(where: string, cause: unknown): WeftError {
  const minutes = String(RESTART_WINDOW_MS / 60_000);
  const why = cause instanceof WeftError ? `; at last: ${cause.message}` : '';
  return new WeftError(
    'UNAVAILABLE',
    `the embedded PostgreSQL is gone, and was started again ${String(MAX_RESTARTS)} times in ${minutes} minutes before${why}`,
    { where, hint: 'Look into server.log there, then start weft again.', cause },
  );
}

function movedAway(where: string): WeftError {
  return new WeftError('UNAVAILABLE', 'the embedded PostgreSQL was started on another port', {
    where,
    hint: 'Start this process again.',
  });
}
