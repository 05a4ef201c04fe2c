import type { Uuid } from '../platform/ids.js';

export const SCHEDULE_LIMITS = {
  /** In all. */
  maxSchedules: 500,
  maxAttempts: 10,
  defaultAttempts: 3,
  /** Of one attempt, ms. */
  defaultTimeoutMs: 6 * 3_600_000,
  maxTimeoutMs: 7 * 86_400_000,
  /** Ended runs that are kept of each schedule. */
  keptRuns: 500,
  maxNoteLength: 1_000,
} as const;

/** What a job needs to know, as JSON: what made it knows its shape. */
export type JobSettings = Readonly<Record<string, unknown>>;

export interface NewSchedule {
  /** As keys of sources are. */
  readonly key: string;
  /** The {@link JobKind} that does it. */
  readonly kind: string;
  readonly job: JobSettings;
  /** Five fields, or a word such as `@daily`. */
  readonly cron: string;
  /** IANA name, in whose local time `cron` is. */
  readonly zone: string;
  /** Of one run, the first included. */
  readonly maxAttempts: number;
  /** Of one attempt, ms. */
  readonly timeoutMs: number;
}

export interface Schedule extends NewSchedule {
  /** Nothing comes due while it is. */
  readonly paused: boolean;
  /** ms; null where no such instant will come. */
  readonly nextDueAt: number | null;
  readonly createdAt: number;
}

export const RUN_STATUSES = ['waiting', 'running', 'done', 'failed', 'cancelled'] as const;
/** `waiting`: for its first attempt, or for the next. `cancelled`: somebody did not want it any more. */
export type RunStatus = (typeof RUN_STATUSES)[number];

export const RUN_TRIGGERS = ['cron', 'manual'] as const;
export type RunTrigger = (typeof RUN_TRIGGERS)[number];

export interface ScheduleRun {
  readonly id: Uuid;
  readonly scheduleKey: string;
  readonly trigger: RunTrigger;
  readonly status: RunStatus;
  /** The instant that it is of, ms. */
  readonly dueAt: number;
  /** Earlier instants that nobody was there for: they are made up for by this one run. */
  readonly missed: number;
  /** Later instants that came while it was not over: they are left out. */
  readonly overlapped: number;
  /** Attempts that were begun. */
  readonly attempts: number;
  /** When the next attempt may begin, ms. */
  readonly notBefore: number;
  /** Of the latest attempt, ms; null before. */
  readonly startedAt: number | null;
  /** ms; null while it is not over. */
  readonly finishedAt: number | null;
  /** How much of it is done, in what its kind counts; null while that is not known. */
  readonly done: number | null;
  /** How much there is in all; null while that is not known. */
  readonly total: number | null;
  /** What was done, for people; null while that is not known. */
  readonly note: string | null;
  /** The same as JSON. */
  readonly result: JobSettings | null;
  /** Of the latest attempt that failed. */
  readonly errorCode: string | null;
  readonly errorMessage: string | null;
}

export interface JobResult {
  /** False: it did not come to what it is for, and doing it again would not either. */
  readonly isDone: boolean;
  /** One line for people, without personal data. */
  readonly note: string;
  readonly result: JobSettings;
}

/** How far a job is: of loads files, of recomputations and snapshots people. */
export interface JobProgress {
  readonly done: number;
  /** Null: nobody knows. */
  readonly total: number | null;
}

/** The run that an attempt is of. */
export interface JobRun {
  /** The same in each attempt: what was asked for under it is not to be asked for again. */
  readonly id: Uuid;
  /** The instant that it is of, ms; the same in each attempt. */
  readonly dueAt: number;
  /** In whose local time the schedule is. */
  readonly zone: string;
  readonly signal: AbortSignal;
  /** Tells how far it is, as often as it likes. */
  readonly report: (progress: JobProgress) => void;
}

/** A kind of work that can be scheduled. What is done again, after a failure or a kill, must do no harm. */
export interface JobKind {
  /** What is stored with schedules, such as `load`. */
  readonly kind: string;
  /** An attempt only waits for what others do, so that it takes nothing from those beside it; default: no. */
  readonly isElsewhere?: boolean;
  /** One line: what a job does. */
  describe(job: JobSettings): string;
  /**
   * Checks what is asked for against what there is, and gives what is kept of it. Left out: as it is asked for.
   * @throws WeftError for whatever is wrong with it
   */
  prepare?(request: JobSettings): Promise<JobSettings>;
  /**
   * Ends soon after `run.signal` is aborted, in whatever way.
   * @throws what the attempt failed with; see `next-attempt.ts` for what is tried again
   */
  run(job: JobSettings, run: JobRun): Promise<JobResult>;
  /** Ends what goes on without an attempt, where a run is over and did not come to its end. Left out: nothing does. */
  withdraw?(runId: Uuid): Promise<void>;
}

/** Where a page of runs begins: after this one, the newest first. */
export interface RunPlace {
  readonly dueAt: number;
  readonly id: Uuid;
}

export const FIRST_RUN: RunPlace = {
  dueAt: Number.MAX_SAFE_INTEGER,
  id: 'ffffffff-ffff-ffff-ffff-ffffffffffff',
};
