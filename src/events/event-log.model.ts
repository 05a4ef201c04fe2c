import type { Uuid } from '../platform/ids.js';
import type { Identifier, LoggedEvent } from './event.model.js';

/** A validated event on its way into the log: encoded, anchored, without a position yet. */
export interface PreparedEvent {
  readonly sourceId: number;
  /** Function of source and message id; the log keeps at most one event for each. */
  readonly dedupeId: Uuid;
  /** The event's highest-priority identifier; decides its partition. */
  readonly anchorId: Uuid;
  /** All of the event's, the anchor first: whom it is of. */
  readonly identifiers: readonly Identifier[];
  /** Corrected client time, ms, not after the time it was received. The log lowers it to its own accepted time. */
  readonly occurredAt: number;
  readonly rulesVersion: number;
  /** Ids that its identifiers had by former rules, and those of dropped ones: whoever was erased under one of them is not to come back. */
  readonly formerIds?: readonly Uuid[];
  readonly historical: boolean;
  /** See `event-codec.ts`. */
  readonly payload: Buffer;
  /** The load that it is of. An event of a load that is being reverted, or was, is not written. */
  readonly loadId?: Uuid;
}

/** The newest position and the log's clock. Both never fall. */
export interface LogHead {
  readonly pos: number;
  /** ms; every event appended later has `acceptedAt` at least this. */
  readonly acceptedAt: number;
}

export interface ReadBatchOptions {
  /** Exclusive. */
  readonly afterPos: number;
  /** Inclusive; default: the head. */
  readonly toPos?: number;
  /** Partitions to read. */
  readonly parts: readonly number[];
  /** Most events, 1…10,000. */
  readonly limit: number;
  /** Most payload bytes in sum; the first event is returned even if it alone exceeds this. */
  readonly maxBytes: number;
}

/** A row of the log that can never be read. */
export interface DamagedEvent {
  readonly pos: number;
  readonly part: number;
  readonly sourceId: number;
  readonly anchorId: Uuid;
  readonly acceptedAt: number;
  readonly historical: boolean;
  readonly payload: Buffer;
  readonly error: Error;
}

export interface LogBatch {
  /** By rising position. */
  readonly events: readonly LoggedEvent[];
  /** Those among them whose bytes are damaged, by rising position. */
  readonly damaged: readonly DamagedEvent[];
  /**
   * Every event of the asked partitions up to here (inclusive) has been returned by this or an earlier read, so an
   * offset may advance to it although the last events in between belong to other partitions. At least `afterPos`.
   */
  readonly scannedPos: number;
  /** The head in the same snapshot. `scannedPos >= head.pos` means caught up. */
  readonly head: LogHead;
}

export interface TimelineOptions {
  /** Inclusive, ms of `occurredAt`. */
  readonly fromMs?: number;
  /** Exclusive, ms of `occurredAt`. */
  readonly toMs?: number;
  /** 1…1,000. */
  readonly limit: number;
  /** Only events that come after this one in the order of the answer. */
  readonly before?: { readonly occurredAt: number; readonly pos: number };
}

/**
 * What became of each event of an append, at the index it was handed in. `withheld`: it is the same as one that is being
 * taken back, and so is neither; once that is done, it can be appended. `load_reverted`: it is of a load that is being
 * reverted, or was, and is never appended. `suppressed`: it is of somebody who was erased. `outdated`: its identifiers are
 * those of other rules than are in force; resolved anew, it can be appended.
 */
export type AppendOutcome = 'appended' | 'duplicate' | 'withheld' | 'load_reverted' | 'suppressed' | 'outdated';

/**
 * The durable, totally ordered log of accepted events.
 *
 * Deliberately not in the contract:
 * - consumer offsets and leases: they commit with the effects of the events, in the consumer's own transaction;
 * - validation, normalisation and dead letters: what is appended is right already;
 * - deleting and rewriting: erasure is a matter of the keys that seal payloads;
 * - being told of new events: readers poll, `pos` makes that exact;
 * - positions without gaps: a gap means nothing.
 *
 * What every implementation guarantees:
 * 1. When `append` resolves, its events are durable.
 * 2. Positions become visible in order: who has seen `pos` never later finds a smaller one that is new to them.
 * 3. `acceptedAt` never falls as `pos` grows, and `occurredAt <= acceptedAt`.
 * 4. Of the events with one `dedupeId`, ever, one is appended; the others are reported as duplicates.
 */
export interface EventLog {
  /**
   * Appends in the order given. Every event that is appended is whole; when it rejects, a leading part of the call may
   * have been written, and sending the call again reports that part as duplicates.
   * @throws WeftError OVERLOADED (with `retryAfterMs`) when too much is queued, UNAVAILABLE when storage is.
   */
  append(events: readonly PreparedEvent[]): Promise<AppendOutcome[]>;
  /**
   * A position that every event of every append that has resolved here is at or before, duplicates by their first
   * coming; 0 before the first append.
   */
  readonly appendedPos: number;
  readBatch(options: ReadBatchOptions): Promise<LogBatch>;
  head(): Promise<LogHead>;
  /** Raises the log's clock to at least `nowMs`, so that no later event is accepted before it; timers fire after this. */
  bumpTime(nowMs: number): Promise<LogHead>;
  /** Events that hang on the anchors, newest first by `(occurredAt, pos)`. */
  readByAnchors(anchorIds: readonly Uuid[], options: TimelineOptions): Promise<LoggedEvent[]>;
}
