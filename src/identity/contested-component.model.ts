import type { Uuid } from '../platform/ids.js';
import type { Evidence } from './evidence.model.js';

/** A raw component with more evidence than is replayed between two events, and how far its resolution is. */
export interface ContestedComponent {
  readonly id: Uuid;
  /** Since when it is contested, ms. */
  readonly since: number;
  /** Grows with each batch that brought it something new. */
  readonly news: number;
  /** What of that the last resolution knew. */
  readonly resolvedNews: number;
  /** When it was last resolved, ms; null: never yet. */
  readonly resolvedAt: number | null;
  /** Rows of evidence, each set counted once, and profiles, as of then. */
  readonly evidenceRows: number | null;
  readonly groups: number | null;
  /** Whether it has more evidence than is resolved at all. */
  readonly isBeyond: boolean;
  /** Failures in a row, and why the last one was. */
  readonly failures: number;
  readonly failure: string | null;
}

/** Place in all evidence of some anchors. */
export interface EvidencePlace {
  readonly setId: Uuid;
  readonly day: number;
}

/** Rows that were read together; `next`: where its last anchor goes on, null where that is done too. */
export interface EvidencePage {
  readonly rows: readonly EvidenceOfAnchor[];
  readonly next: { readonly anchorId: Uuid; readonly place: EvidencePlace } | null;
}

/** A row of evidence with the ids of its identifiers alone. */
export interface EvidenceOfAnchor extends Omit<Evidence, 'identifiers'> {
  readonly identifierIds: readonly Uuid[];
}

/** Rows of evidence, each set counted once, that are replayed by the way; a component with more stays as it is. */
export const MAX_LANE_ROWS = 200_000;

/** Least time between two resolutions of one component, ms: what comes meanwhile is resolved together. */
export const LANE_PAUSE_MS = 10_000;

/** From the first failure to the next try, ms; twice that after each that follows. */
export const FIRST_LANE_RETRY_MS = 1_000;
