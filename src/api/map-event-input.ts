import { withoutAddress } from '../events/enrichment.model.js';
import type { EventType, IncomingEvent, JsonObject } from '../events/event.model.js';
import { parseTimestamp } from './parse-timestamp.js';
import { formatInstant } from '../platform/instant.js';

/** An `EventInput` of GraphQL, as it is after the schema has checked it, or raw JSON that should be one. */
export interface EventInputFields {
  readonly type: EventType;
  readonly identifiers: readonly { readonly namespace: string; readonly value: string }[];
  readonly name?: string | null;
  readonly messageId?: string | null;
  /** ms, or ISO 8601 as on the wire. */
  readonly timestamp?: number | string | null;
  readonly sentAt?: number | string | null;
  readonly properties?: JsonObject | null;
  readonly traits?: JsonObject | null;
  readonly context?: JsonObject | null;
  readonly groupId?: string | null;
}

/** Null and absent are the same here; the validator looks at the rest. Whatever comes in, nothing throws. */
export function mapEventInput(input: EventInputFields): IncomingEvent {
  const { type, name, messageId, timestamp, sentAt, properties, traits, context, groupId } = input;
  const event: Record<string, unknown> = {
    type: typeof type === 'string' ? type.toLowerCase() : type,
    identifiers: asList(input.identifiers).map((identifier) => ({
      ns: identifier?.namespace,
      value: identifier?.value,
    })),
  };
  const optional = {
    name,
    messageId,
    timestampMs: isGiven(timestamp) ? parseTimestamp(timestamp) : undefined,
    sentAtMs: isGiven(sentAt) ? parseTimestamp(sentAt) : undefined,
    properties,
    traits,
    context: isObject(context) ? withoutAddress(context) : context,
    groupId,
  };
  for (const [field, value] of Object.entries(optional)) if (isGiven(value)) event[field] = value;
  return event as unknown as IncomingEvent;
}

/** The input as it is on the wire, for a dead letter. */
export function rawEventInput(input: EventInputFields | undefined): unknown {
  if (input === undefined) return null;
  const { type, timestamp, sentAt, context, ...rest } = input;
  return {
    type: type.toUpperCase(),
    ...rest,
    ...(context === undefined ? undefined : { context: isObject(context) ? withoutAddress(context) : context }),
    ...(typeof timestamp === 'number' ? { timestamp: formatInstant(timestamp) } : undefined),
    ...(typeof sentAt === 'number' ? { sentAt: formatInstant(sentAt) } : undefined),
  };
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asList(value: unknown): readonly (Record<string, unknown> | null)[] {
  return Array.isArray(value) ? (value as (Record<string, unknown> | null)[]) : [];
}
