import type { Identifier } from '../../events/event.model.js';
import type { Uuid } from '../../platform/ids.js';
import type { LinkageRecord } from '../linkage/linkage-model.model.js';
import type { WaterfallStep } from '../linkage/score-pair.js';

export const REVIEW_STATUSES = ['open', 'merged', 'kept_apart', 'skipped'] as const;
export type ReviewStatus = (typeof REVIEW_STATUSES)[number];
export type ReviewDecision = Exclude<ReviewStatus, 'open'>;

/** Two records that may be of one person: a model cannot tell, and a person is to look. */
export interface IdentityReview {
  readonly id: Uuid;
  readonly status: ReviewStatus;
  /** Of the model. */
  readonly version: string;
  /** log2 of the odds that both are of one person. */
  readonly weight: number;
  /** One of the identifiers of each; null where it is no more. */
  readonly a: StandingEnd | null;
  readonly b: StandingEnd | null;
  /** ms */
  readonly openedAt: number;
  readonly decidedAt: number | null;
  readonly decidedBy: string | null;
  readonly reason: string | null;
}

export interface StandingEnd extends Identifier {
  readonly profileId: Uuid;
}

/** A review with why its pair weighs what it does; null where one of the records is no more, or no model is active. */
export interface ExplainedReview extends IdentityReview {
  readonly explanation: ReviewExplanation | null;
}

export interface ReviewExplanation {
  /** What the model compares of each of the two. */
  readonly left: LinkageRecord['values'];
  readonly right: LinkageRecord['values'];
  /** Sums up to `weight`. */
  readonly waterfall: readonly WaterfallStep[];
  /** As the pair weighs now. */
  readonly weight: number;
  readonly probability: number;
}
