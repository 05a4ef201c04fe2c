import { WEEKDAYS } from '../features/feature.model.js';
import type { ZoneOffsets } from '../platform/zone-offsets.js';
import type { CalendarDate } from './calendar-date.js';
import { ABSENT, type Value } from './expression-values.js';
import type { ClockReading } from './segment-expression.model.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Each day of a month comes within two months that follow one another. */
const LONGEST_MONTHS_DAYS = 62;
/** Offsets of a zone from UTC are less than a day apart from one another. */
const JUMP_MS = 2 * DAY_MS;
/** Years in which a search of an anniversary looks. */
const MAX_YEARS = 9;
/** Changes of the clocks that a search passes before it settles for an instant at which nothing may change. */
const MAX_STRETCHES = 64;

/** What a wall clock shows, as conditions ask for it. A reading of the clock is taken as if it were UTC, in ms. */
export interface WallReading {
  valueAt(wallMs: number): Value;
  /**
   * The first reading after this one at which the clock, going on evenly, shows what `same.holds` is not true of, it being
   * true of this one; Infinity: there is none.
   */
  nextOther(wallMs: number, same: Sameness): number;
}

/** What is taken for the same as what the clock shows now. */
export interface Sameness {
  readonly holds: (value: Value) => boolean;
  /** Falling: numbers other than these are the same as the next greater one. Null: nothing is known. */
  readonly edges: readonly number[] | null;
}

/** @param date what an anniversary is of; other readings need none */
export function wallReading(reading: ClockReading, date: CalendarDate | null): WallReading {
  switch (reading.field) {
    case 'hour':
      return stepping((wall) => mod(Math.floor(wall / HOUR_MS), 24), nextHour, 24);
    case 'weekday':
      // The first of January 1970 was a Thursday, the fourth day of a week that begins with Monday.
      return stepping((wall) => WEEKDAYS[mod(dayOf(wall) + 3, 7)] ?? ABSENT, nextDay, 7);
    case 'day':
      return stepping((wall) => new Date(wall).getUTCDate(), nextDay, LONGEST_MONTHS_DAYS);
    case 'month':
      return stepping((wall) => new Date(wall).getUTCMonth() + 1, nextMonth, 12);
    case 'between':
      return between(reading.fromMs, reading.toMs);
    case 'days_until_anniversary':
      return date === null ? NO_DATE : daysUntil(date);
  }
}

/**
 * @param nextAt the first reading after one at which there may be another value
 * @param cycle how many values come before they are all over again
 */
function stepping(valueAt: (wallMs: number) => Value, nextAt: (wallMs: number) => number, cycle: number): WallReading {
  const nextOther: WallReading['nextOther'] = (wallMs, same) => {
    let wall = wallMs;
    for (let i = 0; i < cycle; i++) {
      wall = nextAt(wall);
      if (!same.holds(valueAt(wall))) return wall;
    }
    return Infinity;
  };
  return { valueAt, nextOther };
}

/**
 * The first instant after `t` at which the wall clock of a zone shows what `same` does not hold of, as it does
 * of what it shows at `t`; Infinity if it never does. Where clocks are put forward or back, what is skipped is not shown,
 * and what comes twice is shown twice.
 */
export function nextChange(zone: ZoneOffsets, t: number, reading: WallReading, same: Sameness): number {
  let at = t;
  for (let i = 0; i < MAX_STRETCHES; i++) {
    const { offsetMs, untilMs, changes } = zone.stretchAt(at);
    const wall = reading.nextOther(at + offsetMs, same);
    // No reading of the clock is another one: neither are those to which it may be put.
    if (wall === Infinity) return Infinity;
    const then = wall - offsetMs;
    // Up to two days before, no change of the clocks can bring one that is a day ahead of `at` to where it was, or there.
    if (then <= untilMs) at = then;
    else at = changes ? untilMs : Math.max(untilMs, then - JUMP_MS);
    if (!same.holds(reading.valueAt(at + zone.stretchAt(at).offsetMs))) return at;
  }
  return at;
}

/** From the first time of day up to the second, which may be on the next day. */
function between(fromMs: number, toMs: number): WallReading {
  const valueAt = (wall: number): boolean => {
    const time = mod(wall, DAY_MS);
    return fromMs < toMs ? time >= fromMs && time < toMs : time >= fromMs || time < toMs;
  };
  return stepping(valueAt, (wall) => Math.min(nextTime(wall, fromMs), nextTime(wall, toMs)), 2);
}

function nextTime(wall: number, timeMs: number): number {
  const today = dayOf(wall) * DAY_MS + timeMs;
  return today > wall ? today : today + DAY_MS;
}

const NO_DATE: WallReading = { valueAt: () => ABSENT, nextOther: () => Infinity };

/**
 * Days from today to the next time that the day and month of a date come round, 0 on that day. What came to pass on 29
 * February comes round on the 28th of years without one.
 */
function daysUntil(date: CalendarDate): WallReading {
  const dueFrom = (today: number): { readonly year: number; readonly due: number } => {
    const year = new Date(today * DAY_MS).getUTCFullYear();
    const due = dayIn(year, date);
    return due >= today ? { year, due } : { year: year + 1, due: dayIn(year + 1, date) };
  };
  return {
    valueAt: (wall) => dueFrom(dayOf(wall)).due - dayOf(wall),
    nextOther: (wall, { holds, edges }) => {
      let day = dayOf(wall) + 1;
      const first = dueFrom(day);
      // Eight years may lie between two leap years, and so between two years of 366 days to wait.
      for (let { year, due } = first; year <= first.year + MAX_YEARS; due = dayIn(++year, date)) {
        if (!holds(due - day)) return day * DAY_MS;
        for (const edge of edges ?? []) if (due - edge > day && !holds(edge)) return (due - edge) * DAY_MS;
        day = due + 1;
      }
      return Infinity;
    },
  };
}

function dayIn(year: number, { month, day }: CalendarDate): number {
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return Date.UTC(year, month - 1, month === 2 && day === 29 && !isLeap ? 28 : day) / DAY_MS;
}

function dayOf(wall: number): number {
  return Math.floor(wall / DAY_MS);
}

function nextDay(wall: number): number {
  return (dayOf(wall) + 1) * DAY_MS;
}

function nextHour(wall: number): number {
  return (Math.floor(wall / HOUR_MS) + 1) * HOUR_MS;
}

function nextMonth(wall: number): number {
  const date = new Date(wall);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
}

function mod(a: number, n: number): number {
  return ((a % n) + n) % n;
}
