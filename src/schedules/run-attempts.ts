import type { Clock } from '../platform/clock.js';
import type { Uuid } from '../platform/ids.js';
import { Periodic } from '../platform/periodic.js';
import type { Database } from '../platform/postgres.js';
import { SessionLease } from '../platform/session-lease.js';
import { failureOf, nextAttemptAt, PROCESS_GONE, TIMED_OUT, type AttemptFailure } from './next-attempt.js';
import type { JobKind, JobProgress, JobResult, RunStatus, Schedule, ScheduleRun } from './schedule.model.js';

/** Work that is not over, with what attempts of it need to know: a run of a schedule, or a job that was asked for once. */
export interface OpenAttempt {
  readonly run: Pick<ScheduleRun, 'id' | 'attempts' | 'startedAt' | 'dueAt'>;
  readonly terms: Pick<Schedule, 'kind' | 'job' | 'zone' | 'maxAttempts' | 'timeoutMs'>;
}

/** Where attempts are noted. What was cancelled or removed meanwhile is not running any more, which all of it heeds. */
export interface AttemptStore<O extends OpenAttempt> {
  /** Those whose time has come, the first come first. */
  waiting(nowMs: number): Promise<O[]>;
  /** Those that somebody began and did not end. */
  running(): Promise<O[]>;
  /** As it is then; null where it is gone or begun. */
  begin(open: O, nowMs: number): Promise<O | null>;
  stillRunning(ids: readonly Uuid[]): Promise<ReadonlySet<Uuid>>;
  saveProgress(progress: ReadonlyMap<Uuid, JobProgress>): Promise<void>;
  finish(run: O['run'], result: JobResult, nowMs: number): Promise<boolean>;
  /** @param againAt ms; null: it is over */
  fail(run: O['run'], failure: AttemptFailure, againAt: number | null, nowMs: number): Promise<boolean>;
  /** An attempt that was stopped with its process does not count. */
  putBack(run: O['run']): Promise<void>;
  /** Removes those that are over, beyond what is kept. */
  sweep(open: O): Promise<void>;
}

export interface RunAttemptsOptions<O extends OpenAttempt> {
  readonly db: Database;
  readonly clock: Clock;
  readonly kinds: readonly JobKind[];
  readonly store: AttemptStore<O>;
  /** Of the advisory lock of the one process that does it; any number, the same in each release. */
  readonly lock: number;
  /** Attempts under way at once: here, and of those that wait for what others do. */
  readonly maxRunning: { readonly here: number; readonly elsewhere: number };
  /** Whether there may be something to do at all; without, the lease is given back. */
  readonly hasWork: () => Promise<boolean>;
  /** Done at each look before what waits is begun. */
  readonly onLook: () => Promise<void>;
  readonly observer: AttemptObserver<O>;
  /** A look that failed; the next one is tried all the same. */
  readonly onError: (error: unknown) => void;
  /** Time between two looks, ms. Default 5 s. */
  readonly everyMs?: number | undefined;
}

export interface AttemptObserver<O extends OpenAttempt> {
  /** An attempt ended; `waiting`: it failed and there will be another one. */
  ended(open: O, status: RunStatus, failure: AttemptFailure | null): void;
  /** An attempt failed with what is nobody's deliberate error. */
  defect(error: unknown): void;
}

const EVERY_MS = 5_000;

/** Why an attempt was told to end; `removed`: its run was cancelled, or went with its schedule. */
type Stop = 'timeout' | 'lost' | 'stopped' | 'removed';

type UnderWay<O> = O & {
  readonly abort: AbortController;
  readonly ended: Promise<void>;
};

/**
 * Makes attempts at work that waits, whoever asked for it.
 *
 * 1. One process does, the one that holds the lease: what it finds `running` when it takes it, nobody runs.
 * 2. An attempt that fails is made again after a while, as often as its terms allow; one that ends because its
 *    process is stopped does not count.
 * 3. What is over without having come to its end is withdrawn, so that nothing goes on for it elsewhere.
 */
export class RunAttempts<O extends OpenAttempt> {
  readonly #options: RunAttemptsOptions<O>;
  readonly #store: AttemptStore<O>;
  readonly #lease: SessionLease;
  readonly #looks: Periodic;
  readonly #underWay = new Map<Uuid, UnderWay<O>>();
  /** What attempts have told since it was last noted. */
  #told = new Map<Uuid, JobProgress>();
  #isStopping = false;

