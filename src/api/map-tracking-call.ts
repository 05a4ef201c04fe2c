import { EVENT_LIMITS } from '../events/accept.model.js';
import type { IncomingItem, Refusal } from '../events/accept.model.js';
import { addressIn, withoutAddress, type EventClient } from '../events/enrichment.model.js';
import { EVENT_TYPES } from '../events/event.model.js';
import type { EventType, IncomingEvent, JsonObject, RawIdentifier } from '../events/event.model.js';
import { numberText } from '../platform/number-text.js';
import { parseTimestamp } from './parse-timestamp.js';

/**
 * Calls of the tracking API in Segment's form (Segment spec, "Common fields" and the page of each call) to events.
 * Pure: JSON in, events out; whatever the JSON is, nothing throws.
 *
 * - userId → `user_id`, anonymousId → `anonymous_id`; numbers become text.
 * - traits.email, traits.phone of identify, and context.traits.email, .phone of any call → `email`, `phone`.
 * - context.device.id → `device_id`; context.externalIds `[{ id, type }]` → the namespace that `type` names.
 * - alias: userId → `user_id`, previousId → `anonymous_id`.
 * - group: its traits are the group's, not the person's; they become `properties`.
 * - context.ip is dropped: it is personal data. What is found out from it is, before ({@link clientOfCall}).
 * - Time: see {@link timesOf}.
 */

/** A parsed body, or one item of a batch. */
type Call = Readonly<Record<string, unknown>>;

/** @param type from the path, as `/v1/track`. */
export function mapSingleCall(body: Call, type: EventType): IncomingEvent {
  return mapCall(body, type, undefined);
}

/** @returns one item for each entry of `body.batch`, in order; null when `batch` is not a list. */
export function mapBatch(body: Call): IncomingItem[] | null {
  const { batch, sentAt } = body;
  return Array.isArray(batch) ? batch.map((item: unknown) => mapBatchItem(item, sentAt)) : null;
}

export function mapBatchItem(item: unknown, batchSentAt: unknown): IncomingItem {
  const call = asObject(item);
  if (call === null) return { refusal: NOT_AN_OBJECT, raw: item };
  const type = EVENT_TYPES.find((known) => known === call['type'] || SHORT_TYPES[known] === call['type']);
  return type === undefined ? { refusal: UNKNOWN_TYPE, raw: item } : mapCall(call, type, batchSentAt);
}

const SHORT_TYPES: Readonly<Record<EventType, string>> = {
  identify: 'i',
  track: 't',
  page: 'p',
  screen: 's',
  group: 'g',
  alias: 'a',
};

/**
 * A call as a dead letter keeps it: without what is not kept of accepted events either, its key and the address it came
 * from. What is no object is kept as it is.
 */
export function rawCall(input: unknown): unknown {
  const call = asObject(input);
  if (call === null) return input;
  const { writeKey: _, ...rest } = call;
  return 'context' in rest ? { ...rest, context: contextOf(rest['context']) } : rest;
}

/** The type that a path of the API names, in full or by its first letter. */
export function typeOfPath(name: string): EventType | null {
  return EVENT_TYPES.find((type) => type === name || SHORT_TYPES[type] === name) ?? null;
}

function mapCall(call: Call, type: EventType, batchSentAt: unknown): IncomingEvent {
  const context = contextOf(call['context']);
  const traits = objectField(call['traits']);
  const isGroup = type === 'group';
  const name = type === 'track' ? call['event'] : call['name'];
  const groupId = textOrNumber(call['groupId'] ?? context?.['groupId']);
  // A field of the wrong kind is passed on as it is: the validator says what is wrong with it.
  return {
    type,
    name,
    messageId: textOrNumber(call['messageId']),
    identifiers: identifiersOf(call, type, context),
    ...timesOf(call, batchSentAt),
    properties: isGroup ? traits : objectField(call['properties']),
    traits: isGroup ? undefined : traits,
    context,
    groupId,
  } as unknown as IncomingEvent;
}

function contextOf(value: unknown): JsonObject | undefined {
  const context = objectField(value);
  return context === undefined || !isObject(context) ? context : withoutAddress(context);
}

