import { askWithin } from './ask-within.js';
import { byteLength, type QueuedEvent } from './event-queue.js';
import type { Later } from './runtime.js';

/** Limits of the tracking API, with room for the rest of the body. */
export const MAX_EVENT_BYTES = 32 * 1024;
export const MAX_BODY_EVENTS = 500;
export const MAX_BODY_BYTES = 480 * 1024;
/** Of a request that outlives its page: of two, since browsers allow 64 KB of all together (Fetch, section 4.5). */
export const MAX_KEEPALIVE_BYTES = 30 * 1024;

export const REQUEST_TIMEOUT_MS = 10_000;

/** What became of a request: taken; to be cut in two; to be tried again, if that is of any use (null: no answer of Weft). */
export type Outcome =
  | { readonly kind: 'taken'; readonly refused: number; readonly token: string | undefined }
  | { readonly kind: 'split'; readonly status: number }
  | { readonly kind: 'refused'; readonly answer: Response | null };

/** The body of `POST /v1/batch`. The key is in it, because a header would ask for a preflight. */
export function bodyOf(events: readonly QueuedEvent[], writeKey: string, nowMs: number): string {
  const rest = JSON.stringify({ writeKey, sentAt: new Date(nowMs).toISOString() });
  return `{"batch":[${events.map(({ json }) => json).join()}],${rest.slice(1)}`;
}

/** Sends a body to `/v1/batch`. Never rejects. */
export function postBatch(endpoint: string, body: string, later: Later): Promise<Outcome> {
  // A simple request in the sense of CORS, which needs no preflight.
  const headers = { 'content-type': 'text/plain' };
  const keepalive = byteLength(body) <= MAX_KEEPALIVE_BYTES;
  return askWithin<Outcome>(
    endpoint,
    { method: 'POST', headers, body, keepalive },
    REQUEST_TIMEOUT_MS,
    later,
    async (answer) => {
      const { status } = answer;
      if (status === 400 || status === 413) return { kind: 'split', status };
      if (status !== 200) return { kind: 'refused', answer };
      const { success, rejected, token } = (await answer.json()) as {
        success?: unknown;
        rejected?: unknown[];
        token?: string;
      };
      // Other than success is not of Weft, as the login page of a hotel's network.
      return success === true ? { kind: 'taken', refused: rejected?.length ?? 0, token } : NO_ANSWER;
    },
    () => NO_ANSWER,
  );
}

const NO_ANSWER: Outcome = { kind: 'refused', answer: null };
