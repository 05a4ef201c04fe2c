import { EVENT_LIMITS } from './accept.model.js';
import type { Refusal, RefusalCode } from './accept.model.js';
import { payloadBytes, payloadText } from './event-codec.js';
import type { EventPayload } from './event-codec.js';
import type { PreparedEvent } from './event-log.model.js';
import { addressIn, ENRICHED_FIELD, withoutAddress, type EventClient, type EventEnricher } from './enrichment.model.js';
import type { EventPlan, PlanVerdict } from './event-plan.model.js';
import { dedupeIdOf, EVENT_TYPES, isReservedTrait } from './event.model.js';
import type {
  DroppedIdentifier,
  EventType,
  IdentifierOrigin,
  IdentifierPolicy,
  IncomingEvent,
  JsonObject,
  RawIdentifier,
  ResolvedIdentifiers,
} from './event.model.js';
import { hashId } from '../platform/ids.js';
import { cleanText, inspectJsonObject, repairJson } from './inspect-json.js';
import { PAST_RETENTION } from './retention.model.js';
import { VIOLATIONS_FIELD, violationText, type PlanViolation } from './plan-violation.model.js';

export interface ValidationContext {
  readonly sourceId: number;
  /** When the event was received by our clock, integer ms. */
  readonly receivedAtMs: number;
  readonly historical: boolean;
  /** Events of before are not taken, ms. */
  readonly earliestMs: number;
  readonly policy: IdentifierPolicy;
  /** Where its identifiers come from. */
  readonly origin: IdentifierOrigin;
  /** For an event that brings none; must never repeat. */
  readonly newMessageId: () => string;
  /** The tracking plan of the source; null: it has none. */
  readonly plan: EventPlan | null;
  /** Null: nothing is found out about it. */
  readonly enrichment: Enrichment | null;
}

export interface Enrichment {
  readonly enricher: EventEnricher;
  /** Null: the event comes from Weft itself, and what it says of facts is believed. */
  readonly client: EventClient | null;
}

export type Validated =
  | {
      readonly ok: true;
      readonly event: PreparedEvent;
      readonly dropped: readonly DroppedIdentifier[];
      readonly violations: readonly PlanViolation[];
      /** Traits that it was taken without: their names are reserved. */
      readonly strippedTraits: number;
      /** It would be too large with the facts that were found out about it, and was taken without them. */
      readonly isBare?: boolean;
    }
  | { readonly ok: false; readonly refusal: Refusal; readonly violations?: readonly PlanViolation[] };

/**
 * Turns what an adapter hands in into an event fit for the log, or says why not. Never throws on JSON-like input.
 *
 * Repairs: `__proto__`, `constructor` and `prototype` keys are dropped; U+0000 (which PostgreSQL cannot store in text)
 * and lone surrogates become U+FFFD; a missing message id is generated; times in the future become the time received;
 * traits under reserved names and the address of the sender (`context.ip`) are left out.
 */
