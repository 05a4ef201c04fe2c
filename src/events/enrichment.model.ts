import type { EventType, JsonObject } from './event.model.js';

/**
 * The field of an event's context under which Weft keeps what it found out about the event when it was accepted. It is in
 * the log with the event, so that live traffic, training sets and replays see the same.
 */
export const ENRICHED_FIELD = 'enriched';

/** What can be found out, as a source asks for it. */
export const ENRICHMENTS = ['device', 'location', 'referrer', 'local_time', 'sentiment'] as const;
export type Enrichment = (typeof ENRICHMENTS)[number];

/** What is found out about the events of a source. */
export interface EnrichmentSettings {
  /** At least one, each once. */
  readonly facts: readonly Enrichment[];
  /** For `referrer`: domains whose pages are the source's own, with all below them, beside that of the page itself. */
  readonly internalDomains: readonly string[];
  /** For `local_time`: the zone of those of whom nothing else tells it, as `Europe/Berlin`; null: none. */
  readonly zone: string | null;
  /** For `sentiment`: properties that hold texts, as `review.text`; the first that an event has is read. */
  readonly texts: readonly string[];
}

/** The paths of all facts below `context.enriched`, by what is asked for. */
export const FACT_PATHS: Readonly<Record<Enrichment, readonly string[]>> = {
  device: [
    'bot',
    'device.type',
    'device.vendor',
    'device.model',
    'browser.name',
    'browser.version',
    'os.name',
    'os.version',
  ],
  location: ['location.country', 'location.region', 'location.city', 'location.zone'],
  referrer: [
    'referrer.kind',
    'referrer.host',
    'referrer.name',
    'campaign.name',
    'campaign.source',
    'campaign.medium',
    'campaign.term',
    'campaign.content',
    'campaign.click_id',
  ],
  local_time: ['local.hour', 'local.weekday', 'local.weekend', 'local.part', 'local.zone'],
  sentiment: ['text.property', 'text.language', 'text.sentiment.compound', 'text.sentiment.label'],
};

/** Who sent an event, as far as the door that it came by can tell. Never kept: only what is found out from it is. */
export interface EventClient {
  /** IP address of the person's device; null: not known. */
  readonly address: string | null;
  /** What the person's device says of itself, where the event does not say it; null: not known. */
  readonly userAgent: string | null;
}

/** What facts are found out from. */
export interface EnrichableEvent {
  readonly type: EventType;
  readonly properties: JsonObject;
  readonly context: JsonObject;
  /** ms */
  readonly occurredAt: number;
}

/** Finds out about the events of one source. */
export interface EventEnricher {
  /** The facts, as they stand under {@link ENRICHED_FIELD}; null: there are none. Never throws. */
  facts(event: EnrichableEvent, client: EventClient): JsonObject | null;
}

export interface EventEnrichers {
  /** Resolves once what the facts are found out with is at hand. */
  of(settings: EnrichmentSettings): Promise<EventEnricher>;
}

/** Whether a context, as it was sent, names the address that the event came from. */
export function hasAddress(context: unknown): context is JsonObject {
  return typeof context === 'object' && context !== null && 'ip' in context;
}

/** The context as it is kept: without the address that the event came from, which is personal data. */
export function withoutAddress(context: JsonObject): JsonObject {
  if (!('ip' in context)) return context;
  const { ip: _, ...others } = context;
  return others;
}

/** The address that the sender of an event names in its context; null: none. */
export function addressIn(context: unknown): string | null {
  if (typeof context !== 'object' || context === null) return null;
  const { ip } = context as { ip?: unknown };
  return typeof ip === 'string' ? ip : null;
}
