import { hashId, type Uuid } from '../platform/ids.js';
import type { PlanViolation } from './plan-violation.model.js';

export const EVENT_TYPES = ['identify', 'track', 'page', 'screen', 'group', 'alias'] as const;
export type EventType = (typeof EVENT_TYPES)[number];

export type JsonValue = string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue };
export type JsonObject = { [key: string]: JsonValue };

/**
 * The property under which an event keeps what only the two sides of a conversation may know, as the words of a direct
 * message. Shown to keys with the scope admin alone, left out of dead letters; features and segments cannot name it.
 */
export const PRIVATE_PROPERTIES = '$private';

/** The properties of an event as everybody who may read it may see them. */
export function withoutPrivate(properties: JsonObject): JsonObject {
  if (!Object.hasOwn(properties, PRIVATE_PROPERTIES)) return properties;
  const { [PRIVATE_PROPERTIES]: _, ...others } = properties;
  return others;
}

/**
 * Whether a name of a trait is Weft's own. Under names that begin with `$` a profile keeps state that is no trait, as
 * what its consents are: such names are taken out of what comes in, and no list of traits shows them.
 */
export function isReservedTrait(name: string): boolean {
  return name.charCodeAt(0) === DOLLAR;
}

const DOLLAR = 0x24;

/** A namespace and a value, both normalised. `id` is a function of the two: equal identifiers have equal ids everywhere. */
export interface Identifier {
  readonly id: Uuid;
  readonly ns: string;
  readonly value: string;
}

/**
 * Decides which identifiers of an event count and which one it hangs on. Implemented by `identity/`, handed to the
 * event log by the composition root, because an event's anchor fixes its partition when it is appended.
 */
export interface IdentifierPolicy {
  /** Grows whenever the rules change; stored with each event. */
  readonly rulesVersion: number;
  /**
   * Normalises and filters raw identifiers, and sorts them by falling priority (ties by namespace, then value).
   * Blocked and malformed values are left out and reported.
   *
   * @param origin where they come from; default: from Weft itself, which may name anybody
   */
  resolve(raw: readonly RawIdentifier[], origin?: IdentifierOrigin): ResolvedIdentifiers;
  /** The rule that blocks an identifier, for people, as `blocked mailbox "noreply"`; null: none does. */
  blockedBy(raw: RawIdentifier): string | null;
}

/** What is known of where identifiers come from. */
export interface IdentifierOrigin {
  /** Whether it is sure of whom it names, as a server is and a page in a browser is not; default: no. */
  readonly authenticated?: boolean;
  /** ISO 3166-1 alpha-2 code for its phone numbers without a country code; default: as the rules say. */
  readonly region?: string | null;
}

const NAMESPACE = /^[a-z][a-z0-9_]{0,31}$/;

/** Whether identifiers may have a namespace of this name. */
export function isNamespace(name: string): boolean {
  return NAMESPACE.test(name);
}

export interface RawIdentifier {
  readonly ns: string;
  readonly value: string;
}

export interface ResolvedIdentifiers {
  /** Unique, by falling priority. The first is the anchor. Empty: the event belongs to nobody and is refused. */
  readonly identifiers: readonly Identifier[];
  readonly dropped: readonly DroppedIdentifier[];
  /**
   * What the same raw identifiers came to by former rules, where that is otherwise, and what those that are dropped would
   * be: nothing is attributed by these, but who was erased under one is told by them. Absent: nothing.
   */
  readonly formerIds?: readonly Uuid[];
}

/** That an identifier does not count, and why; never its value. */
export interface DroppedIdentifier {
  readonly ns: string;
  readonly reason: 'blocked' | 'malformed' | 'too_long' | 'too_many' | 'unknown_namespace' | 'unauthenticated';
}

/** What the log keeps one event of: a function of the source and the message id. */
export function dedupeIdOf(sourceId: number, messageId: string): Uuid {
  return hashId('dedupe', String(sourceId), messageId);
}

