/** From this Jaccard index on two segments are taken for the same one. */
export const NEAR_DUPLICATE = 0.9;
/** Of the smaller segment's members, from which share in the larger one on it is a part of that one. */
export const SUBSET_SHARE = 0.98;
/** Kept of one measurement, those with most in common. */
export const MAX_KEPT_OVERLAPS = 20_000;

export const OVERLAP_RELATIONS = ['near_duplicate', 'subset', 'overlap'] as const;
export type OverlapRelation = (typeof OVERLAP_RELATIONS)[number];

/** What two live segments have in common, as it was measured; where a sample was, about. */
export interface SegmentPair {
  /** The smaller one; of two of a size the one that was made first. */
  readonly segmentId: number;
  readonly otherId: number;
  readonly size: number;
  readonly otherSize: number;
  /** Members of both. */
  readonly common: number;
  /** `common` of all who are in either, in 0…1. */
  readonly jaccard: number;
}

/** The last measurement. */
export interface OverlapRun {
  readonly measuredAt: number;
  /** Which part of all people was looked at, in (0, 1]. */
  readonly share: number;
  /** Pairs that were not kept: beyond {@link MAX_KEPT_OVERLAPS}. */
  readonly leftOut: number;
}

export function relationOf({ size, otherSize, common, jaccard }: Omit<SegmentPair, 'segmentId' | 'otherId'>) {
  const least = Math.min(size, otherSize);
  const relation: OverlapRelation =
    jaccard >= NEAR_DUPLICATE ? 'near_duplicate' : least > 0 && common / least >= SUBSET_SHARE ? 'subset' : 'overlap';
  return relation;
}

/**
 * How far a Jaccard index from a sample is off, as a standard error: of a share, by the binomial distribution; 0 where
 * everybody was looked at.
 */
export function jaccardError(
  { size, otherSize, common, jaccard }: Omit<SegmentPair, 'segmentId' | 'otherId'>,
  share: number,
): number {
  const seen = (size + otherSize - common) * share;
  return share >= 1 || seen <= 0 ? 0 : Math.sqrt((jaccard * (1 - jaccard) * (1 - share)) / seen);
}
