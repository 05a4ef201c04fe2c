import type { EnrichmentSettings } from '../events/enrichment.model.js';
import type { JsonObject } from '../events/event.model.js';

export const SOURCE_KINDS = ['http', 'batch', 'webhook'] as const;
export type SourceKind = (typeof SOURCE_KINDS)[number];

/** Where data comes from. `id` and `key` never change once given. */
export interface Source {
  /** Small and stable: what events, states and feature definitions refer to. */
  readonly id: number;
  /** `[a-z][a-z0-9_]{0,62}`, unique. */
  readonly key: string;
  readonly name: string;
  readonly kind: SourceKind;
  readonly config: JsonObject;
  /** True: nothing of it is taken now. Those who send are told to come again, so nothing is lost. */
  readonly paused: boolean;
  /** Events that it may send in the long run, by all of its keys together; null: as its keys may. */
  readonly maxEventsPerSecond: number | null;
  /**
   * Whether it is sure of whom it names, as a server is and a page in a browser is not: namespaces that count only from
   * such sources count from it.
   */
  readonly authenticated: boolean;
  /** ISO 3166-1 alpha-2 code for its phone numbers without a country code; null: as the rules of identity say. */
  readonly region: string | null;
  /** How long its events are kept, from when they happened, ms; null: for ever. */
  readonly retentionMs: number | null;
  /** Whether what came of events goes with them once they are too old. */
  readonly retentionStrict: boolean;
  /** What is found out about its events when they are accepted; null: nothing. */
  readonly enrichment: EnrichmentSettings | null;
  /** ms */
  readonly createdAt: number;
}

export interface NewSource {
  readonly key: string;
  /** For people; default: the key. */
  readonly name?: string;
  readonly kind: SourceKind;
  readonly config?: JsonObject;
  readonly maxEventsPerSecond?: number | null;
  /** Default: all but those of the tracking API are. */
  readonly authenticated?: boolean;
  readonly region?: string | null;
  readonly retentionMs?: number | null;
  readonly retentionStrict?: boolean;
  readonly enrichment?: EnrichmentSettings | null;
}

/** What is to be otherwise; what is left out stays. */
export interface SourceChange {
  readonly name?: string;
  readonly paused?: boolean;
  readonly maxEventsPerSecond?: number | null;
  readonly authenticated?: boolean;
  readonly region?: string | null;
  readonly retentionMs?: number | null;
  readonly retentionStrict?: boolean;
  readonly enrichment?: EnrichmentSettings | null;
}

export const MAX_SOURCE_NAME_LENGTH = 200;