/** What an adapter (HTTP, GraphQL, batch load) hands to `AcceptService`: parsed, not yet validated. */
export interface IncomingEvent {
  readonly type: EventType;
  /** `track`: the event's name. `page`, `screen`: the page's name, if any. */
  readonly name?: string;
  /** Unique per source; a missing one is generated, which gives up deduplication. */
  readonly messageId?: string;
  readonly identifiers: readonly RawIdentifier[];
  /**
   * Whether these are identifiers as they stand for a profile, by falling priority: taken as they are, whatever the rules
   * in force would make of them. Set by Weft alone, like `reserved`.
   */
  readonly areStanding?: boolean;
  /** When it happened, by the sender's clock. */
  readonly timestampMs?: number;
  /** When it was sent, by the sender's clock: lets us correct a wrong one. */
  readonly sentAtMs?: number;
  readonly properties?: JsonObject;
  readonly traits?: JsonObject;
  readonly context?: JsonObject;
  readonly groupId?: string;
  /** State under names of Weft's own, see {@link isReservedTrait}. Set by Weft alone: no adapter copies it from input. */
  readonly reserved?: JsonObject;
}

/** An event as it stands in the log: validated, deduplicated, anchored, positioned. */
export interface LoggedEvent {
  /** Position in the log; the acceptance order. Grows with commit order, so that a reader never misses one. */
  readonly pos: number;
  /** `partitionOf(anchor, partitions)`. */
  readonly part: number;
  readonly sourceId: number;
  readonly messageId: string;
  readonly type: EventType;
  /**
   * What features and segments match on. For `track` the name of the event; for other types the type itself
   * (`page`, `identify`, …), with the page's name in `properties.name`.
   */
  readonly name: string;
  /** `min(corrected client time, acceptedAt)`, ms. */
  readonly occurredAt: number;
  /** ms; never falls as `pos` grows. */
  readonly acceptedAt: number;
  /** Loaded history: sets state, emits no change. */
  readonly historical: boolean;
  /** By falling priority; the first is the anchor. Never empty. */
  readonly identifiers: readonly Identifier[];
  readonly properties: JsonObject;
  readonly traits: JsonObject;
  readonly context: JsonObject;
  readonly groupId: string | null;
}

/** The outcome for one event of a batch, at the index it was handed in. */
export type AcceptResult =
  | {
      readonly status: 'accepted' | 'duplicate';
      /** Identifiers that it was taken without; absent: none. */
      readonly dropped?: readonly DroppedIdentifier[];
      /** What it violates of the tracking plan; absent: nothing. */
      readonly violations?: readonly PlanViolation[];
    }
  | {
      readonly status: 'refused';
      readonly code: string;
      readonly reason: string;
      /** How to fix it, one sentence. */
      readonly hint?: string;
      /** Where the tracking plan refuses it: what it violates. */
      readonly violations?: readonly PlanViolation[];
    };

/**
 * Total order of evidence and of trait values that does not depend on arrival: `(occurredAt, sourceId, messageId)`,
 * message ids by code point, which is what PostgreSQL's collation "C" does.
 */
export interface CanonicalKey {
  readonly occurredAt: number;
  readonly sourceId: number;
  readonly messageId: string;
}

export function compareCanonical(a: CanonicalKey, b: CanonicalKey): number {
  if (a.occurredAt !== b.occurredAt) return a.occurredAt - b.occurredAt;
  if (a.sourceId !== b.sourceId) return a.sourceId - b.sourceId;
  return compareText(a.messageId, b.messageId);
}

/** The same for keys that are equal, and for no others. */
export function canonicalText({ occurredAt, sourceId, messageId }: CanonicalKey): string {
  return `${String(occurredAt)} ${String(sourceId)} ${messageId}`;
}

/** By code point; `<` compares UTF-16 units, which puts U+FF5E after U+1F600. */
function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x === y) continue;
    const isSurrogateX = (x & 0xf800) === 0xd800;
    if (isSurrogateX !== ((y & 0xf800) === 0xd800)) return isSurrogateX ? 1 : -1;
    return x - y;
  }
  return a.length - b.length;
}
