/** Kinds of work about segments that can be scheduled. */
export const RECOMPUTE_JOB = 'recompute';
export const REFRESH_JOB = 'refresh';
export const SNAPSHOT_JOB = 'snapshot';

/** What is asked for, by kind. */
export interface SegmentJobRequests {
  /** Segments whose changes are counted; none: all. */
  readonly [RECOMPUTE_JOB]: { readonly segments: readonly string[] };
  /** Models whose segments are meant; none: all that segments ask when it is due. */
  readonly [REFRESH_JOB]: { readonly models: readonly string[] };
  readonly [SNAPSHOT_JOB]: {
    readonly segment: string;
    /** How the keys of its lists begin; null: as that of the segment. */
    readonly list: string | null;
    /** Lists that are kept; null: {@link SNAPSHOT_LIMITS.defaultKept}. */
    readonly keep: number | null;
  };
}

export const SNAPSHOT_LIMITS = {
  /** Of one schedule; there can be 200 lists in all. */
  maxKept: 100,
  defaultKept: 12,
  /** Of the beginning of the lists' keys: the instant comes behind it. */
  maxPrefixLength: 48,
} as const;
