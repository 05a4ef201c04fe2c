const FIRST_MS = 1_000;
const MOST_MS = 60_000;
const MOST_ASKED_MS = 3_600_000;

/**
 * How long to wait before the next try: doubling from one second to one minute, the upper half of it at random, so that
 * clients that failed together do not come back together.
 *
 * @param failures in a row, 1 or more
 * @param random in [0, 1)
 */
export function backoffMs(failures: number, random: number): number {
  const ceiling = Math.min(MOST_MS, FIRST_MS * 2 ** (failures - 1));
  return Math.round(ceiling * (0.5 + random / 2));
}

/**
 * The wait that `Retry-After` asks for, in seconds or as a date (RFC 9110, section 10.2.3), at most an hour; 0 where it
 * says nothing that can be understood.
 */
export function retryAfterMs(answer: Pick<Response, 'headers'> | null, nowMs: number): number {
  const text = answer?.headers.get('retry-after') ?? '';
  const ms = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - nowMs;
  // Not a number: 0.
  return Math.min(MOST_ASKED_MS, Math.max(0, ms || 0));
}