/**
 * Who sent a call. Its own word goes before what the connection shows, which is of somebody else where a server sends.
 * @param connection null: that of a server
 */
export function clientOfCall(input: unknown, connection: EventClient | null): EventClient {
  const address = addressIn(asObject(input)?.['context']) ?? connection?.address ?? null;
  return { address, userAgent: connection?.userAgent ?? null };
}

// --- identifiers ----------------------------------------------------------------------------------------------------

function identifiersOf(call: Call, type: EventType, context: JsonObject | undefined): RawIdentifier[] {
  const found: RawIdentifier[] = [];
  add(found, 'user_id', call['userId']);
  add(found, 'anonymous_id', call['anonymousId']);
  if (type === 'alias') add(found, 'anonymous_id', call['previousId']);
  if (type === 'identify') addContacts(found, asObject(call['traits']));
  const ofContext = asObject(context);
  if (ofContext === null) return found;
  addContacts(found, asObject(ofContext['traits']));
  add(found, 'device_id', asObject(ofContext['device'])?.['id']);
  addExternalIds(found, ofContext['externalIds']);
  return found;
}

function addContacts(found: RawIdentifier[], traits: Call | null): void {
  if (traits === null) return;
  add(found, 'email', traits['email']);
  add(found, 'phone', traits['phone']);
}

function addExternalIds(found: RawIdentifier[], list: unknown): void {
  if (!Array.isArray(list)) return;
  // One more than an event may have is enough for the validator to refuse it.
  for (const item of list.slice(0, EVENT_LIMITS.maxIdentifiers + 1)) {
    const external = asObject(item);
    const ns = external?.['type'];
    if (typeof ns === 'string') add(found, ns, external?.['id']);
  }
}

/** Takes texts and numbers; anything else is no identifier. A number whose digits are lost is passed on as it is. */
function add(found: RawIdentifier[], ns: string, value: unknown): void {
  const text = textOrNumber(value);
  if (typeof text === 'string' && text !== '') found.push({ ns, value: text });
  // The validator refuses it: with other digits it would be somebody else.
  else if (typeof text === 'number') found.push({ ns, value: text as unknown as string });
}

// --- time -----------------------------------------------------------------------------------------------------------

/**
 * `timestamp` is the client's clock, so `sentAt` (of the item, else of the batch) goes with it to correct it. Where
 * `originalTimestamp` stands beside `timestamp`, someone upstream has corrected `timestamp` already: it is taken as it
 * is. `originalTimestamp` alone is the client's.
 */
function timesOf(call: Call, batchSentAt: unknown): { timestampMs?: number; sentAtMs?: number } {
  const { timestamp, originalTimestamp } = call;
  if (isGiven(timestamp) && isGiven(originalTimestamp)) return { timestampMs: parseTimestamp(timestamp) };
  const clientTime = isGiven(timestamp) ? timestamp : originalTimestamp;
  if (!isGiven(clientTime)) return {};
  const sentAt = isGiven(call['sentAt']) ? call['sentAt'] : batchSentAt;
  const timestampMs = parseTimestamp(clientTime);
  return isGiven(sentAt) ? { timestampMs, sentAtMs: parseTimestamp(sentAt) } : { timestampMs };
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}

// --- JSON -----------------------------------------------------------------------------------------------------------

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asObject(value: unknown): Call | null {
  return isObject(value) ? value : null;
}

/** Absent and null are the same to senders. */
function objectField(value: unknown): JsonObject | undefined {
  return value === undefined || value === null ? undefined : (value as JsonObject);
}

function textOrNumber(value: unknown): unknown {
  return typeof value === 'number' ? (numberText(value) ?? value) : (value ?? undefined);
}

const NOT_AN_OBJECT: Refusal = { code: 'MALFORMED', reason: 'not a JSON object', hint: 'send each event as an object' };
const UNKNOWN_TYPE: Refusal = {
  code: 'UNKNOWN_TYPE',
  reason: 'type is missing or not known',
  hint: `set "type" to one of ${EVENT_TYPES.join(', ')}`,
};
