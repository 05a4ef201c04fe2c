import { LRUCache } from 'lru-cache';
import type {
  EnrichableEvent,
  EnrichmentSettings,
  EventClient,
  EventEnricher,
  EventEnrichers,
} from '../events/enrichment.model.js';
import type { JsonObject } from '../events/event.model.js';
import { classifyReferrer } from './classify-referrer.js';
import type { Places } from './geo-database.js';
import { LocalTimes } from './local-times.js';
import type { TextReader } from '../platform/text-reader.js';
import { readText } from './read-text.js';
import { MAX_USER_AGENT_LENGTH, readUserAgent } from './read-user-agent.js';

/** User agents whose reading is at hand: reading one takes some 30 µs, looking it up less than one. */
const MAX_KNOWN_USER_AGENTS = 5_000;

interface Means {
  readonly settings: EnrichmentSettings;
  /** Null: texts are not to be read. */
  readonly reader: TextReader | null;
}

/** Finds out the facts that sources ask for. */
export class Enrichers implements EventEnrichers {
  readonly #devices = new LRUCache<string, { readonly facts: JsonObject | null }>({ max: MAX_KNOWN_USER_AGENTS });
  readonly #times = new LocalTimes();
  readonly #places: Places | null;
  readonly #loadTextReader: () => Promise<TextReader>;
  #texts: Promise<TextReader> | null = null;

  /**
   * @param places null: nobody tells where addresses are
   * @param loadTextReader asked when the first event needs it
   */
  constructor(places: Places | null, loadTextReader: () => Promise<TextReader>) {
    this.#places = places;
    this.#loadTextReader = loadTextReader;
  }

  async of(settings: EnrichmentSettings): Promise<EventEnricher> {
    const { facts } = settings;
    if (facts.includes('location') || facts.includes('local_time')) await this.#places?.ready();
    const reader = facts.includes('sentiment') ? await this.#textReader() : null;
    return { facts: (event, client) => this.#facts(event, client, { settings, reader }) };
  }

  /** One that could not be loaded is loaded again. */
  #textReader(): Promise<TextReader> {
    this.#texts ??= this.#loadTextReader().catch((error: unknown) => {
      this.#texts = null;
      throw error;
    });
    return this.#texts;
  }

  #facts(event: EnrichableEvent, client: EventClient, { settings, reader }: Means): JsonObject | null {
    const { facts } = settings;
    const found: JsonObject = {};
    if (facts.includes('device')) Object.assign(found, this.#device(event, client));
    if (facts.includes('referrer')) Object.assign(found, classifyReferrer(event, settings.internalDomains));
    if (reader !== null) Object.assign(found, readText(event.properties, settings.texts, reader));
    const isTimed = facts.includes('local_time');
    const isLocated = facts.includes('location');
    const place = (isTimed || isLocated) && client.address !== null ? this.#place(client.address) : null;
    if (isLocated && place !== null) found['location'] = place;
    if (isTimed) {
      const zones = [event.context['timezone'], place?.['zone'], settings.zone];
      Object.assign(found, this.#times.facts(event.occurredAt, zones));
    }
    return Object.keys(found).length === 0 ? null : found;
  }

  #place(address: string): JsonObject | null {
    return this.#places?.locate(address) ?? null;
  }

  #device({ context }: EnrichableEvent, client: EventClient): JsonObject | null {
    const given = context['userAgent'];
    const userAgent = (typeof given === 'string' ? given : (client.userAgent ?? '')).slice(0, MAX_USER_AGENT_LENGTH);
    if (userAgent === '') return null;
    const known = this.#devices.get(userAgent);
    if (known !== undefined) return known.facts;
    const facts = readUserAgent(userAgent);
    this.#devices.set(userAgent, { facts });
    return facts;
  }
}
