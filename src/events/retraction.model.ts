import type { Uuid } from '../platform/ids.js';
import type { Identifier, LoggedEvent } from './event.model.js';

/**
 * Events that are being taken back, or were: those of a load, those of one source with certain message ids, or those of
 * a person who is to be erased. Workers do
 * it step by step; once it is done, everything that is known is as if they had never been accepted.
 */
export interface Retraction {
  readonly id: Uuid;
  /** Null where a person is erased: what they did may be of any source. */
  readonly sourceId: number | null;
  /** Null where it is not of a load. */
  readonly loadId: Uuid | null;
  /** Null where nobody is erased. */
  readonly erasureId: Uuid | null;
  /** `failed` after so many failures in a row; asked for again, it goes on. */
  readonly status: 'running' | 'done' | 'failed';
  /** Events when it began. */
  readonly events: number;
  /** Profiles that they belonged to when it began. */
  readonly profiles: number;
  /** Records of entities when it began: those of its load. */
  readonly records: number;
  /** Of the events, those that are taken back so far. */
  readonly removed: number;
  /** Of the records, likewise. */
  readonly removedRecords: number;
  /** ms */
  readonly createdAt: number;
  /** ms; null before it is done. */
  readonly finishedAt: number | null;
  /** Failures since the last step that went well. */
  readonly failures: number;
  /** Why it last failed, without personal data; null where nothing failed since the last step. */
  readonly reason: string | null;
}

/** What a retraction would take back. */
export interface RetractionExtent {
  readonly events: number;
  readonly profiles: number;
  /** Of entities other than people. */
  readonly records: number;
}

/** Failures in a row after which a retraction is given up until somebody asks for it again. */
export const MAX_RETRACTION_FAILURES = 5;

/** From the first failure to the next try; twice that after each that follows. Others go on meanwhile. */
export const FIRST_RETRY_MS = 1_000;

/** Message ids of one retraction. */
export const MAX_RETRACTED_MESSAGES = 10_000;

/** An anchor with events that are to be taken back. */
export interface RetractedAnchor {
  readonly id: Uuid;
  readonly part: number;
  /** All events that hang on it. */
  readonly events: number;
}

/** A person who is being erased, as far as taking events back goes. */
export interface ErasedPerson {
  isOf(identifier: Pick<Identifier, 'id'>): boolean;
  isNamedIn(text: string): boolean;
  /** The event of somebody else without the person; itself where they are not in it. */
  without(event: LoggedEvent): LoggedEvent;
}

/** An event that stays in the log, and says less than it did. */
export interface RewrittenEvent {
  readonly pos: number;
  /** All that it carries still, the anchor first. */
  readonly namedIds: readonly Uuid[];
  /** Plain. */
  readonly payload: Buffer;
}

/** An event that hangs on another anchor from now on, with its identifiers in that order. */
export interface ReanchoredEvent extends RewrittenEvent {
  readonly anchorId: Uuid;
  /** That of the anchor. */
  readonly part: number;
}
