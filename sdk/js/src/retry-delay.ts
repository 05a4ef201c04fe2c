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
 * The wait that `Retry-After` asks for, in seconds or as a date (RFC 9110, section 10.2.3), at most an hour; null where
 * it says nothing that can be understood.
 */
export function retryAfterMs(header: string | null, nowMs: number): number | null {
  if (header === null) return null;
  const ms = /^\d+$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - nowMs;
  return Number.isNaN(ms) ? null : Math.min(MOST_ASKED_MS, Math.max(0, ms));
}
