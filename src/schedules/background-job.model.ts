import type { Uuid } from '../platform/ids.js';
import type { JobSettings, RunStatus } from './schedule.model.js';

export const BACKGROUND_JOB_LIMITS = {
  /** Jobs that wait or run; more are refused. */
  maxOpen: 20,
  /** At a time, in all processes together. */
  maxRunning: 2,
  /** Of one job, the first included; those that end because their process is stopped do not count. */
  maxAttempts: 3,
  /** Of one attempt, ms. */
  timeoutMs: 12 * 3_600_000,
  /** How long a job that is over is kept with its result, ms. */
  keptMs: 7 * 86_400_000,
  /** Jobs that are over and kept, the latest. */
  maxKept: 200,
} as const;

/** Work that somebody asked for once, and that a worker does behind the rest. */
export interface BackgroundJob {
  readonly id: Uuid;
  /** The `JobKind` that does it. */
  readonly kind: string;
  readonly job: JobSettings;
  /** The name of a key, or of who gave a command. */
  readonly askedBy: string;
  readonly status: RunStatus;
  /** ms */
  readonly requestedAt: number;
  /** Attempts that were begun. */
  readonly attempts: number;
  /** When the next attempt may begin, ms. */
  readonly notBefore: number;
  /** Of the latest attempt, ms; null before. */
  readonly startedAt: number | null;
  /** ms; null while it is not over. */
  readonly finishedAt: number | null;
  /** How many people are done; null while that is not known. */
  readonly done: number | null;
  readonly total: number | null;
  /** What came of it, in a line for people; null while that is not known. */
  readonly note: string | null;
  readonly result: JobSettings | null;
  /** Of the latest attempt that failed. */
  readonly errorCode: string | null;
  readonly errorMessage: string | null;
}

/** Where a page of jobs begins: after this one, the newest first. */
export interface BackgroundJobPlace {
  readonly requestedAt: number;
  readonly id: Uuid;
}

export function isOver({ status }: Pick<BackgroundJob, 'status'>): boolean {
  return status !== 'waiting' && status !== 'running';
}

/** When a job goes with its result, ms; null while it is not over. */
export function expiresAt({ finishedAt }: Pick<BackgroundJob, 'finishedAt'>): number | null {
  return finishedAt === null ? null : finishedAt + BACKGROUND_JOB_LIMITS.keptMs;
}
