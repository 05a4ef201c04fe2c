/** What became of the events that came in. */
export interface ActivityCounts {
  /** New ones that are durable now. */
  readonly accepted: number;
  /** Had been accepted before. */
  readonly duplicates: number;
  readonly refused: number;
  /** Of those accepted: marked with what they violate of the tracking plan. */
  readonly flagged: number;
  /** Of those accepted: loaded history. */
  readonly loaded: number;
}

export const NO_ACTIVITY: ActivityCounts = { accepted: 0, duplicates: 0, refused: 0, flagged: 0, loaded: 0 };

export const HOUR_MS = 3_600_000;
/** Counts are kept this long. */
export const ACTIVITY_KEPT_HOURS = 90 * 24;
/** Names of events with counts of their own, for one source and hour; further ones are counted under ''. */
export const MAX_ACTIVITY_NAMES = 200;

/** The beginning of the hour, UTC, that a time lies in; ms. */
export function hourOf(ms: number): number {
  return Math.floor(ms / HOUR_MS) * HOUR_MS;
}

/** The beginning of the first of the last hours, the present one included; ms. */
export function firstHourOf(nowMs: number, hours: number): number {
  return hourOf(nowMs) - (hours - 1) * HOUR_MS;
}

export interface ActivityHour extends ActivityCounts {
  /** Its beginning, ms. */
  readonly hour: number;
}

/**
 * One entry for each of the last hours, the present one last, whether or not anything came in.
 * @param counted entries of any order
 * @param hours how many
 */
export function lastHours(counted: readonly ActivityHour[], nowMs: number, hours: number): ActivityHour[] {
  const byHour = new Map(counted.map((entry) => [entry.hour, entry]));
  const present = hourOf(nowMs);
  return Array.from({ length: hours }, (_, i) => {
    const hour = present - (hours - 1 - i) * HOUR_MS;
    return byHour.get(hour) ?? { hour, ...NO_ACTIVITY };
  });
}

/** The share that was refused of all that came in, 0 … 1; null if nothing did. */
export function errorRateOf({ accepted, duplicates, refused }: ActivityCounts): number | null {
  const all = accepted + duplicates + refused;
  return all === 0 ? null : refused / all;
}
