import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import type { Uuid } from '../platform/ids.js';
import { Periodic } from '../platform/periodic.js';
import type { Database } from '../platform/postgres.js';
import { SessionLease } from '../platform/session-lease.js';
import type { ExportFolder } from './export-folder.js';
import { makeTrainingSet, type TrainingSets } from './make-training-set.js';
import { orderOfSpec } from './order-of-spec.js';
import { sweepExports } from './sweep-exports.js';
import {
  TRAINING_SET_JOB_LIMITS,
  type JobStatus,
  type JobStop,
  type LabelFile,
  type TrainingSetJob,
} from './training-set-job.model.js';
import { TrainingSetJobReader } from './training-set-job.reader.js';
import { TrainingSetJobStore } from './training-set-job.store.js';
import type { ParseTime } from './training-set-labels.js';

export interface TrainingSetObserver {
  /** An attempt ended; `waiting`: there will be another one. */
  ended(id: Uuid, status: JobStatus, failure: { readonly code: string; readonly message: string } | null): void;
  /** An attempt failed with what is nobody's deliberate error. */
  defect(error: unknown): void;
  /** A set was removed before its time, to make room for another. */
  evicted(id: Uuid): void;
  /** There is work, and its files are in a folder that this process does not have. */
  foldersDiffer(): void;
}

export interface TrainingSetRunnerOptions {
  readonly db: Database;
  readonly clock: Clock;
  readonly folder: ExportFolder;
  /** With the rules of identity in force. */
  readonly sets: () => TrainingSets;
  readonly parseTime: ParseTime;
  /** Of all that is kept, label files and sets together. */
  readonly maxBytes: number;
  /** How long a set is kept, ms. */
  readonly keptMs: number;
  readonly observer: TrainingSetObserver;
  /** A look that failed; the next one is tried all the same. */
  readonly onError: (error: unknown) => void;
  /** Time between two looks, ms. Default 2 s. */
  readonly everyMs?: number;
  /** Rows that are kept at a time, to go on with after a kill; default 20,000. */
  readonly keptBlockRows?: number;
}

/** Of the advisory lock of the one process that makes training sets; any number, the same in each release. */
export const TRAINING_SET_LOCK = 7_729_118;
const EVERY_MS = 2_000;
const FIRST_PAUSE_MS = 10_000;
/** How long after its time a label file is forgotten whose folder nobody has; who has it removes it within seconds. */
const LOST_MS = 86_400_000;
const LOST = { code: 'NOT_FOUND', message: 'the folder of the files was lost until their time was over' };
const DEFECT = { code: 'INTERNAL', message: 'the training set failed by a defect; the log of the worker says which' };
const GONE = { code: 'UNAVAILABLE', message: 'the process that made the training set is gone' };

/** Why an attempt is told to end. */
type Stop = JobStop | 'stopped' | 'lost';

interface UnderWay {
  readonly job: TrainingSetJob;
  readonly abort: AbortController;
  readonly ended: Promise<void>;
  readonly progress: { keptRows: number; rows: number; events: number };
}

/**
 * Makes the training sets that are asked for, one after the other.
 *
 * 1. One process does, the one that holds the lease and has the folder: what it finds `running` when it takes it, nobody
 *    runs; the next attempt goes on with the rows that are kept.
 * 2. An attempt that fails by what may pass (the database, the disk) is made again after a while, five times in all; one
 *    that ends because its process is stopped does not count.
 * 3. What somebody asks of a job that runs (`stop`) is seen at the next look.
 * 4. It alone removes files: those whose time is over, those of labels that are to go, and of sets the oldest where there
 *    is no room. What nobody's folder has is forgotten a day after its time, by any process; files that turn up later and
 *    that the database does not tell of are removed by whoever has them.
 */
export class TrainingSetRunner {
  readonly #options: TrainingSetRunnerOptions;
  readonly #store: TrainingSetJobStore;
  readonly #lease: SessionLease;
  readonly #looks: Periodic;
  #underWay: UnderWay | null = null;
  #isTidied = false;
  #isStopping = false;

