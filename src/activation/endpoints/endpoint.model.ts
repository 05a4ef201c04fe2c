import type { JsonObject, JsonValue } from '../../events/event.model.js';
import type { Uuid } from '../../platform/ids.js';
import type { ChangeFilterSpec } from '../change-filter.model.js';
import type { PayloadTemplate } from './payload-template.model.js';

export const ENDPOINT_LIMITS = {
  /** In all. */
  maxEndpoints: 100,
  maxUrlLength: 2_000,
  maxHeaders: 10,
  maxHeaderLength: 4_000,
  /** Of identifiers, traits and features each. */
  maxNames: 100,
  defaultTimeoutMs: 10_000,
  maxTimeoutMs: 60_000,
  /** Requests to one endpoint under way at once. */
  defaultConcurrency: 4,
  maxConcurrency: 32,
  /** Of one change, the first included. */
  defaultAttempts: 12,
  maxAttempts: 30,
  /** Of a request. */
  maxBodyBytes: 262_144,
  /** Changes of one endpoint that wait to be tried again, and dead ones, before it takes no new ones. */
  maxWaiting: 10_000,
  maxDead: 10_000,
  maxOverlapMs: 30 * 86_400_000,
  maxErrorLength: 200,
} as const;

/** What of a person is sent with a change, and in what form. */
export interface EndpointContent {
  /** Namespaces. */
  readonly identifiers: readonly string[];
  readonly traits: readonly string[];
  readonly features: readonly string[];
  /** Whether personal data is sent as it is; else masked, as the API does for keys without the scope `pii`. */
  readonly pii: boolean;
  /** Name of a template that there is, or one of its own; null: as `standard`. */
  readonly template: string | PayloadTemplate | null;
}

export interface EndpointSettings {
  /** Of a request, until its answer is there, ms. */
  readonly timeoutMs: number;
  readonly concurrency: number;
  readonly maxAttempts: number;
}

/** Where requests go. The URL of a receiver may be what proves who may send, so all of it is kept sealed. */
export interface EndpointTarget {
  readonly url: string;
  /** Sent with each request, such as `authorization`; names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

/** An endpoint without its secrets. */
export interface Endpoint {
  readonly key: string;
  /** Scheme, host and port of its URL. */
  readonly origin: string;
  readonly filter: ChangeFilterSpec;
  readonly content: EndpointContent;
  readonly settings: EndpointSettings;
  /** ms; null while changes are sent. */
  readonly pausedAt: number | null;
  /** Why Weft paused it; null where somebody did. */
  readonly pausedBecause: string | null;
  /** All changes up to this position were delivered or left out, or stand among its deliveries. */
  readonly seq: number;
  /** Attempts that found the receiver down, since the last one that did not. */
  readonly failures: number;
  /** While it is down: when it is tried again, ms. */
  readonly retryAt: number | null;
  /** Of the last attempt that failed; null since one did not. */
  readonly error: string | null;
  /** Changes in all. */
  readonly delivered: number;
  readonly deliveredAt: number | null;
  readonly createdAt: number;
}

/** How many changes of an endpoint wait to be tried again, and how many no more will be. */
export interface EndpointBacklog {
  readonly waiting: number;
  readonly dead: number;
}

/** A change that could not be delivered. */
export interface FailedDelivery {
  readonly endpointKey: string;
  readonly seq: number;
  readonly profileId: Uuid;
  readonly status: 'waiting' | 'dead';
  readonly attempts: number;
  /** ms */
  readonly nextAt: number;
  /** What the last attempt came to, without anything that the receiver said; null: there was none yet. */
  readonly error: string | null;
  readonly failedAt: number | null;
}

/** What is known of a person, as far as an endpoint may be told. */
export interface PersonPayload {
  /** By namespace, values in the order of their characters. */
  readonly identifiers: Readonly<Record<string, readonly string[]>>;
  readonly traits: JsonObject;
  readonly features: Readonly<Record<string, JsonValue>>;
  /** True where the person does not allow what the endpoint is for: identifiers alone are told then. */
  readonly isWithheld: boolean;
}

export const NOBODY: PersonPayload = { identifiers: {}, traits: {}, features: {}, isWithheld: false };

/** Reads persons for an endpoint, by the ids that their changes name; who is not known (any more) is left out. */
export type PersonReader = (
  profileIds: readonly Uuid[],
  endpoint: Pick<Endpoint, 'content' | 'filter'>,
) => Promise<ReadonlyMap<Uuid, PersonPayload>>;
