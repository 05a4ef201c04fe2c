import type { SegmentPreview } from './segment-preview.model.js';
import type { SegmentSnapshotAsk } from './segment-snapshot.model.js';

/** Kinds of work about segments that can be scheduled. */
export const RECOMPUTE_JOB = 'recompute';
export const REFRESH_JOB = 'refresh';
export const SNAPSHOT_JOB = 'snapshot';

/** Kinds of work about segments that somebody asks for once. */
export const PREVIEW_ONCE_JOB = 'preview';
export const SNAPSHOT_ONCE_JOB = 'snapshot';
export const ONCE_JOBS = [PREVIEW_ONCE_JOB, SNAPSHOT_ONCE_JOB] as const;

/** What is asked for by the clock, by kind. */
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

/** What is asked of a snapshot that a worker takes. */
export type SnapshotOnceAsk = Pick<SegmentSnapshotAsk, 'segment' | 'list' | 'name' | 'asOf'>;

/** What is kept of a preview: nobody's id is, so that no erasure has to look for it here. */
export type KeptPreview = Omit<SegmentPreview, 'sample'>;

/** What is kept of a snapshot: the key of the list, and how many are on it. */
export interface TakenSnapshot {
  readonly list: string;
  readonly taken: number;
  readonly refused: number;
}

export const SNAPSHOT_LIMITS = {
  /** Of one schedule; there can be 200 lists in all. */
  maxKept: 100,
  defaultKept: 12,
  /** Of the beginning of the lists' keys: the instant comes behind it. */
  maxPrefixLength: 48,
} as const;
