import type { Uuid } from '../platform/ids.js';
import {
  withoutPrivate,
  type EventType,
  type IncomingEvent,
  type JsonObject,
  type JsonValue,
  type LoggedEvent,
} from './event.model.js';

/** Where an input was given up: at the door, as a row of a file, or when it was applied. */
export const DEAD_LETTER_STAGES = ['accept', 'load', 'apply'] as const;
export type DeadLetterStage = (typeof DEAD_LETTER_STAGES)[number];

/** What became of a letter: nothing yet; its input is in the log after all; nobody wants it. */
export const DEAD_LETTER_STATES = ['open', 'replayed', 'discarded'] as const;
export type DeadLetterState = (typeof DEAD_LETTER_STATES)[number];

/** What the input of a letter is, and so how it is mapped again. */
export type RawForm =
  /** The body of a single call of the tracking API, without its key. */
  | { readonly kind: 'call'; readonly type: EventType }
  /** An item of a batch of the tracking API, and the batch's `sentAt`. */
  | { readonly kind: 'batch_item'; readonly sentAt?: JsonValue }
  /** An `EventInput` of GraphQL's `ingest`. */
  | { readonly kind: 'graphql' }
  /** What a network sent to a webhook, without what is private; of the parts of the delivery, this one. */
  | { readonly kind: 'webhook'; readonly adapter: string; readonly index: number }
  /** A row of a file, its columns by name; mapped by its load's mapping. */
  | { readonly kind: 'row' }
  /** An event as it would be accepted: one that was in the log, of a webhook, or of a letter from before raw inputs. */
  | { readonly kind: 'event' };

/** What came in, as an adapter got it: no keys, and no personal data that is not kept of accepted events either. */
export interface RawInput {
  readonly form: RawForm;
  readonly input: unknown;
}

/** An input that was not taken, kept so that its sender can find out why. */
export interface DeadLetter {
  /** Null where the source is not known. */
  readonly sourceId: number | null;
  readonly stage: DeadLetterStage;
  readonly code: string;
  /** For people; names fields and limits. */
  readonly reason: string;
  readonly messageId?: string | null;
  /** Log position, for stage `apply`; one letter a position. */
  readonly pos?: number | null;
  /** All that its event in the log names, the anchor first: it is sealed with their keys. Default: with a key of its own. */
  readonly namedIds?: readonly Uuid[] | null;
  /** For stage `load`; one letter a load and row. */
  readonly loadId?: string | null;
  readonly rowNumber?: number | null;
  /** For stage `load`: under which the log would keep the row's event; null where the row does not say it. */
  readonly dedupeId?: Uuid | null;
  readonly receivedAt: number;
  /** How the payload is mapped again; default: it is an event. */
  readonly form?: RawForm;
  /** What was handed in, as text; JSON where it was. Cut to {@link MAX_DEAD_LETTER_BYTES}. */
  readonly payload: string;
}

/** Where a row was refused, as an export of refused rows says. */
export interface FormerPlace {
  /** The first 32 characters of the hash of the file. */
  readonly file: string;
  readonly row: number;
}

/** A row that is in the log, as letters of earlier loads know it. */
export interface MendedRow {
  /** Of its event. */
  readonly dedupeId: Uuid;
  /** Null: it does not say where it was refused. */
  readonly former: FormerPlace | null;
}

/** Twice what an event may have, so that one that is somewhat too large can still be made smaller. */
export const MAX_DEAD_LETTER_BYTES = 64 * 1024;

/** JSON, cut, of what may be no JSON: undefined, too deep, cyclic, with a BigInt. */
export function deadLetterText(input: unknown): string {
  try {
    const text = JSON.stringify(input) as string | undefined;
    return (text ?? 'null').slice(0, MAX_DEAD_LETTER_BYTES);
  } catch {
    return 'null';
  }
}

/**
 * An event of the log in the form in which it was handed in, so that letters of all stages read alike; without what is
 * private.
 */
export function deadEventText(logged: LoggedEvent): string {
  return deadLetterText(incomingOf({ ...logged, properties: withoutPrivate(logged.properties) }));
}

/** An event of the log as it would be accepted again: at the same time, by the same identifiers. */
export function incomingOf(event: LoggedEvent): IncomingEvent {
  const withContent = (name: 'properties' | 'traits' | 'context'): JsonObject | undefined =>
    Object.keys(event[name]).length === 0 ? undefined : { [name]: event[name] };
  return {
    type: event.type,
    ...(event.type === 'track' ? { name: event.name } : undefined),
    messageId: event.messageId,
    identifiers: event.identifiers.map(({ ns, value }) => ({ ns, value })),
    timestampMs: event.occurredAt,
    ...(event.groupId === null ? undefined : { groupId: event.groupId }),
    ...withContent('properties'),
    ...withContent('traits'),
    ...withContent('context'),
  };
}