export function validateEvent(incoming: IncomingEvent, context: ValidationContext): Validated {
  const text = checkTexts(incoming);
  if ('code' in text) return { ok: false, refusal: text };
  const occurredAt = occurredAtOf(incoming, context.receivedAtMs);
  if (typeof occurredAt !== 'number') return { ok: false, refusal: occurredAt };
  if (occurredAt < context.earliestMs) return { ok: false, refusal: PAST_RETENTION };
  const shape = checkShape(incoming);
  if (typeof shape !== 'boolean') return { ok: false, refusal: shape };
  const resolved =
    incoming.areStanding === true
      ? standingIdentifiers(incoming.identifiers)
      : resolveIdentifiers(incoming.identifiers, context);
  if ('code' in resolved) return { ok: false, refusal: resolved };

  const strippedTraits = countReserved(incoming.traits);
  const messageId = text.messageId === '' ? context.newMessageId() : text.messageId;
  const sent: EventPayload = {
    type: incoming.type,
    name: incoming.type === 'track' ? text.name : incoming.type,
    messageId,
    identifiers: resolved.identifiers,
    properties: propertiesOf(incoming, text.name),
    traits:
      incoming.type === 'group'
        ? EMPTY
        : strippedTraits === 0
          ? (incoming.traits ?? EMPTY)
          : withoutReserved(incoming.traits),
    context: incoming.context === undefined ? EMPTY : withoutAddress(incoming.context),
    groupId: text.groupId === '' ? null : text.groupId,
  };
  const verdict = context.plan === null ? null : context.plan.check(sent);
  const violations = verdict === null ? NONE : verdict.violations;
  if (verdict?.refusal != null) return { ok: false, refusal: verdict.refusal, violations };
  const checked = context.plan === null ? sent : marked(sent, verdict);
  const { reserved } = incoming;
  const bare = reserved === undefined ? checked : { ...checked, traits: { ...checked.traits, ...reserved } };
  const { enrichment } = context;
  const payload = enrichment === null ? bare : enriched(bare, incoming, occurredAt, enrichment);
  let bytes = payloadBytes(safeText(payload, shape));
  const isBare = payload !== bare && bytes.length - 1 > EVENT_LIMITS.maxBytes;
  if (isBare) bytes = payloadBytes(safeText(bare, shape));
  if (bytes.length - 1 > EVENT_LIMITS.maxBytes) return { ok: false, refusal: TOO_LARGE };
  const anchor = resolved.identifiers[0];
  if (anchor === undefined) return { ok: false, refusal: noIdentifier(resolved) };
  return {
    ok: true,
    dropped: resolved.dropped,
    violations,
    strippedTraits,
    ...(isBare ? { isBare } : undefined),
    event: {
      sourceId: context.sourceId,
      dedupeId: dedupeIdOf(context.sourceId, messageId),
      anchorId: anchor.id,
      identifiers: resolved.identifiers,
      occurredAt,
      rulesVersion: context.policy.rulesVersion,
      historical: context.historical,
      payload: bytes,
      ...(resolved.formerIds === undefined ? undefined : { formerIds: resolved.formerIds }),
    },
  };
}

const EMPTY: JsonObject = Object.freeze({});
const NONE: readonly PlanViolation[] = [];
const KNOWN_TYPES: ReadonlySet<string> = new Set(EVENT_TYPES);

const TOO_LARGE: Refusal = {
  code: 'TOO_LARGE',
  reason: `event is larger than ${String(EVENT_LIMITS.maxBytes)} bytes of JSON`,
  hint: 'send less in properties, traits or context, or split the event',
};

// --- texts ----------------------------------------------------------------------------------------------------------

interface EventTexts {
  readonly name: string;
  readonly messageId: string;
  readonly groupId: string;
}

/** Type, name, message id and group id, each a clean string, '' if absent. */
function checkTexts(event: IncomingEvent): EventTexts | Refusal {
  if (!KNOWN_TYPES.has(event.type)) {
    return refusal('UNKNOWN_TYPE', 'type is not known', `use one of ${EVENT_TYPES.join(', ')}`);
  }
  const name = cleanOptional(event.name);
  const messageId = cleanOptional(event.messageId);
  const groupId = cleanOptional(event.groupId);
  if (name === null) return notText('name');
  if (messageId === null) return notText('messageId');
  if (groupId === null) return notText('groupId');
  if (event.type === 'track' && name === '') {
    return refusal('NAME_MISSING', 'a track event needs a name', 'put the name into "event"');
  }
  if (name.length > EVENT_LIMITS.maxNameLength) {
    return tooLong('NAME_TOO_LONG', 'name', EVENT_LIMITS.maxNameLength);
  }
  if (messageId.length > EVENT_LIMITS.maxMessageIdLength) {
    return tooLong('MESSAGE_ID_TOO_LONG', 'messageId', EVENT_LIMITS.maxMessageIdLength);
  }
  if (event.type === 'group' && groupId === '') {
    return refusal('GROUP_ID_MISSING', 'a group event needs a groupId', 'put the id of the group into "groupId"');
  }
  if (groupId.length > EVENT_LIMITS.maxGroupIdLength) {
    return tooLong('GROUP_ID_TOO_LONG', 'groupId', EVENT_LIMITS.maxGroupIdLength);
  }
  return { name, messageId, groupId };
}

