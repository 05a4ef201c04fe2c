import type { StretchBounds } from './events/retention.store.js';
import type { WorkerLimits } from './worker.js';

/** How much of each kind of work is done, or kept, at once. */
export interface EngineLimits extends WorkerLimits {
  /** Events of one chunk of a backfill. */
  readonly maxBackfillEvents: number;
  /** Events that the anchors of one step of a retraction have in all. */
  readonly maxRetractionEvents: number;
  /** Components that one step of a revision of all resolves anew. */
  readonly maxRevisionComponents: number;
  /** Events that one step moves to other anchors, once values are generic or are so no more. */
  readonly maxReanchoredEvents: number;
  /** Events of anchors that one such step folds anew. */
  readonly maxReanchoringReads: number;
  /** Values that came before rules blocked them and count for nobody, at once. */
  readonly maxBlockedValues: number;
  /** Rows of evidence, each set counted once, beyond which a component is resolved by the way. */
  readonly maxReplayRows: number;
  /** Anchors that one step folds anew after rules of traits changed. */
  readonly maxRefoldAnchors: number;
  /** Profiles that one step writes into the index after a trait became searchable. */
  readonly maxIndexedProfiles: number;
  /** Profiles of a worker that wait to be evaluated anew at once, where somebody asked for that. */
  readonly maxRecomputedProfiles: number;
  /** Members of groups that one step tells of these. */
  readonly maxToldMembers: number;
  /** Records of one block beyond which its pairs are not compared. */
  readonly maxBlockRecords: number;
  /** Of the log, looked at in one step of a retention. */
  readonly maxRetentionStep: Partial<StretchBounds>;
  readonly maxCachedProfiles: number;
  readonly maxCachedIdentifiers: number;
  /** Time for one run of a model in a process of its own, ms; see `served-model.ts`. */
  readonly modelRunTimeoutMs: number;
}
