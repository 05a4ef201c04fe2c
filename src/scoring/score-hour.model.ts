export const HOUR_MS = 3_600_000;

/** What a version of a model said of live traffic within an hour. */
export interface ScoreHour {
  readonly key: string;
  readonly version: number;
  /** Its first instant, ms. */
  readonly start: number;
  /** Rows that it answered, and that it gave no answer for. */
  readonly answered: number;
  readonly unanswered: number;
  /** Of the answers, those with a score, and the sum of these. */
  readonly scored: number;
  readonly total: number;
  /** Some of the scores, drawn evenly. */
  readonly sample: readonly number[];
  /** How often it gave each label or cluster. */
  readonly classes: Readonly<Record<string, number>>;
  /** In how many of the rows each feature was missing; those that never were are left out. */
  readonly missing: Readonly<Record<string, number>>;
}

/** Adds hours of one version up; null: there are none. */
export function sumOfHours(hours: readonly ScoreHour[]): ScoreHour | null {
  const [first] = hours;
  if (first === undefined) return null;
  const sum = (of: (hour: ScoreHour) => number): number => hours.reduce((all, hour) => all + of(hour), 0);
  return {
    ...{ key: first.key, version: first.version, start: Math.min(...hours.map(({ start }) => start)) },
    answered: sum(({ answered }) => answered),
    unanswered: sum(({ unanswered }) => unanswered),
    scored: sum(({ scored }) => scored),
    total: sum(({ total }) => total),
    sample: weighed(hours),
    classes: added(hours.map(({ classes }) => classes)),
    missing: added(hours.map(({ missing }) => missing)),
  };
}

/** Scores that are taken of all hours together, about. */
const MAX_SUM_SAMPLE = 5_000;

/** As many of each hour as it had scores, so that quiet hours do not count for more. */
function weighed(hours: readonly ScoreHour[]): number[] {
  const scored = hours.reduce((all, hour) => all + hour.scored, 0);
  // The hour of which least was kept of all that it had decides how much can be taken of each.
  const kept = Math.min(1, ...hours.flatMap((hour) => (hour.scored === 0 ? [] : [hour.sample.length / hour.scored])));
  const share = Math.min(kept, MAX_SUM_SAMPLE / Math.max(1, scored));
  return hours.flatMap((hour) => {
    const sorted = [...hour.sample].sort((a, b) => a - b);
    const count = sorted.length === 0 ? 0 : Math.max(1, Math.round(hour.scored * share));
    return Array.from({ length: count }, (_, i) => sorted[Math.floor(((i + 0.5) * sorted.length) / count)] ?? NaN);
  });
}

function added(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sums = new Map<string, number>();
  for (const each of counts) for (const [name, n] of Object.entries(each)) sums.set(name, (sums.get(name) ?? 0) + n);
  return Object.fromEntries(sums);
}
