/** Units of the written form, longest first, so that {@link durationText} finds the shortest text. */
const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const;

const DURATION = /^([1-9]\d{0,9})([smhd])$/;

/** Longest duration that can be written: 100 years. */
export const MAX_DURATION_MS = 36_500 * 86_400_000;

/**
 * Milliseconds of a duration written as a whole number and a unit: `30s`, `5m`, `24h`, `7d`.
 *
 * @throws RangeError with the accepted form, for any other text and beyond {@link MAX_DURATION_MS}
 */
export function durationMs(text: string): number {
  const match = DURATION.exec(text);
  const unitMs = UNITS.find(([unit]) => unit === match?.[2])?.[1];
  const ms = unitMs === undefined ? NaN : Number(match?.[1]) * unitMs;
  if (!(ms <= MAX_DURATION_MS)) {
    throw new RangeError(`"${text}" is not a duration: write a whole number and s, m, h or d, as in 5m, 24h, 7d`);
  }
  return ms;
}

/**
 * The shortest text that {@link durationMs} reads as `ms`.
 *
 * @throws RangeError if `ms` is not a positive whole number of seconds
 */
export function durationText(ms: number): string {
  for (const [unit, unitMs] of UNITS) {
    if (ms > 0 && ms % unitMs === 0) return `${String(ms / unitMs)}${unit}`;
  }
  throw new RangeError(
    `${String(ms)} ms cannot be written as a duration: it must be a positive whole number of seconds`,
  );
}
