import { byteLength, type QueuedEvent } from './event-queue.js';
import { retryAfterMs } from './retry-delay.js';
import type { Later } from './runtime.js';

/** Limits of the tracking API, with room for the rest of the body. */
export const LIMITS = {
  maxEventBytes: 32 * 1024,
  maxBodyEvents: 500,
  maxBodyBytes: 480 * 1024,
  /** Of a request that outlives its page: of two, since browsers allow 64 KB of all together (Fetch, section 4.5). */
  maxKeepaliveBytes: 30 * 1024,
} as const;

export const REQUEST_TIMEOUT_MS = 10_000;

/** What became of a request: taken; to be cut in two; to be tried again; not from here, the key or the address is wrong. */
export type Outcome =
  | { readonly kind: 'taken'; readonly refused: number; readonly token: string | undefined }
  | { readonly kind: 'split'; readonly status: number }
  | { readonly kind: 'retry'; readonly afterMs: number | null }
  | { readonly kind: 'misdirected'; readonly status: number };

/** The body of `POST /v1/batch`. The key is in it, because a header would ask for a preflight. */
export function bodyOf(events: readonly QueuedEvent[], writeKey: string, nowMs: number): string {
  const rest = JSON.stringify({ writeKey, sentAt: new Date(nowMs).toISOString() });
  return `{"batch":[${events.map(({ json }) => json).join()}],${rest.slice(1)}`;
}

/** Sends a body to `/v1/batch`. Never rejects. */
export async function postBatch(endpoint: string, body: string, now: () => number, later: Later): Promise<Outcome> {
  const abort = new AbortController();
  const callOff = later(() => abort.abort(), REQUEST_TIMEOUT_MS);
  try {
    const response = await fetch(endpoint, {
      method: 'POST',
      // A simple request in the sense of CORS, which needs no preflight.
      headers: { 'content-type': 'text/plain' },
      body,
      credentials: 'omit',
      keepalive: byteLength(body) <= LIMITS.maxKeepaliveBytes,
      signal: abort.signal,
    });
    return await outcomeOf(response, now());
  } catch {
    return { kind: 'retry', afterMs: null };
  } finally {
    callOff();
  }
}

async function outcomeOf(response: Response, nowMs: number): Promise<Outcome> {
  const { status } = response;
  if (status === 200) {
    const answer = (await response.json()) as { success?: unknown; rejected?: unknown[]; token?: string };
    // Other than success is not of Weft, as the login page of a hotel's network.
    if (answer.success !== true) return { kind: 'retry', afterMs: null };
    return { kind: 'taken', refused: answer.rejected?.length ?? 0, token: answer.token };
  }
  if (status === 400 || status === 413) return { kind: 'split', status };
  if (status === 408 || status === 429 || status >= 500) {
    return { kind: 'retry', afterMs: retryAfterMs(response.headers.get('retry-after'), nowMs) };
  }
  return { kind: 'misdirected', status };
}
