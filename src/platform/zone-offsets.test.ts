import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ZoneOffsets } from './zone-offsets.js';

const ZONES = ['UTC', '+05:45', 'Europe/Berlin', 'America/St_Johns', 'Asia/Kathmandu', 'Australia/Lord_Howe'];

describe('the offsets of a zone', () => {
  it('give the reading of the wall clock at any instant, near changes of the clocks, too', () => {
    const instant = fc.oneof(
      fc.integer({ min: Date.UTC(2001, 0, 1), max: Date.UTC(2035, 0, 1) }),
      // Around the changes of 2026 in Berlin and on Lord Howe Island.
      ...['2026-03-29T01:00Z', '2026-10-25T01:00Z', '2026-04-04T15:00Z', '2026-10-03T15:30Z'].map((at) =>
        fc.integer({ min: -7_200_000, max: 7_200_000 }).map((ms) => Date.parse(at) + ms),
      ),
    );
    for (const name of ZONES) {
      const zone = new ZoneOffsets(name);
      fc.assert(
        fc.property(instant, (utcMs) => {
          expect(zone.toWall(utcMs) - utcMs).toBe(zone.offsetAt(utcMs));
        }),
        { numRuns: 50 },
      );
    }
  });
});
