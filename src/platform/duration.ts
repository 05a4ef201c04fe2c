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

/** Other ways to write units, in seconds, with our unit where there is one. */
const OTHER_UNITS: readonly (readonly [pattern: RegExp, seconds: number, unit?: string])[] = [
  [/^s(?:ec(?:ond)?s?)?$/, 1, 's'],
  [/^m(?:in(?:ute)?s?)?$/, 60, 'm'],
  [/^h(?:(?:ou)?rs?)?$/, 3_600, 'h'],
  [/^d(?:ays?)?$/, 86_400, 'd'],
  [/^w(?:(?:ee)?ks?)?$/, 7 * 86_400],
  [/^mo(?:nths?|s)?$/, 30 * 86_400],
  [/^y(?:(?:ea)?rs?)?$/, 365 * 86_400],
];

/**
 * The written form of what is probably meant by another text: `7d` for `7 days`, `90m` for `1.5h`, `30d` for `1 month`;
 * undefined where that cannot be told.
 */
export function nearDuration(text: string): string | undefined {
  // In ISO 8601 the M of P1M is a month, that of PT1M a minute.
  if (/^P[^T]*M$/i.test(text)) return undefined;
  const [, number = '', word = ''] = /^(?:P?T?|last\s+)(\d{1,9}(?:\.\d{1,3})?)[\s-]*([a-z]+)$/i.exec(text.trim()) ?? [];
  const known = OTHER_UNITS.find(([pattern]) => pattern.test(word.toLowerCase()));
  if (known === undefined) return undefined;
  const [, unitSeconds, unit] = known;
  const ms = Math.round(Number(number) * unitSeconds) * 1_000;
  if (!(ms > 0 && ms <= MAX_DURATION_MS)) return undefined;
  return unit !== undefined && /^[1-9]\d*$/.test(number) ? `${number}${unit}` : durationText(ms);
}

/** How to write what is no duration: with the unit that a bare number lacks, or as is probably meant. */
export function durationHint(text: string): string {
  const near = nearDuration(text);
  if (near !== undefined) return `write ${near}`;
  const number = text.trim();
  if (/^[1-9]\d{0,4}$/.test(number))
    return `say of what: ${number}d is ${number} days, ${number}h hours, ${number}m minutes`;
  return 'write a whole number and s, m, h or d, as in 5m, 24h, 7d';
}
