import type { Clock } from '../platform/clock.js';
import { newId, type Uuid } from '../platform/ids.js';
import { Periodic } from '../platform/periodic.js';
import type { Database } from '../platform/postgres.js';
import { SessionLease } from '../platform/session-lease.js';
import { CronTimes } from './cron-times.js';
import { failureOf, nextAttemptAt, PROCESS_GONE, TIMED_OUT, type AttemptFailure } from './next-attempt.js';
import type { JobKind, JobProgress, JobResult, RunStatus, Schedule, ScheduleRun } from './schedule.model.js';
import { ScheduleStore, type OpenRun } from './schedule.store.js';

export interface ScheduleObserver {
  /** An attempt ended; `waiting`: it failed and there will be another one. */
  ended(schedule: Schedule, run: ScheduleRun, status: RunStatus, failure: AttemptFailure | null): void;
  /** Due times for which nobody was there. */
  missed(schedule: Schedule, count: number): void;
  /** An attempt failed with what is nobody's deliberate error. */
  defect(error: unknown): void;
}

export interface ScheduleRunnerOptions {
  readonly db: Database;
  readonly clock: Clock;
  readonly kinds: readonly JobKind[];
  readonly observer: ScheduleObserver;
  /** A look that failed; the next one is tried all the same. */
  readonly onError: (error: unknown) => void;
  /** Time between two looks, ms. Default 5 s. */
  readonly everyMs?: number;
}

/** Of the advisory lock of the one process that runs what is scheduled; any number, the same in each release. */
const SCHEDULER_LOCK = 7_729_117;
const EVERY_MS = 5_000;
/** Jobs under way at once: each has the process to itself as little as possible. */
const MAX_RUNNING = 2;
/** Those that wait for what others do. */
const MAX_ELSEWHERE = 20;

/** Why an attempt was told to end; `removed`: its run was cancelled, or went with its schedule. */
type Stop = 'timeout' | 'lost' | 'stopped' | 'removed';

interface UnderWay extends OpenRun {
  readonly abort: AbortController;
  readonly ended: Promise<void>;
}

/**
 * Runs what is due.
 *
 * 1. One process does, the one that holds the lease: what it finds `running` when it takes it, nobody runs.
 * 2. An instant that is due moves its schedule on and opens a run in one transaction, so each is seen once.
 * 3. A schedule has one run at most that is not over, which the database sees to. Instants that come meanwhile are
 *    counted with it and left out; those that passed while nobody looked are made up for by one run.
 * 4. An attempt that fails is made again after a while, as often as the schedule allows; one that ends because its
 *    process is stopped does not count.
 * 5. A run that is over without having come to its end is withdrawn, so that nothing goes on for it elsewhere.
 */
export class ScheduleRunner {
  readonly #options: ScheduleRunnerOptions;
  readonly #store: ScheduleStore;
  readonly #lease: SessionLease;
  readonly #looks: Periodic;
  readonly #underWay = new Map<Uuid, UnderWay>();
  /** What attempts have told since it was last noted. */
  #told = new Map<Uuid, JobProgress>();
  #isStopping = false;

