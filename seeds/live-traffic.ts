import { setTimeout as wait } from 'node:timers/promises';

import {
  DEFAULT_TRAFFIC,
  type PlannedCall,
  planTraffic,
  type RecordedSession,
  type TrafficOptions,
} from './plan-traffic.js';
import type { Clock } from '../src/platform/clock.js';

export interface LiveTrafficOptions {
  /** Of the HTTP API, as `http://127.0.0.1:4000`. */
  readonly baseUrl: string;
  readonly writeKey: string;
  readonly sessions: readonly RecordedSession[];
  readonly clock: Clock;
  readonly plan?: Partial<TrafficOptions>;
  readonly fetch?: typeof fetch;
  /** Resolves after `ms`, or rejects when the signal aborts. */
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
}

export interface TrafficTotals {
  sent: number;
  /** Calls given up after {@link MAX_ATTEMPTS}. */
  dropped: number;
  retries: number;
  /** Calls the API refused. */
  refused: number;
}

/** Calls due within this time of each other go out in one request. */
const BATCH_WINDOW_MS = 250;
const MAX_BATCH_CALLS = 50;
const MAX_ATTEMPTS = 5;
const FIRST_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 10_000;
const REQUEST_TIMEOUT_MS = 10_000;

/**
 * Visitors of the demo's shop: sends planned traffic to `POST /v1/batch` when it is due, until the signal aborts.
 * Holds one batch at a time; when the server is slow or down, traffic falls behind and then catches up in full batches.
 */
export class LiveTraffic {
  readonly totals: TrafficTotals = { sent: 0, dropped: 0, retries: 0, refused: 0 };
  readonly #options: LiveTrafficOptions;
  readonly #fetch: typeof fetch;
  readonly #sleep: (ms: number, signal: AbortSignal) => Promise<void>;

  constructor(options: LiveTrafficOptions) {
    this.#options = options;
    this.#fetch = options.fetch ?? fetch;
    this.#sleep = options.sleep ?? ((ms, signal) => wait(ms, undefined, { signal }));
  }

  /** Resolves with the totals when the signal aborts; an abort is the ordinary end, not an error. */
  async run(signal: AbortSignal): Promise<TrafficTotals> {
    const { clock, sessions, plan } = this.#options;
    const startMs = plan?.startMs ?? clock.now();
    const calls = planTraffic(sessions, { ...DEFAULT_TRAFFIC, ...plan, startMs, seed: plan?.seed ?? String(startMs) });
    let next = calls.next().value;
    try {
      while (!signal.aborted) {
        const waitMs = next.atMs - clock.now();
        if (waitMs > 0) await this.#sleep(waitMs, signal);
        const batch: PlannedCall[] = [];
        const untilMs = clock.now() + BATCH_WINDOW_MS;
        while (next.atMs <= untilMs && batch.length < MAX_BATCH_CALLS) {
          batch.push(next);
          next = calls.next().value;
        }
        await this.#send(batch, signal);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    return this.totals;
  }

  async #send(batch: readonly PlannedCall[], signal: AbortSignal): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const retryAfterMs = await this.#post(batch, attempt, signal);
      if (retryAfterMs === null) return;
      if (attempt === MAX_ATTEMPTS) {
        this.totals.dropped += batch.length;
        return;
      }
      this.totals.retries += 1;
      await this.#sleep(retryAfterMs, signal);
    }
  }

  /** One request. Null: done, taken or refused for good; else how long to wait before the next attempt, ms. */
  async #post(batch: readonly PlannedCall[], attempt: number, signal: AbortSignal): Promise<number | null> {
    const backoffMs = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (attempt - 1));
    let response: Response;
    let body: unknown;
    try {
      response = await this.#fetch(`${this.#options.baseUrl}/v1/batch`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          authorization: `Basic ${Buffer.from(`${this.#options.writeKey}:`).toString('base64')}`,
        },
        body: JSON.stringify({ batch: batch.map((planned) => planned.call), sentAt: this.#nowIso() }),
        signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]),
      });
      body = await response.json().catch(() => null);
    } catch (error) {
      if (signal.aborted) throw error;
      return backoffMs;
    }
    if (response.status === 429 || response.status >= 500) return retryAfter(response) ?? backoffMs;
    const refused = response.ok ? rejectedCount(body) : batch.length;
    this.totals.refused += refused;
    this.totals.sent += batch.length - refused;
    return null;
  }

  #nowIso(): string {
    return new Date(this.#options.clock.now()).toISOString();
  }
}

/** `Retry-After` in seconds, as ms; null if it is missing or not a number. */
function retryAfter(response: Response): number | null {
  const seconds = Number.parseFloat(response.headers.get('retry-after') ?? '');
  return Number.isNaN(seconds) ? null : Math.min(MAX_BACKOFF_MS, Math.max(0, seconds * 1000));
}

function rejectedCount(body: unknown): number {
  if (typeof body !== 'object' || body === null || !('rejected' in body)) return 0;
  return Array.isArray(body.rejected) ? body.rejected.length : 0;
}
