/*
 * Whether a count of something is unusual, by what it was before. Pure.
 *
 * The sum of the last full hours is compared with the same hours of the week in the weeks before: their median, and as
 * spread the greater of 1.4826 * MAD (Rousseeuw and Croux 1993, the factor that makes the median absolute deviation a
 * standard deviation of normal data) and the deviation of chance: that of a Poisson count whose mean differs by a tenth
 * from hour to hour. It has to be off by a factor, so that growth is not unusual, and by 4 spreads; but of a few weeks a
 * spread is a rough estimate, so that what is off by the factor from all of them needs 4 deviations of chance only. With
 * less than three weeks behind it, it is compared with the same hours of the days before, and of the week before if there
 * is one.
 *
 *  1. The shortest of 1, 3, 6 and 24 hours of which at least 20 are usual decides: what happens seldom is looked at over a
 *     longer time.
 *  2. What is usual is taken one hour earlier and later, too, and the least unusual of the three counts: the clocks of
 *     senders change twice a year, and the edges of business hours are no edges.
 */

const HOUR_MS = 3_600_000;
/** How far is looked back, and how many weeks at least, or else days. */
export const MAX_WEEKS = 6;
export const MIN_WEEKS = 3;
export const MAX_DAYS = 14;
const MIN_DAYS = 3;
/** Hours. */
export const DAY = 24;
export const WEEK = 7 * DAY;
/** Hours of counts that are looked at. */
export const VOLUME_HOURS = (MAX_WEEKS + 2) * WEEK;

const WINDOWS_HOURS = [1, 3, 6, 24] as const;
const MIN_EXPECTED = 20;
const MIN_EXCESS = 50;
const SPREADS = 4;
const MAD_TO_SPREAD = 1.4826;
/** Of the mean: how much it differs from hour to hour where nothing is unusual. */
const MEAN_DEVIATION = 0.1;
/** Of the median, with which a volume is low or high. */
const FACTORS = { low: 0.5, high: 2.5 };
/** Where there is no week to compare with: days differ. */
const FIRST_WEEK_FACTORS = { low: 0.1, high: 10 };
/** Where nothing is usual. */
const MIN_SPIKE = 200;

export interface HourlyCounts {
  /** Of each full hour, the last one last before `endMs`, from the first hour of which anything is known: nothing is 0. */
  readonly counts: readonly number[];
  /** End of the last of these hours, the beginning of the present one; ms. */
  readonly endMs: number;
}

export interface UnusualVolume {
  readonly direction: 'low' | 'high';
  /** Beginning of the hours that are unusual, ms. */
  readonly since: number;
  /** What would be usual in them. */
  readonly expected: number;
  readonly seen: number;
}

/** Null: it is as it uses to be, or too little is known. */
export function unusualVolume({ counts, endMs }: HourlyCounts): UnusualVolume | null {
  const sums = new RunningSums(counts);
  const unusual = (direction: 'low' | 'high', hours: number, expected: number): UnusualVolume => ({
    direction,
    since: endMs - hours * HOUR_MS,
    expected: Math.round(expected),
    seen: sums.before(counts.length, hours),
  });
  for (const hours of WINDOWS_HOURS) {
    const usual = usualVolume(sums, hours);
    if (usual === null) continue;
    const seen = sums.before(counts.length, hours);
    const { least, most, spread, factors } = usual;
    if (least >= MIN_EXPECTED) {
      const chance = chanceDeviation(least);
      const isLow = least - seen > SPREADS * (seen < usual.lowest * factors.low ? chance : spread);
      if (isLow && seen < least * factors.low) return unusual('low', hours, least);
      const isHigh =
        seen - most > Math.max(MIN_EXCESS, SPREADS * (seen > usual.highest * factors.high ? chance : spread));
      return isHigh && seen > most * factors.high ? unusual('high', hours, most) : null;
    }
    const isSpike = seen >= MIN_SPIKE && seen > FIRST_WEEK_FACTORS.high * Math.max(most, 1);
    if (isSpike && hours === WINDOWS_HOURS.at(-1)) return unusual('high', hours, most);
  }
  return null;
}

interface UsualVolume {
  /** Medians, of the hour itself and of those beside it. */
  readonly least: number;
  readonly most: number;
  readonly spread: number;
  /** Of all that it is compared with. */
  readonly lowest: number;
  readonly highest: number;
  readonly factors: { readonly low: number; readonly high: number };
}

/** Null: not enough is known. */
function usualVolume(sums: RunningSums, hours: number): UsualVolume | null {
  const weeks = samplesOf(sums, hours, WEEK, MAX_WEEKS);
  const isWeekly = weeks.length >= MIN_WEEKS;
  const samples = isWeekly ? weeks : samplesOf(sums, hours, DAY, MAX_DAYS);
  if (samples.length < (isWeekly ? MIN_WEEKS : MIN_DAYS)) return null;
  const medians = [-1, 0, 1].map((shift) => median(samples.map((at) => sums.before(at + shift, hours))));
  // A week before tells what days cannot: that this is a Sunday.
  const lastWeek = isWeekly ? [] : weeks.flatMap((at) => [-1, 0, 1].map((shift) => sums.before(at + shift, hours)));
  const values = samples.map((at) => sums.before(at, hours));
  const middle = median(values);
  const deviation = median(values.map((value) => Math.abs(value - middle)));
  return {
    least: Math.min(...medians, ...lastWeek),
    most: Math.max(...medians, ...lastWeek),
    spread: Math.max(MAD_TO_SPREAD * deviation, chanceDeviation(middle)),
    lowest: Math.min(...values),
    highest: Math.max(...values),
    factors: isWeekly || lastWeek.length > 0 ? FACTORS : FIRST_WEEK_FACTORS,
  };
}

/** Standard deviation of a Poisson count of which the mean itself has one. */
function chanceDeviation(mean: number): number {
  return Math.hypot(Math.sqrt(mean), MEAN_DEVIATION * mean);
}

/** Ends of the same hours in times before, newest first, as far back as there are counts for all of them. */
function samplesOf(sums: RunningSums, hours: number, step: number, most: number): number[] {
  const ends: number[] = [];
  for (let at = sums.length - step; at - hours - 1 >= 0 && ends.length < most; at -= step) ends.push(at);
  return ends;
}

class RunningSums {
  readonly #sums: Float64Array;

  constructor(counts: readonly number[]) {
    this.#sums = new Float64Array(counts.length + 1);
    counts.forEach((count, i) => (this.#sums[i + 1] = (this.#sums[i] ?? 0) + count));
  }

  get length(): number {
    return this.#sums.length - 1;
  }

  /** Of the hours before index `end`. */
  before(end: number, hours: number): number {
    return (this.#sums[end] ?? 0) - (this.#sums[end - hours] ?? 0);
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >>> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}
