const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** 27 years of days; beyond it the cache starts over. */
const MAX_CACHED_DAYS = 10_000;
const FIXED_OFFSET = /^([+-])(\d{2}):?(\d{2})$/;

/** Offsets around one day of wall-clock or of UTC time. `before` and `after` are equal where no transition is near. */
interface DayOffsets {
  readonly beforeMs: number;
  readonly afterMs: number;
  /** Instant from which `afterMs` holds. */
  readonly transitionAt: number;
}

/** A time in which the wall clock of a zone goes on evenly. */
export interface ZoneStretch {
  readonly offsetMs: number;
  /** Exclusive. */
  readonly untilMs: number;
  /** Whether the offset changes then; else it is not known further. */
  readonly changes: boolean;
}

/**
 * Wall-clock time of one zone to UTC and back. `name` is an IANA zone, `UTC`, or a fixed offset such as `+01:00`.
 *
 * A time that a change of the clocks skipped is read with the offset before the change, so it moves forward by the
 * gap; of a time that occurs twice the earlier instant is taken. (`compatible` in ECMA-402's Temporal, and java.time.)
 *
 * The offset is asked of Intl once a day, not once a row; a day near a transition keeps the transition's instant, found
 * by bisection. At most one transition is expected within 72 hours.
 */
export class ZoneOffsets {
  readonly #fixedMs: number | null;
  readonly #format: Intl.DateTimeFormat | null;
  readonly #days = new Map<number, DayOffsets>();
  #lastDay = Number.NaN;
  #last: DayOffsets = { beforeMs: 0, afterMs: 0, transitionAt: 0 };

  /** @throws RangeError where the zone is not known. */
  constructor(name: string) {
    this.#fixedMs = fixedOffset(name);
    this.#format =
      this.#fixedMs === null
        ? new Intl.DateTimeFormat('en-US', {
            timeZone: name,
            hourCycle: 'h23',
            year: 'numeric',
            month: 'numeric',
            day: 'numeric',
            hour: 'numeric',
            minute: 'numeric',
            second: 'numeric',
          })
        : null;
  }

  /** `wallMs`: the wall clock's reading as if it were UTC, ms. Returns the instant, ms UTC. */
  toUtc(wallMs: number): number {
    if (this.#fixedMs !== null) return wallMs - this.#fixedMs;
    const { beforeMs, afterMs, transitionAt } = this.#around(wallMs);
    const early = wallMs - beforeMs;
    if (beforeMs === afterMs || early < transitionAt) return early;
    const late = wallMs - afterMs;
    return late >= transitionAt ? late : early;
  }

  /** `utcMs`: an instant, ms. Returns the wall clock's reading as if it were UTC, ms. */
  toWall(utcMs: number): number {
    if (this.#fixedMs !== null) return utcMs + this.#fixedMs;
    const { beforeMs, afterMs, transitionAt } = this.#around(utcMs);
    return utcMs + (utcMs < transitionAt ? beforeMs : afterMs);
  }

  /** Offset of the wall clock from UTC at an instant, ms. */
  offsetAt(utcMs: number): number {
    if (this.#format === null) return this.#fixedMs ?? 0;
    const second = Math.floor(utcMs / 1_000) * 1_000;
    const part: Record<string, number> = {};
    for (const { type, value } of this.#format.formatToParts(second)) part[type] = Number(value);
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second: seconds = 0 } = part;
    return Date.UTC(year, month - 1, day, hour, minute, seconds) - second;
  }

  /** The offset at an instant, ms, and until when it is known to stay: a day at least, or to where it changes. */
  stretchAt(utcMs: number): ZoneStretch {
    if (this.#fixedMs !== null) return { offsetMs: this.#fixedMs, untilMs: Infinity, changes: false };
    const { beforeMs, afterMs, transitionAt } = this.#around(utcMs);
    const isBefore = beforeMs !== afterMs && utcMs < transitionAt;
    if (isBefore) return { offsetMs: beforeMs, untilMs: transitionAt, changes: true };
    return { offsetMs: afterMs, untilMs: (Math.floor(utcMs / DAY_MS) + 2) * DAY_MS, changes: false };
  }

  /** @param ms of either clock */
  #around(ms: number): DayOffsets {
    const day = Math.floor(ms / DAY_MS);
    if (day !== this.#lastDay) {
      this.#last = this.#dayOffsets(day);
      this.#lastDay = day;
    }
    return this.#last;
  }

  #dayOffsets(day: number): DayOffsets {
    const known = this.#days.get(day);
    if (known !== undefined) return known;
    // Offsets are below 24 h, so every instant and every reading of the wall clock of the day lies between these two.
    let from = (day - 1) * DAY_MS;
    let to = (day + 2) * DAY_MS;
    const beforeMs = this.offsetAt(from);
    const afterMs = this.offsetAt(to);
    if (beforeMs !== afterMs) {
      while (to - from > 1_000) {
        const middle = Math.floor((from + to) / 2_000) * 1_000;
        if (this.offsetAt(middle) === beforeMs) from = middle;
        else to = middle;
      }
    }
    const found = { beforeMs, afterMs, transitionAt: to };
    if (this.#days.size >= MAX_CACHED_DAYS) this.#days.clear();
    this.#days.set(day, found);
    return found;
  }
}

function fixedOffset(name: string): number | null {
  if (name === 'UTC' || name === 'Z') return 0;
  const match = FIXED_OFFSET.exec(name);
  if (match === null) return null;
  const minutes = Number(match[2]) * 60 + Number(match[3]);
  return (match[1] === '-' ? -minutes : minutes) * MINUTE_MS;
}
