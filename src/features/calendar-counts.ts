import type { ZoneOffsets } from '../platform/zone-offsets.js';
import { WEEKDAYS, type FeatureOptions } from './feature.model.js';

const HOUR_MS = 3_600_000;
const HOURS_A_DAY = 24;
const HOURS_A_WEEK = 7 * HOURS_A_DAY;
/** 1970 began on a Thursday, three days into a week. */
const EPOCH_HOUR_OF_WEEK = 3 * HOURS_A_DAY;

/** The tiles of counts that a window sees. */
export interface CountedTiles {
  /** Ascending, and beside them how many events each has. */
  readonly tiles: readonly number[];
  readonly counts: readonly number[];
  /** Index of the oldest in the window; there is one. */
  readonly from: number;
  readonly hopMs: number;
  /** No tile reaches over the end of an hour of its wall clock. */
  readonly zone: ZoneOffsets;
}

/**
 * Different hours or days of the wall clock that have an event.
 *
 * @param unitMs an hour or a day
 * @returns their number, and the index of the tile with which the oldest of them goes
 */
export function countActiveUnits(
  { tiles, from, hopMs, zone }: CountedTiles,
  unitMs: number,
): { units: number; changesWith: number } {
  let units = 0;
  let changesWith = from;
  let newest = -Infinity;
  for (let i = from; i < tiles.length; i++) {
    const unit = Math.floor(zone.toWall((tiles[i] ?? 0) * hopMs) / unitMs);
    // When clocks are put back an hour comes twice, with no other between.
    if (unit !== newest) units++;
    if (units === 1) changesWith = i;
    newest = unit;
  }
  return { units, changesWith };
}

/** Shares of the events by hour of the week, Monday 0:00 first; 168 of them, their sum is 1. */
export function sharesByHourOfWeek(counted: CountedTiles): number[] {
  const counts = new Array<number>(HOURS_A_WEEK).fill(0);
  let total = 0;
  forEachHour(counted, (hour, count) => {
    counts[hour] = (counts[hour] ?? 0) + count;
    total += count;
  });
  return counts.map((count) => count / total);
}

/** The share of the events in some hours of the week. */
export function shareOfHours(counted: CountedTiles, isAsked: HourMask): number {
  let total = 0;
  let inside = 0;
  forEachHour(counted, (hour, count) => {
    total += count;
    if (isAsked[hour] === true) inside += count;
  });
  return inside / total;
}

/**
 * Visits what the share becomes as the tiles of the window leave it one by one, oldest first, until `visit` returns true;
 * null when the last is gone.
 */
export function visitLaterShares(
  counted: CountedTiles,
  isAsked: HourMask,
  visit: (leaving: number, share: number | null) => boolean,
): void {
  const hours: number[] = [];
  let total = 0;
  let inside = 0;
  forEachHour(counted, (hour, count) => {
    hours.push(hour);
    total += count;
    if (isAsked[hour] === true) inside += count;
  });
  for (const [i, hour] of hours.entries()) {
    const count = counted.counts[counted.from + i] ?? 0;
    total -= count;
    if (isAsked[hour] === true) inside -= count;
    if (visit(counted.from + i, total === 0 ? null : inside / total)) return;
  }
}

/** Whether each hour of the week is asked for. */
export type HourMask = readonly boolean[];

const masks = new WeakMap<FeatureOptions, HourMask>();

/** Some days of the week, some hours of the day, or both; left out: all. Made once for the options of a feature. */
export function hourMask(options: FeatureOptions): HourMask {
  const known = masks.get(options);
  if (known !== undefined) return known;
  const { days, hours } = options;
  const mask = WEEKDAYS.flatMap((day) =>
    Array.from(
      { length: HOURS_A_DAY },
      (_, hour) => (days === undefined || days.includes(day)) && (hours === undefined || isWithin(hour, hours)),
    ),
  );
  masks.set(options, mask);
  return mask;
}

/** From the first to the last hour, both in; where the last is less, over midnight. */
function isWithin(hour: number, [first, last]: readonly [number, number]): boolean {
  return first <= last ? hour >= first && hour <= last : hour >= first || hour <= last;
}

function forEachHour(
  { tiles, counts, from, hopMs, zone }: CountedTiles,
  visit: (hourOfWeek: number, count: number) => void,
): void {
  for (let i = from; i < tiles.length; i++) {
    const hour = Math.floor(zone.toWall((tiles[i] ?? 0) * hopMs) / HOUR_MS) + EPOCH_HOUR_OF_WEEK;
    visit(((hour % HOURS_A_WEEK) + HOURS_A_WEEK) % HOURS_A_WEEK, counts[i] ?? 0);
  }
}