  constructor(options: ScheduleRunnerOptions) {
    this.#options = options;
    this.#store = new ScheduleStore(options.db);
    this.#lease = new SessionLease(options.db, SCHEDULER_LOCK, () => {
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
    if ((await this.#store.count()) === 0 && this.#underWay.size === 0) return this.#lease.close();
    const lease = await this.#lease.hold();
    if (lease === 'elsewhere') return;
    if (lease === 'taken') await this.#takeOver();
    await this.#saveProgress();
    await this.#endThoseThatMustNot();
    await this.#openDue();
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
    for (const [id, { run, schedule, abort }] of this.#underWay) {
      if (!standing.has(id)) abort.abort('removed' satisfies Stop);
      else if (nowMs - (run.startedAt ?? nowMs) > schedule.timeoutMs) abort.abort('timeout' satisfies Stop);
    }
  }

  async #openDue(): Promise<void> {
    const { db, clock, observer } = this.#options;
    const nowMs = clock.now();
    for (const schedule of await this.#store.due(nowMs)) {
      const times = new CronTimes(schedule.cron, schedule.zone);
      const { last, before } = times.passed(schedule.nextDueAt ?? nowMs, nowMs);
      const run = {
        id: newId(nowMs),
        scheduleKey: schedule.key,
        trigger: 'cron',
        dueAt: last,
        missed: before,
        notBefore: nowMs,
      } as const;
      const isOpened = await db.transaction(async (tx) => {
        const store = new ScheduleStore(tx);
        if (!(await store.moveOn(schedule, times.after(nowMs)))) return false;
        return store.openRun(run, before + 1);
      });
      if (isOpened && before > 0) observer.missed(schedule, before);
    }
  }

  async #beginWaiting(): Promise<void> {
    const { clock } = this.#options;
    const free = { here: MAX_RUNNING, elsewhere: MAX_ELSEWHERE };
    for (const { schedule } of this.#underWay.values()) free[this.#placeOf(schedule)]--;
    if (free.here <= 0 && free.elsewhere <= 0) return;
    for (const { run, schedule } of await this.#store.waiting(clock.now())) {
      if (free[this.#placeOf(schedule)] <= 0) continue;
      const begun = await this.#store.begin(run.id, clock.now());
      if (begun === null) continue;
      free[this.#placeOf(schedule)]--;
      const abort = new AbortController();
      const open = { run: begun, schedule };
      // Not before the look is over, so that what ends at once is in the map first.
      const ended = Promise.resolve().then(() => this.#attempt(open, abort.signal));
      this.#underWay.set(begun.id, { ...open, abort, ended });
    }
  }

  /** Never rejects. */
  async #attempt(open: OpenRun, signal: AbortSignal): Promise<void> {
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

  async #outcome({ schedule, run }: OpenRun, signal: AbortSignal): Promise<JobResult | AttemptFailure> {
    const { observer } = this.#options;
    const kind = this.#kindOf(schedule);
    // As after a return to an older release.
    if (kind === undefined) {
      return { code: 'NOT_FOUND', message: `this release knows no jobs of the kind ${schedule.kind}`, isLasting: true };
    }
    try {
      const report = (progress: JobProgress): void => {
        this.#told.set(run.id, progress);
      };
      return await kind.run(schedule.job, { id: run.id, dueAt: run.dueAt, zone: schedule.zone, signal, report });
    } catch (error) {
      const failure = failureOf(error);
      if (failure.code === 'INTERNAL' && !signal.aborted) observer.defect(error);
      return failure;
    }
  }

  async #conclude(open: OpenRun, outcome: JobResult | AttemptFailure, signal: AbortSignal): Promise<void> {
    const { clock, observer } = this.#options;
    const stop = signal.aborted ? (signal.reason as Stop) : null;
    const isWhole = 'isDone' in outcome && outcome.isDone;
    await this.#saveProgress();
    // What was told to end and was done all the same is done.
    if (stop === null || isWhole) {
      if ('code' in outcome) return this.#failed(open, outcome);
      const isNoted = await this.#store.finish(open.run, outcome, clock.now());
      if (!isNoted) return;
      await this.#store.sweepRuns(open.schedule.key);
      observer.ended(open.schedule, open.run, outcome.isDone ? 'done' : 'failed', null);
      return;
    }
    if (stop === 'timeout') return this.#failed(open, TIMED_OUT);
    if (stop === 'stopped') await this.#store.putBack(open.run);
    // What was asked for between the cancelling and this is not wanted either.
    if (stop === 'removed') await this.#kindOf(open.schedule)?.withdraw?.(open.run.id);
    // Lost: whoever has the lease now finds it running, and counts the attempt.
  }

  async #failed({ run, schedule }: OpenRun, failure: AttemptFailure): Promise<void> {
    const { clock, observer } = this.#options;
    const againAt = nextAttemptAt(run, schedule, failure, clock.now());
    if (!(await this.#store.fail(run, failure, againAt, clock.now()))) return;
    if (againAt === null) {
      await this.#kindOf(schedule)?.withdraw?.(run.id);
      await this.#store.sweepRuns(schedule.key);
    }
    observer.ended(schedule, run, againAt === null ? 'failed' : 'waiting', failure);
  }

  async #saveProgress(): Promise<void> {
    if (this.#told.size === 0) return;
    const told = this.#told;
    this.#told = new Map();
    await this.#store.saveProgress(told);
  }

  #kindOf({ kind }: Schedule): JobKind | undefined {
    return this.#options.kinds.find((each) => each.kind === kind);
  }

  #placeOf(schedule: Schedule): 'here' | 'elsewhere' {
    return this.#kindOf(schedule)?.isElsewhere === true ? 'elsewhere' : 'here';
  }

  #stopAll(reason: Stop): void {
    for (const { abort } of this.#underWay.values()) abort.abort(reason);
  }
}
