import type { Uuid } from '../platform/ids.js';

/**
 * Events of one source that are being taken back, or were: those of a load, or those with certain message ids. Workers do
 * it step by step; once it is done, everything that is known is as if they had never been accepted.
 */
export interface Retraction {
  readonly id: Uuid;
  readonly sourceId: number;
  /** Null where it is not of a load. */
  readonly loadId: Uuid | null;
  readonly status: 'running' | 'done';
  /** Events when it began. */
  readonly events: number;
  /** Profiles that they belonged to when it began. */
  readonly profiles: number;
  /** Of the events, those that are taken back so far. */
  readonly removed: number;
  /** ms */
  readonly createdAt: number;
  /** ms; null while it is running. */
  readonly finishedAt: number | null;
}

/** What a retraction would take back. */
export interface RetractionExtent {
  readonly events: number;
  readonly profiles: number;
}

/** Message ids of one retraction. */
export const MAX_RETRACTED_MESSAGES = 10_000;

/** An anchor with events that are to be taken back. */
export interface RetractedAnchor {
  readonly id: Uuid;
  readonly part: number;
  /** All events that hang on it. */
  readonly events: number;
}