function cleanOptional(value: unknown): string | null {
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? cleanText(value) : null;
}

// --- time -----------------------------------------------------------------------------------------------------------

/**
 * When it happened by our clock, ms: `received − (sentAt − timestamp)` cancels a wrong client clock (Segment's rule);
 * without `sentAt` the timestamp is believed. Never later than it was received.
 */
function occurredAtOf(event: IncomingEvent, receivedAtMs: number): number | Refusal {
  const { timestampMs, sentAtMs } = event;
  if (sentAtMs !== undefined && !Number.isFinite(sentAtMs)) return unparsable('sentAt');
  if (timestampMs === undefined) return receivedAtMs;
  if (!Number.isFinite(timestampMs)) return unparsable('timestamp');
  const correctedMs = sentAtMs === undefined ? timestampMs : receivedAtMs - (sentAtMs - timestampMs);
  const occurredAt = Math.min(Math.floor(correctedMs), receivedAtMs);
  // Only now: a device that does not know the date counts from 1970, and is right about how long ago it was.
  if (occurredAt >= EVENT_LIMITS.minTimeMs) return occurredAt;
  return tooOld(sentAtMs === undefined ? 'timestamp' : 'timestamp, corrected by sentAt,');
}

function unparsable(field: string): Refusal {
  return refusal('TIME_UNPARSABLE', `${field} is not a time`, 'use ISO 8601, as 2026-01-31T12:00:00.000Z');
}

function tooOld(field: string): Refusal {
  return refusal(
    'TIME_TOO_OLD',
    `${field} lies before the year 2000`,
    'times as numbers are milliseconds, not seconds',
  );
}

// --- shape of the JSON ----------------------------------------------------------------------------------------------

/** No JSON of `maxBytes` has more values than this: each takes a byte and a separator. */
const MAX_NODES = EVENT_LIMITS.maxBytes / 2;

/** @returns whether the JSON needs repair, or why it is refused. */
function checkShape(event: IncomingEvent): boolean | Refusal {
  const budget = { nodes: MAX_NODES };
  let needsRepair = false;
  for (const field of ['properties', 'traits', 'context'] as const) {
    const value: unknown = event[field];
    if (value === undefined) continue;
    switch (inspectJsonObject(value, EVENT_LIMITS.maxDepth, budget)) {
      case 'clean':
        break;
      case 'needs_repair':
        needsRepair = true;
        break;
      case 'not_json':
        return refusal('NOT_JSON', `${field} is not a JSON object`, `send ${field} as an object`);
      case 'too_deep': {
        const reason = `${field} is nested deeper than ${String(EVENT_LIMITS.maxDepth)} levels`;
        return refusal('TOO_DEEP', reason, `flatten ${field}`);
      }
      case 'too_many_nodes':
        return TOO_LARGE;
    }
  }
  return needsRepair;
}

/** The payload's JSON with repairs made. Escapes are rare, so finding one is reason enough to look at every string. */
function safeText(payload: EventPayload, mustRepair: boolean): string {
  const text = mustRepair ? '' : payloadText(payload);
  if (!mustRepair && !text.includes('\\u')) return text;
  return payloadText({
    ...payload,
    properties: repairJson(payload.properties),
    traits: repairJson(payload.traits),
    context: repairJson(payload.context),
  });
}

/**
 * A page's and a screen's name is a property; one that the sender put there stands. So are the traits of a group, which
 * are not those of the person who belongs to it.
 */
function propertiesOf(event: IncomingEvent, name: string): JsonObject {
  const properties = event.properties ?? EMPTY;
  if (event.type === 'group' && event.traits !== undefined) return { ...event.traits, ...properties };
  if (name === '' || !isNamedByProperty(event.type) || properties['name'] !== undefined) return properties;
  return { ...properties, name };
}

function isNamedByProperty(type: EventType): boolean {
  return type === 'page' || type === 'screen';
}

// --- reserved traits ------------------------------------------------------------------------------------------------

function countReserved(traits: JsonObject | undefined): number {
  let count = 0;
  for (const name in traits) if (isReservedTrait(name)) count++;
  return count;
}

