/*
 * What a segment was, hour by hour and day by day, UTC: how large it was as the period began, and how many entered and
 * left in it, by the instants that the feed tells.
 */

export const SEGMENT_STEPS = ['hour', 'day'] as const;
export type SegmentStep = (typeof SEGMENT_STEPS)[number];

export const STEP_MS: Readonly<Record<SegmentStep, number>> = { hour: 3_600_000, day: 86_400_000 };
/** Periods that are kept. */
export const KEPT_PERIODS: Readonly<Record<SegmentStep, number>> = { hour: 90 * 24, day: 3 * 365 };

/** An hour or a day of a segment. */
export interface SegmentPeriod {
  /** Its beginning, ms. */
  readonly start: number;
  /** Members as it began, or some minutes later; null where nobody looked, as before the segment was active. */
  readonly size: number | null;
  /** Of these, all but those of whom the feed has told since the period before was looked at that they entered. */
  readonly stayed: number | null;
  readonly entered: number;
  readonly left: number;
  /** Of both, those that an edit of a definition, a change of a model or a recomputation made. */
  readonly edited: number;
}

/** The same beside the period before it. */
export interface ComparedPeriod extends SegmentPeriod {
  /**
   * The Jaccard index of the members as the period before began and as this one did: of all who were members at either
   * time, the share of those who were at both, 0 … 1. Who left and came back counts as gone. Null where it is not known.
   */
  readonly similarity: number | null;
}

/** The beginning of the period that an instant lies in; ms. */
export function startOf(step: SegmentStep, ms: number): number {
  return Math.floor(ms / STEP_MS[step]) * STEP_MS[step];
}

/**
 * One entry for each of the last periods, the present one last, whether or not anything is known of it.
 * @param known entries of any order, from one period earlier on
 * @param last how many
 */
export function lastPeriods(
  known: readonly SegmentPeriod[],
  step: SegmentStep,
  nowMs: number,
  last: number,
): ComparedPeriod[] {
  const byStart = new Map(known.map((period) => [period.start, period]));
  const present = startOf(step, nowMs);
  return Array.from({ length: last }, (_, i) => {
    const start = present - (last - 1 - i) * STEP_MS[step];
    const period = byStart.get(start) ?? { start, size: null, stayed: null, entered: 0, left: 0, edited: 0 };
    return { ...period, similarity: similarityOf(byStart.get(start - STEP_MS[step])?.size ?? null, period) };
  });
}

function similarityOf(before: number | null, { size, stayed }: SegmentPeriod): number | null {
  if (before === null || size === null || stayed === null) return null;
  // Of those who were there when it was last looked at, some may have been erased since.
  const either = Math.max(before, stayed) + size - stayed;
  return either === 0 ? null : stayed / either;
}

/** Far fewer changes than usual, or far more. */
export const VOLUME_ALERT_KINDS = ['changes_low', 'changes_high'] as const;
/** And that a segment kept few of its members when what decides changed. */
export const SEGMENT_ALERT_KINDS = [...VOLUME_ALERT_KINDS, 'refresh_unstable'] as const;
export type SegmentAlertKind = (typeof SEGMENT_ALERT_KINDS)[number];

/** That more or fewer people enter and leave a segment than use to, or that most of them were others at once. */
export interface SegmentAlert {
  readonly kind: SegmentAlertKind;
  /** ms. */
  readonly since: number;
  /** Changes that would be usual since then; of `refresh_unstable`, who was in it before or after. */
  readonly expected: number;
  /** Changes; of `refresh_unstable`, who was in it before and after. */
  readonly seen: number;
}

/** The same as it was noticed. */
export interface StoredSegmentAlert extends SegmentAlert {
  readonly segmentId: number;
  /** When it was over, ms; null: it is not. */
  readonly endedAt: number | null;
}
