import { WeftError } from '../platform/errors.js';
import type { CounterHandle, Metrics } from '../platform/metrics.js';
import type { Rate } from '../platform/rate-limiter.js';
import type { Principal } from './auth/api-key.model.js';

/** Of a rate, what may be taken at once after a pause. */
const BURST_SECONDS = 2;
const PAUSED_RETRY_AFTER_MS = 10_000;
const CONNECTIONS_RETRY_AFTER_MS = 5_000;
const DEFAULT_CONNECTIONS_PER_KEY = 1_000;

export const REQUEST_LIMITS = [
  'key_events',
  'key_requests',
  'key_connections',
  'source_events',
  'source_paused',
] as const;

/** Takes tokens and answers 0, or takes none and answers for how many ms to wait. */
export interface Limiter {
  take(key: string, tokens: number, rate?: Rate): number;
  giveBack(key: string, tokens: number): void;
}

export interface RequestLimitDependencies {
  /** Events by key; where a key has no rate of its own, the rate of all. */
  readonly events: Limiter;
  /** GraphQL requests by key; where a key has no rate of its own, the rate of all. */
  readonly requests: Limiter;
  /** Events by source. */
  readonly sources: Limiter;
  /** WebSockets and event streams that one key or person may hold open. Default 1,000. */
  readonly connectionsPerKey?: number;
  /** A limit that is reached is counted. */
  readonly metrics: Pick<Metrics, 'counter'>;
}

/** A source, as far as it limits what is sent to it. */
export interface LimitedSource {
  readonly key: string;
  readonly paused: boolean;
  readonly maxEventsPerSecond: number | null;
}

type Sender = Pick<Principal, 'id' | 'ratePerSecond'>;

/** How often those who ask may ask, and those who send may send. Each process counts for itself (docs/adr/0012). */
export class RequestLimits {
  readonly #limited: CounterHandle;
  /** Open WebSockets and event streams by who holds them; nobody who holds none. */
  readonly #connections = new Map<string, number>();

  constructor(private readonly deps: RequestLimitDependencies) {
    this.#limited = deps.metrics.counter(
      'requests_limited_total',
      'Requests refused by a limit of a key or a source.',
      {
        limit: REQUEST_LIMITS,
      },
    );
  }

  /**
   * To be asked before events are accepted, whichever way they came.
   * @throws WeftError SOURCE_PAUSED, RATE_LIMITED: nothing was taken, and sending all again later is right
   */
  admitEvents({ id, ratePerSecond }: Sender, source: LimitedSource, events: number): void {
    if (source.paused) {
      this.#limited.add(1, 'source_paused');
      throw new WeftError('SOURCE_PAUSED', `the source ${source.key} is paused`, {
        where: 'source',
        hint: 'send the same again later, or have the source resumed',
        retryAfterMs: PAUSED_RETRY_AFTER_MS,
      });
    }
    const { maxEventsPerSecond } = source;
    const sourceWaitMs =
      maxEventsPerSecond === null ? 0 : this.deps.sources.take(source.key, events, rateOf(maxEventsPerSecond));
    if (sourceWaitMs > 0) {
      throw this.#refusal('source_events', 'this source sends more events than it may', sourceWaitMs);
    }
    const keyWaitMs = this.deps.events.take(id, events, ratePerSecond === null ? undefined : rateOf(ratePerSecond));
    if (keyWaitMs === 0) return;
    if (maxEventsPerSecond !== null) this.deps.sources.giveBack(source.key, events);
    throw this.#refusal('key_events', 'this key sends more events than it may', keyWaitMs);
  }

  /**
   * To be asked once a GraphQL request; a subscription is one.
   * @returns RATE_LIMITED, to be thrown or told; undefined where the request may go on
   */
  refusalOfRequest({ id, ratePerSecond }: Sender): WeftError | undefined {
    const waitMs = this.deps.requests.take(id, 1, ratePerSecond === null ? undefined : rateOf(ratePerSecond));
    return waitMs === 0 ? undefined : this.#refusal('key_requests', 'this key asks more often than it may', waitMs);
  }

  /**
   * To be asked before a WebSocket or an event stream is opened.
   * @returns to be called once it is closed
   * @throws WeftError RATE_LIMITED
   */
  openConnection({ id }: Pick<Sender, 'id'>): () => void {
    const { connectionsPerKey = DEFAULT_CONNECTIONS_PER_KEY } = this.deps;
    const open = this.#connections.get(id) ?? 0;
    if (open >= connectionsPerKey) {
      this.#limited.add(1, 'key_connections');
      throw new WeftError('RATE_LIMITED', `this key holds ${String(open)} connections open`, {
        hint: 'close those that are not needed: one carries up to 100 operations',
        retryAfterMs: CONNECTIONS_RETRY_AFTER_MS,
      });
    }
    this.#connections.set(id, open + 1);
    let isOpen = true;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      const left = (this.#connections.get(id) ?? 1) - 1;
      if (left === 0) this.#connections.delete(id);
      else this.#connections.set(id, left);
    };
  }

  #refusal(limit: (typeof REQUEST_LIMITS)[number], message: string, retryAfterMs: number): WeftError {
    this.#limited.add(1, limit);
    return new WeftError('RATE_LIMITED', message, {
      hint: 'wait as long as Retry-After or retryAfterMs says, then send the same again',
      retryAfterMs,
    });
  }
}

/** A rate in the long run, with the burst that all rates have. */
export function rateOf(tokensPerSecond: number): Rate {
  return { tokensPerSecond, burstTokens: tokensPerSecond * BURST_SECONDS };
}
