/*
 * What becomes of an attempt, and when there is another. Pure.
 *
 * A failure is of the receiver (`down`: no answer, an error of its own, too many requests) or of one change (`refused`).
 * Each is tried again later and later. Failures of the receiver, one after the other, also stop everything else that
 * would be sent to it but a probe now and then: whoever is down is not knocked down again, and its changes wait in the
 * feed, where they cost nothing.
 */

export type AttemptOutcome =
  | { readonly kind: 'delivered' }
  /** @param retryAfterMs what the receiver asked for; null: nothing */
  | { readonly kind: 'down'; readonly error: string; readonly retryAfterMs: number | null }
  | { readonly kind: 'refused'; readonly error: string }
  /** The receiver wants no more. */
  | { readonly kind: 'gone'; readonly error: string }
  /** No attempt can come to anything, as with a body that is too large. */
  | { readonly kind: 'hopeless'; readonly error: string };

/** Status codes of those 4xx that say nothing of the change: who may send, where to, and when. */
const OF_THE_RECEIVER: ReadonlySet<number> = new Set([401, 403, 404, 407, 408, 425, 429]);
const MAX_RETRY_AFTER_MS = 3_600_000;

/** @param retryAfter the header of this name: seconds, or a date (RFC 9110 §10.2.3) */
export function outcomeOfStatus(status: number, retryAfter: string | undefined, nowMs: number): AttemptOutcome {
  const error = `HTTP ${String(status)}`;
  if (status >= 200 && status < 300) return { kind: 'delivered' };
  if (status === 410) return { kind: 'gone', error };
  if (status >= 400 && status < 500 && !OF_THE_RECEIVER.has(status)) return { kind: 'refused', error };
  const isRedirect = status >= 300 && status < 400;
  return {
    kind: 'down',
    error: isRedirect ? `${error}: redirects are not followed` : error,
    retryAfterMs: retryAfterMs(retryAfter, nowMs),
  };
}

function retryAfterMs(text: string | undefined, nowMs: number): number | null {
  if (text === undefined) return null;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - nowMs;
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS) : null;
}

const FIRST_DELAY_MS = 10_000;
const MAX_DELAY_MS = 6 * 3_600_000;
const FACTOR = 3;
const JITTER = 0.2;

/**
 * How long a change waits after its n-th attempt, ms: 10 s, three times as long after each further one, 6 h at most, and
 * up to a fifth more or less. Twelve attempts take about a day and a half.
 * @param random 0 to 1
 */
export function changeDelayMs(attempts: number, random: number): number {
  return jittered(Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * FACTOR ** Math.min(attempts - 1, 20)), random);
}

/** Failures of the receiver after which nothing but probes is sent. */
export const FAILURES_UNTIL_DOWN = 5;
const FIRST_PROBE_MS = 5_000;
const MAX_PROBE_MS = 300_000;

/**
 * How long a receiver that is down is left alone, ms; 0 while it is not taken to be. Five minutes at most, so that it is
 * known soon when it is back.
 * @param random 0 to 1
 */
export function probeDelayMs(failures: number, random: number): number {
  if (failures < FAILURES_UNTIL_DOWN) return 0;
  return jittered(Math.min(MAX_PROBE_MS, FIRST_PROBE_MS * 2 ** Math.min(failures - FAILURES_UNTIL_DOWN, 20)), random);
}

function jittered(ms: number, random: number): number {
  return Math.round(ms * (1 - JITTER + 2 * JITTER * random));
}
