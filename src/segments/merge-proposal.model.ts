import type { PairCounts } from './guard-segments.js';

export const PROPOSAL_REASONS = ['near_duplicate', 'too_small'] as const;
export type ProposalReason = (typeof PROPOSAL_REASONS)[number];

export const SEGMENT_USE_KINDS = ['segment', 'webhook', 'subscription'] as const;
export type SegmentUseKind = (typeof SEGMENT_USE_KINDS)[number];

/** What names a segment: a condition, the filter of a webhook endpoint or that of a durable subscription. */
export interface SegmentUse {
  readonly kind: SegmentUseKind;
  readonly key: string;
}

/** A filter of the feed that names segments. */
export interface FilterUse extends SegmentUse {
  readonly kind: 'webhook' | 'subscription';
  /** All segments that it names. */
  readonly segments: readonly string[];
}

/** One segment fewer: who would be left, who uses either, and how it is done. Nothing is done by itself. */
export interface MergeProposal {
  /** The same for as long as neither of the two says anything else. */
  readonly key: string;
  readonly reason: ProposalReason;
  /** The segment that would go. */
  readonly drop: string;
  /** The one that would remain in its place; null: none is near it. */
  readonly keep: string | null;
  /** How many are in which, as it was measured, the one that would go first; null where they were not held against each other. */
  readonly counts: PairCounts | null;
  /** Who names the one that would go. */
  readonly dropUses: readonly SegmentUse[];
  readonly keepUses: readonly SegmentUse[];
  /** What the one that remains would say; null: none remains, or the two cannot be said as one. */
  readonly expression: string | null;
  /** Of whoever names the one that would go: how many more and how many fewer these would be told of; null: not known. */
  readonly gained: number | null;
  readonly lost: number | null;
  /** A file for `weft apply`; empty: no definition changes. */
  readonly file: string;
  /** What is done, in its order: commands, and what there is no command for in words behind `#`. */
  readonly steps: readonly string[];
}
