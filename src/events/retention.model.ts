/** How long events of a source are kept. */
export interface Retention {
  /** From when they happened, ms. */
  readonly retentionMs: number;
  /** Whether what came of them goes with them. */
  readonly isStrict: boolean;
}

/** A pass through the log that removes what is older than the retention of a source. */
export interface RetentionPass extends Retention {
  readonly sourceId: number;
  /** Events that happened before go, ms. */
  readonly cutoffMs: number;
  /** The log is looked through up to this position. */
  readonly donePos: number;
  readonly untilPos: number;
  /** What is being taken back before it goes on; null: nothing is. */
  readonly retractionId: string | null;
}

/** What the retention of a source came to so far. */
export interface RetentionProgress {
  /** Of all passes. */
  readonly removedEvents: number;
  readonly removedLetters: number;
  /** 0 … 1, of the pass under way; null: none is. */
  readonly progress: number | null;
  /** When the last pass ended, ms; null: none has. */
  readonly finishedAt: number | null;
}

/** From the end of one pass to the beginning of the next. */
export const RETENTION_PASS_EVERY_MS = 6 * 60 * 60_000;

export const RETENTION_LIMITS = { minMs: 86_400_000, maxMs: 36_500 * 86_400_000 } as const;

/** Why an event that happened too long ago is not taken; its dead letter keeps nothing of it. */
export const PAST_RETENTION = {
  code: 'PAST_RETENTION',
  reason: 'it happened longer ago than events of its source are kept',
  hint: 'leave it out, or keep events of the source for longer: weft sources update --retention',
} as const;
