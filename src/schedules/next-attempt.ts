import { WeftError, type ErrorCode } from '../platform/errors.js';
import type { Schedule, ScheduleRun } from './schedule.model.js';

const FIRST_DELAY_MS = 60_000;
const MAX_DELAY_MS = 3_600_000;

/** What another attempt would fail with, too. */
const LASTING: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'BAD_REQUEST',
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'NOT_FOUND',
  'PAYLOAD_TOO_LARGE',
  'CONFIG_INVALID',
  'NOT_CONFIGURED',
  'DEFINITION_INVALID',
  'EXPRESSION_INVALID',
  'MODEL_INVALID',
]);

/** What a failed attempt is told as: deliberate errors in their words, which hold no personal data; defects by name. */
export interface AttemptFailure {
  readonly code: string;
  readonly message: string;
  readonly isLasting: boolean;
}

export function failureOf(error: unknown): AttemptFailure {
  if (!(error instanceof WeftError)) {
    return { code: 'INTERNAL', message: 'a defect; the log of the process has more', isLasting: false };
  }
  const { code, message, where, hint } = error;
  const parts = [message, ...(where === undefined ? [] : [`at ${where}`]), ...(hint === undefined ? [] : [hint])];
  return { code, message: parts.join('; '), isLasting: LASTING.has(code) };
}

export const TIMED_OUT: AttemptFailure = {
  code: 'UNAVAILABLE',
  message: 'the attempt took longer than it may',
  isLasting: false,
};

export const PROCESS_GONE: AttemptFailure = {
  code: 'UNAVAILABLE',
  message: 'the process that ran it ended, or lost the database',
  isLasting: false,
};

/**
 * When a run is tried again: one minute after its first attempt, twice as long after each further one, an hour at most.
 * Null: never.
 */
export function nextAttemptAt(
  { attempts }: Pick<ScheduleRun, 'attempts'>,
  { maxAttempts }: Pick<Schedule, 'maxAttempts'>,
  { isLasting }: Pick<AttemptFailure, 'isLasting'>,
  nowMs: number,
): number | null {
  if (isLasting || attempts >= maxAttempts) return null;
  return nowMs + Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (attempts - 1));
}