function withoutReserved(traits: JsonObject = EMPTY): JsonObject {
  return Object.fromEntries(Object.entries(traits).filter(([name]) => !isReservedTrait(name)));
}

// --- tracking plan --------------------------------------------------------------------------------------------------

/** `context.violations` is ours where there is a plan, so that whoever reads it may rely on it. */
function marked(payload: EventPayload, verdict: PlanVerdict | null): EventPayload {
  if (verdict === null) {
    if (!(VIOLATIONS_FIELD in payload.context)) return payload;
    const { [VIOLATIONS_FIELD]: _, ...context } = payload.context;
    return { ...payload, context };
  }
  const { properties, traits, violations } = verdict;
  return {
    ...payload,
    properties,
    traits,
    context: { ...payload.context, [VIOLATIONS_FIELD]: violations.map(violationText) },
  };
}

// --- facts ----------------------------------------------------------------------------------------------------------

/** `context.enriched` is ours where the source is enriched, so that whoever reads it may rely on it. */
function enriched(
  payload: EventPayload,
  incoming: IncomingEvent,
  occurredAt: number,
  { enricher, client }: Enrichment,
): EventPayload {
  const { type, properties, context } = payload;
  const address = client?.address ?? addressIn(incoming.context);
  const found = enricher.facts(
    { type, properties, context, occurredAt },
    { address, userAgent: client?.userAgent ?? null },
  );
  const { [ENRICHED_FIELD]: given, ...others } = context;
  const before = client === null && typeof given === 'object' && !Array.isArray(given) ? given : null;
  if (found === null && before === null) return given === undefined ? payload : { ...payload, context: others };
  return { ...payload, context: { ...others, [ENRICHED_FIELD]: { ...before, ...found } } };
}

// --- identifiers ----------------------------------------------------------------------------------------------------

function resolveIdentifiers(
  raw: unknown,
  { policy, origin }: Pick<ValidationContext, 'policy' | 'origin'>,
): ResolvedIdentifiers | Refusal {
  if (!Array.isArray(raw)) return refusal('MALFORMED', 'identifiers are not a list', 'send a list of identifiers');
  if (raw.length > EVENT_LIMITS.maxIdentifiers) {
    const reason = `more than ${String(EVENT_LIMITS.maxIdentifiers)} identifiers`;
    return refusal('TOO_MANY_IDENTIFIERS', reason, 'send the identifiers of one person only');
  }
  const clean: RawIdentifier[] = [];
  for (const item of raw as unknown[]) {
    const { ns, value } = (item ?? EMPTY) as Record<string, unknown>;
    if (typeof ns !== 'string' || typeof value !== 'string') {
      return refusal('MALFORMED', 'an identifier is not a pair of texts', 'send namespace and value as strings');
    }
    clean.push({ ns: cleanText(ns), value: cleanText(value) });
  }
  const resolved = policy.resolve(clean, origin);
  return resolved.identifiers.length === 0 ? noIdentifier(resolved) : resolved;
}

function standingIdentifiers(identifiers: readonly RawIdentifier[]): ResolvedIdentifiers {
  return { identifiers: identifiers.map(({ ns, value }) => ({ id: hashId(ns, value), ns, value })), dropped: [] };
}

function noIdentifier({ dropped }: ResolvedIdentifiers): Refusal {
  const why = dropped.map(({ ns, reason }) => `${cleanText(ns).slice(0, 64)} is ${reason.replaceAll('_', ' ')}`);
  const reason = why.length === 0 ? 'no identifier is given' : `no identifier is usable: ${why.join(', ')}`;
  return refusal('NO_IDENTIFIER', reason, 'send a userId, an anonymousId or another identifier of the person');
}

// --- refusals -------------------------------------------------------------------------------------------------------

function refusal(code: RefusalCode, reason: string, hint: string): Refusal {
  return { code, reason, hint };
}

function notText(field: string): Refusal {
  return refusal('MALFORMED', `${field} is not a text`, `send ${field} as a string`);
}

function tooLong(code: RefusalCode, field: string, maxLength: number): Refusal {
  return refusal(code, `${field} is longer than ${String(maxLength)} characters`, `shorten ${field}`);
}
