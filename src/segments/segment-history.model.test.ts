import { describe, expect, it } from 'vitest';
import { lastPeriods, STEP_MS, type SegmentPeriod } from './segment-history.model.js';
import { alertOf } from './segment-watch.js';

const { hour: HOUR, day: DAY } = STEP_MS;
/** A Monday, 00:00 UTC. */
const MONDAY = Date.UTC(2026, 0, 5);

function aPeriod(start: number, more: Partial<SegmentPeriod> = {}): SegmentPeriod {
  return { start, size: null, stayed: null, entered: 0, left: 0, edited: 0, ...more };
}

describe('lastPeriods', () => {
  it('has an entry for each period, the present one last, and how alike the members of two that follow each other are', () => {
    const known = [
      aPeriod(MONDAY, { size: 10 }),
      aPeriod(MONDAY + DAY, { size: 8, stayed: 6, entered: 3, left: 5 }),
      aPeriod(MONDAY + 3 * DAY, { size: 8, stayed: 8 }),
    ];
    expect(lastPeriods(known, 'day', MONDAY + 3 * DAY + 1, 3)).toEqual([
      { ...known[1], similarity: 6 / 12 },
      { ...aPeriod(MONDAY + 2 * DAY), similarity: null },
      { ...known[2], similarity: null },
    ]);
  });

  it('tells nothing of two times at which nobody was in, and no more than 1 where members are gone for good', () => {
    const empty = [aPeriod(MONDAY, { size: 0 }), aPeriod(MONDAY + HOUR, { size: 0, stayed: 0 })];
    expect(lastPeriods(empty, 'hour', MONDAY + HOUR, 1)).toMatchObject([{ similarity: null }]);
    const more = [aPeriod(MONDAY, { size: 4 }), aPeriod(MONDAY + HOUR, { size: 5, stayed: 5 })];
    expect(lastPeriods(more, 'hour', MONDAY + HOUR, 1)).toMatchObject([{ similarity: 1 }]);
  });
});

describe('alertOf', () => {
  const hours = 5 * 7 * 24;
  const end = MONDAY + hours * HOUR;
  const steady = Array.from({ length: hours }, (_, i) => aPeriod(MONDAY + i * HOUR, { entered: 60, left: 40 }));
  const withLast = (more: Partial<SegmentPeriod>): SegmentPeriod[] => [
    ...steady.slice(0, -1),
    aPeriod(end - HOUR, more),
    // The present hour is not over.
    aPeriod(end, { entered: 1 }),
  ];

  it('notices an hour with far more changes and one with far fewer, and none that is as ever', () => {
    expect(alertOf([...steady, aPeriod(end, { entered: 9_000 })], end)).toBeNull();
    const since = end - HOUR;
    expect(alertOf(withLast({ entered: 700 }), end)).toEqual({ kind: 'changes_high', since, expected: 100, seen: 700 });
    expect(alertOf(withLast({ left: 3 }), end)).toEqual({ kind: 'changes_low', since, expected: 100, seen: 3 });
    // Hours in which nothing happened have no row.
    expect(alertOf(steady.slice(0, -1), end)).toMatchObject({ kind: 'changes_low', seen: 0 });
    expect(alertOf([], end)).toBeNull();
  });

  it('begins anew with an edit that changed who is in', () => {
    const edited = steady.map((hour, i) => (i === hours - 2 ? { ...hour, entered: 5_000, edited: 4_900 } : hour));
    expect(alertOf(edited, end)).toBeNull();
    expect(alertOf([...edited.slice(0, -1), aPeriod(end - HOUR, { entered: 5_000 })], end)).toBeNull();
  });
});
