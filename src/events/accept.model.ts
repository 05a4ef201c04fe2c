import type { Uuid } from '../platform/ids.js';
import type { RawInput } from './dead-letter.model.js';
import type { PreparedEvent } from './event-log.model.js';
import type { EnrichmentSettings, EventClient } from './enrichment.model.js';
import type { AcceptResult, IdentifierOrigin, IncomingEvent } from './event.model.js';

export const EVENT_LIMITS = {
  /** Of the JSON that is stored. */
  maxBytes: 32 * 1024,
  /** Objects and arrays inside one another, `properties` itself being the first. */
  maxDepth: 16,
  maxNameLength: 200,
  maxMessageIdLength: 200,
  maxGroupIdLength: 200,
  maxIdentifiers: 32,
  /** 2000-01-01T00:00:00Z, ms. Older times are nearly always seconds mistaken for milliseconds. */
  minTimeMs: 946_684_800_000,
} as const;

export const REFUSAL_CODES = [
  'MALFORMED',
  'UNKNOWN_TYPE',
  'NAME_MISSING',
  'NAME_TOO_LONG',
  'MESSAGE_ID_TOO_LONG',
  'GROUP_ID_MISSING',
  'GROUP_ID_TOO_LONG',
  'TIME_UNPARSABLE',
  'TIME_TOO_OLD',
  'NOT_JSON',
  'TOO_DEEP',
  'TOO_LARGE',
  'TOO_MANY_IDENTIFIERS',
  'NO_IDENTIFIER',
  'SCHEMA',
  'SUPPRESSED',
  'PAST_RETENTION',
] as const;
export type RefusalCode = (typeof REFUSAL_CODES)[number];

/** Why an event is not taken. Holds no personal data: names of fields and limits, never values. */
export interface Refusal {
  readonly code: RefusalCode;
  readonly reason: string;
  /** How to fix it, one sentence. */
  readonly hint: string;
}

/** Where events come from, as far as accepting them goes. A `Source` of `sources/` is one. */
export interface EventSource extends IdentifierOrigin {
  readonly id: number;
  readonly key: string;
  /** Events that happened longer ago are not taken, ms; null or absent: all are. */
  readonly retentionMs?: number | null;
  /** What is found out about its events; null or absent: nothing. */
  readonly enrichment?: EnrichmentSettings | null;
}

/** An item of which an adapter could make no event; it is refused and kept as a dead letter like any other. */
export interface UnmappedItem {
  readonly refusal: Refusal;
  /** What came in. */
  readonly raw: unknown;
}

export type IncomingItem = IncomingEvent | UnmappedItem;

export interface AcceptOptions {
  /** Loaded history: sets state, emits no changes. */
  readonly historical: boolean;
  /** Our clock when the events were received, ms; default: now. */
  readonly receivedAtMs?: number;
  /** False where the adapter keeps refused rows itself, as a batch load does with their row numbers. Default true. */
  readonly deadLetters?: boolean;
  /**
   * What came in, of the item at this index: what its dead letter keeps, so that it can be mended where it was wrong.
   * Asked of refused items only. Default: the item itself.
   */
  readonly rawOf?: (index: number) => RawInput;
  /**
   * Who sent the item at this index, where the door is open to others. Asked only of sources that are enriched. Absent:
   * facts that an event brings are those of Weft, as where it comes in once more, and stand unless they are found anew.
   */
  readonly clientOf?: (index: number) => EventClient;
  /** The load that the events are of, so that it can be reverted. */
  readonly loadId?: Uuid;
}

/** The one way into the event log, as adapters see it. */
export interface EventAcceptor {
  /**
   * The outcome of every item, at its index. One bad event is refused and kept as a dead letter; the others are taken.
   * When this resolves, the events it calls accepted are durable.
   *
   * @throws WeftError OVERLOADED or UNAVAILABLE: nothing is known to be accepted; sending all again is right. CONFLICT:
   *   nothing is accepted, because the load that the events are of is being reverted, or was.
   */
  accept(source: EventSource, items: readonly IncomingItem[], options: AcceptOptions): Promise<AcceptResult[]>;
}

/** Says what {@link EventAcceptor.accept} would, and writes nothing. */
export interface EventChecker {
  /**
   * The outcome of every item, at its index. Duplicates are not looked for: they count as accepted.
   * @param onPrepared told of each item that would be taken, as the log would get it
   */
  check(
    source: EventSource,
    items: readonly IncomingItem[],
    options: AcceptOptions,
    onPrepared?: (event: PreparedEvent, index: number) => void,
  ): AcceptResult[];
}

/** One call of {@link EventAcceptor.accept} with what became of its items. */
export interface SettledAccept {
  readonly source: EventSource;
  readonly items: readonly IncomingItem[];
  /** At the index of the item. */
  readonly results: readonly AcceptResult[];
  readonly historical: boolean;
}