  constructor(options: RunAttemptsOptions<O>) {
    this.#options = options;
    this.#store = options.store;
    this.#lease = new SessionLease(options.db, options.lock, () => {
      this.#stopAll('lost');
    });
    this.#looks = new Periodic(() => this.#look(), options.everyMs ?? EVERY_MS, options.onError);
  }

  start(): void {
    this.#looks.start();
    this.wake();
  }

  /** Something may be due now. Nothing happens where it was not started. */
  wake(): void {
    this.#looks.wake();
  }

  /** One look: begins what is due, and does not wait for it. */
  look(): Promise<void> {
    return this.#looks.run();
  }

  /** Resolves when what is under way has ended. */
  async settled(): Promise<void> {
    await Promise.all([...this.#underWay.values()].map(({ ended }) => ended));
  }

  /** Stops what is under way, to be gone on with by whoever is next. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#looks.stop();
    this.#stopAll('stopped');
    await this.settled();
    await this.#lease.close();
  }

  async #look(): Promise<void> {
    if (this.#isStopping) return;
    if (this.#underWay.size === 0 && !(await this.#options.hasWork())) return this.#lease.close();
    const lease = await this.#lease.hold();
    if (lease === 'elsewhere') return;
    if (lease === 'taken') await this.#takeOver();
    await this.#saveProgress();
    await this.#endThoseThatMustNot();
    await this.#options.onLook();
    await this.#beginWaiting();
  }

  async #takeOver(): Promise<void> {
    // Those that were stopped because the lease was lost have to be gone first.
    await this.settled();
    for (const open of await this.#store.running()) await this.#failed(open, PROCESS_GONE);
  }

  async #endThoseThatMustNot(): Promise<void> {
    if (this.#underWay.size === 0) return;
    const nowMs = this.#options.clock.now();
    const standing = await this.#store.stillRunning([...this.#underWay.keys()]);
    for (const [id, { run, terms, abort }] of this.#underWay) {
      if (!standing.has(id)) abort.abort('removed' satisfies Stop);
      else if (nowMs - (run.startedAt ?? nowMs) > terms.timeoutMs) abort.abort('timeout' satisfies Stop);
    }
  }

  async #beginWaiting(): Promise<void> {
    const { clock, maxRunning } = this.#options;
    const free = { ...maxRunning };
    for (const { terms } of this.#underWay.values()) free[this.#placeOf(terms)]--;
    if (free.here <= 0 && free.elsewhere <= 0) return;
    for (const waiting of await this.#store.waiting(clock.now())) {
      const place = this.#placeOf(waiting.terms);
      if (free[place] <= 0) continue;
      const open = await this.#store.begin(waiting, clock.now());
      if (open === null) continue;
      free[place]--;
      const abort = new AbortController();
      // Not before the look is over, so that what ends at once is in the map first.
      const ended = Promise.resolve().then(() => this.#attempt(open, abort.signal));
      this.#underWay.set(open.run.id, { ...open, abort, ended });
    }
  }

  /** Never rejects. */
  async #attempt(open: O, signal: AbortSignal): Promise<void> {
    const { onError } = this.#options;
    try {
      await this.#conclude(open, await this.#outcome(open, signal), signal);
    } catch (error) {
      // The run stays as it is, and is found by whoever takes the lease next.
      onError(error);
    } finally {
      this.#underWay.delete(open.run.id);
      this.#told.delete(open.run.id);
      this.wake();
    }
  }

  async #outcome({ terms, run }: O, signal: AbortSignal): Promise<JobResult | AttemptFailure> {
    const { observer } = this.#options;
    const kind = this.#kindOf(terms);
    // As after a return to an older release.
    if (kind === undefined) {
      return { code: 'NOT_FOUND', message: `this release knows no jobs of the kind ${terms.kind}`, isLasting: true };
    }
    try {
      const report = (progress: JobProgress): void => {
        this.#told.set(run.id, progress);
      };
      return await kind.run(terms.job, { id: run.id, dueAt: run.dueAt, zone: terms.zone, signal, report });
    } catch (error) {
      const failure = failureOf(error);
      if (failure.code === 'INTERNAL' && !signal.aborted) observer.defect(error);
      return failure;
    }
  }

  async #conclude(open: O, outcome: JobResult | AttemptFailure, signal: AbortSignal): Promise<void> {
    const { clock, observer } = this.#options;
    const stop = signal.aborted ? (signal.reason as Stop) : null;
    const isWhole = 'isDone' in outcome && outcome.isDone;
    await this.#saveProgress();
    // What was told to end and was done all the same is done.
    if (stop === null || isWhole) {
      if ('code' in outcome) return this.#failed(open, outcome);
      const isNoted = await this.#store.finish(open.run, outcome, clock.now());
      if (!isNoted) return;
      await this.#store.sweep(open);
      observer.ended(open, outcome.isDone ? 'done' : 'failed', null);
      return;
    }
    if (stop === 'timeout') return this.#failed(open, TIMED_OUT);
    if (stop === 'stopped') await this.#store.putBack(open.run);
    // What was asked for between the cancelling and this is not wanted either.
    if (stop === 'removed') await this.#kindOf(open.terms)?.withdraw?.(open.run.id);
    // Lost: whoever has the lease now finds it running, and counts the attempt.
  }

  async #failed(open: O, failure: AttemptFailure): Promise<void> {
    const { clock, observer } = this.#options;
    const { run, terms } = open;
    const againAt = nextAttemptAt(run, terms, failure, clock.now());
    if (!(await this.#store.fail(run, failure, againAt, clock.now()))) return;
    if (againAt === null) {
      await this.#kindOf(terms)?.withdraw?.(run.id);
      await this.#store.sweep(open);
    }
    observer.ended(open, againAt === null ? 'failed' : 'waiting', failure);
  }

  async #saveProgress(): Promise<void> {
    if (this.#told.size === 0) return;
    const told = this.#told;
    this.#told = new Map();
    await this.#store.saveProgress(told);
  }

  #kindOf({ kind }: O['terms']): JobKind | undefined {
    return this.#options.kinds.find((each) => each.kind === kind);
  }

  #placeOf(terms: O['terms']): 'here' | 'elsewhere' {
    return this.#kindOf(terms)?.isElsewhere === true ? 'elsewhere' : 'here';
  }

  #stopAll(reason: Stop): void {
    for (const { abort } of this.#underWay.values()) abort.abort(reason);
  }
}
