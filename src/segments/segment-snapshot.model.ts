import type { StoredList } from '../profiles/list.model.js';

export interface SegmentSnapshotAsk {
  /** Key of the segment. */
  readonly segment: string;
  /** Key of the list, which is made. */
  readonly list: string;
  /** What people call the list; null: after the segment. */
  readonly name: string | null;
  /** Those who were in it at this instant, ms; null: now. */
  readonly asOf: number | null;
  /** More members are refused; default: any number is taken. */
  readonly maxMembers?: number;
}

export interface SegmentSnapshot {
  readonly list: StoredList;
  readonly taken: number;
  /** Members whom the list of the erased names by now. */
  readonly refused: number;
}

/** Of one snapshot that is asked for over the API, at most. */
export const MAX_ASKED_MEMBERS = 10_000;