  constructor(options: TrainingSetRunnerOptions) {
    this.#options = options;
    this.#store = new TrainingSetJobStore(options.db);
    this.#lease = new SessionLease(options.db, TRAINING_SET_LOCK, () => {
      this.#underWay?.abort.abort('lost' satisfies Stop);
    });
    this.#looks = new Periodic(() => this.#look(), options.everyMs ?? EVERY_MS, options.onError);
  }

  start(): void {
    this.#looks.start();
    this.wake();
  }

  /** There may be something to do now. Nothing happens where it was not started. */
  wake(): void {
    this.#looks.wake();
  }

  /** One look: begins what waits, and does not wait for it. */
  look(): Promise<void> {
    return this.#looks.run();
  }

  /** Resolves when what is under way has ended. */
  async settled(): Promise<void> {
    await this.#underWay?.ended;
  }

  /** Stops what is under way, to be gone on with by whoever is next. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#looks.stop();
    this.#underWay?.abort.abort('stopped' satisfies Stop);
    await this.settled();
    await this.#lease.close();
  }

  async #look(): Promise<void> {
    if (this.#isStopping) return;
    const { folder, clock, observer } = this.#options;
    if (!this.#isTidied && (await folder.isOurs())) {
      await folder.tidy();
      this.#isTidied = true;
    }
    if (this.#underWay === null && !(await this.#store.hasWork())) return this.#lease.close();
    if (!(await folder.isOurs())) {
      this.#isTidied = false;
      observer.foldersDiffer();
      return this.#forgetLost();
    }
    const lease = await this.#lease.hold();
    if (lease === 'elsewhere') return;
    if (lease === 'taken') await this.#takeOver();
    await this.#tell();
    await sweepExports(this.#store, folder, {
      ...this.#options,
      nowMs: clock.now(),
      onEvicted: (id) => {
        observer.evicted(id);
      },
    });
    if (this.#underWay === null) await this.#beginNext();
  }

  async #forgetLost(): Promise<void> {
    if (this.#underWay !== null) return;
    // Who has the folder has the lease.
    if ((await this.#lease.hold()) === 'elsewhere') return;
    const nowMs = this.#options.clock.now();
    await this.#store.forgetLost(nowMs - LOST_MS, nowMs, LOST);
    await this.#lease.close();
  }

  async #takeOver(): Promise<void> {
    // What was stopped because the lease was lost has to be gone first.
    await this.settled();
    const { clock, folder } = this.#options;
    for (const job of await this.#store.running()) {
      if (job.stop === 'cancelled') {
        // Removed by the sweep that follows.
        await this.#store.putBack(job.id, clock.now(), true, null);
      } else if ((await this.#failed(job, GONE, true)) && job.labelFileId !== null) {
        await folder.removeSet(folder.setOf(job, job.labelFileId));
      }
    }
  }

  /** Notes how far the job is, and hears what it is told. */
  async #tell(): Promise<void> {
    if (this.#underWay === null) return;
    const { job, abort, progress } = this.#underWay;
    const stop = await this.#store.progress(job.id, progress.keptRows + progress.rows, progress.events);
    if (stop !== null) abort.abort(stop satisfies Stop);
  }

  async #beginNext(): Promise<void> {
    const { clock } = this.#options;
    const waiting = await this.#store.nextWaiting(clock.now());
    const job = waiting === null ? null : await this.#store.begin(waiting.id, clock.now());
    if (job === null) return;
    const abort = new AbortController();
    const progress = { keptRows: 0, rows: 0, events: 0 };
    // Not before the look is over, so that what ends at once is noted first.
    const ended = Promise.resolve().then(() => this.#attempt(job, abort.signal, progress));
    this.#underWay = { job, abort, ended, progress };
  }

  /** Never rejects. */
  async #attempt(job: TrainingSetJob, signal: AbortSignal, progress: UnderWay['progress']): Promise<void> {
    const { db, onError } = this.#options;
    try {
      const labels = job.labelFileId === null ? null : await new TrainingSetJobReader(db).labelFile(job.labelFileId);
      if (labels === null) {
        await this.#failed(job, { code: 'NOT_FOUND', message: 'the label file is gone' }, false);
        return;
      }
      await this.#make(job, labels, signal, progress);
    } catch (error) {
      // The job stays as it is, and is found by whoever takes the lease next.
      onError(error);
      await this.#lease.close();
    } finally {
      this.#underWay = null;
      this.wake();
    }
  }

  async #make(job: TrainingSetJob, labels: LabelFile, signal: AbortSignal, progress: UnderWay['progress']) {
    const { folder, clock, keptMs, observer, sets, parseTime, keptBlockRows } = this.#options;
    const out = folder.setOf(job, labels.id);
    try {
      await folder.removeParts(out);
      const { rows, sha256 } = await makeTrainingSet(
        sets(),
        { ...orderOfSpec(job.spec), labels: folder.labelsOf(labels), out },
        { parseTime, signal, now: () => clock.now(), keptBlockRows },
        {
          onKept: (kept) => (progress.keptRows = kept),
          onAnew: () => Object.assign(progress, { keptRows: 0, rows: 0, events: 0 }),
          onProgress: (made) => Object.assign(progress, { rows: made.rows, events: made.events }),
        },
      );
      const set = { rows, sha256, bytes: await folder.setBytes(out) };
      if (await this.#store.finish(job, set, clock.now(), clock.now() + keptMs)) {
        observer.ended(job.id, 'done', null);
        return;
      }
      // It was told to end just before.
      if (!signal.aborted) await folder.removeSet(out);
      await this.#stopped(job, out, (await this.#store.progress(job.id, rows, progress.events)) ?? 'lost');
    } catch (error) {
      if (signal.aborted) return this.#stopped(job, out, signal.reason as Stop);
      const isOurs = error instanceof WeftError && error.code !== 'INTERNAL';
      if (!isOurs) observer.defect(error);
      const mayPass = isOurs && (error.code === 'UNAVAILABLE' || error.code === 'OVERLOADED');
      const isOver = await this.#failed(job, isOurs ? failureOf(error) : DEFECT, mayPass);
      if (isOver) await folder.removeSet(out);
    }
  }

  async #stopped(job: TrainingSetJob, out: string, stop: Stop): Promise<void> {
    const { folder, clock, observer } = this.#options;
    // Whoever has the lease now finds it running, and puts it back.
    if (stop === 'lost') return;
    if (stop === 'cancelled') {
      await folder.removeSet(out);
      await this.#store.end(job.id, 'cancelled', clock.now(), null);
      observer.ended(job.id, 'cancelled', null);
      return;
    }
    if (stop === 'anew') await folder.removeSet(out);
    await this.#store.putBack(job.id, clock.now(), false, null);
    if (stop === 'anew') await this.#store.isAnew(job.id);
  }

  /** Whether there is no other attempt. */
  async #failed(
    job: TrainingSetJob,
    failure: { readonly code: string; readonly message: string },
    mayPass: boolean,
  ): Promise<boolean> {
    const { clock, observer } = this.#options;
    const isOver = !mayPass || job.attempts >= TRAINING_SET_JOB_LIMITS.maxAttempts;
    if (isOver) await this.#store.end(job.id, 'failed', clock.now(), failure);
    else await this.#store.putBack(job.id, clock.now() + FIRST_PAUSE_MS * 2 ** (job.attempts - 1), true, failure);
    observer.ended(job.id, isOver ? 'failed' : 'waiting', failure);
    return isOver;
  }
}

/** Without paths of the server, which are of no use to those who ask. */
function failureOf({ code, message, hint }: WeftError): { readonly code: string; readonly message: string } {
  return { code, message: hint === undefined ? message : `${message}; ${hint}` };
}
