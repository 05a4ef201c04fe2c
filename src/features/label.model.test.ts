import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hashId } from '../platform/ids.js';
import { LabelFold, sampleInstants } from './label.model.js';

const PERSON = hashId('email', 'a@x.org');
const SAMPLING = { samples: 50, seed: 1, fromMs: 1_000, toMs: 2_000_000 };

interface Happening {
  readonly occurredAt: number;
  readonly matches: boolean;
}

describe('instants', () => {
  it('are those of the person, the seed and the range, rising and within it', () => {
    const drawn = sampleInstants(PERSON, SAMPLING);
    expect(drawn).toEqual(sampleInstants(PERSON, SAMPLING));
    expect(drawn).toEqual([...new Set(drawn)].sort((a, b) => a - b));
    expect(drawn.every((ms) => ms >= 1_000 && ms <= 2_000_000)).toBe(true);
    expect(sampleInstants(PERSON, { ...SAMPLING, seed: 2 })).not.toEqual(drawn);
    expect(sampleInstants(hashId('email', 'b@x.org'), SAMPLING)).not.toEqual(drawn);
  });

  it('stay where they are when more of them are drawn', () => {
    expect(sampleInstants(PERSON, { ...SAMPLING, samples: 60 })).toEqual(
      expect.arrayContaining(sampleInstants(PERSON, SAMPLING)),
    );
  });

  it('are spread evenly over the range, both ends included', () => {
    const few = { ...SAMPLING, samples: 1, fromMs: 0, toMs: 9 };
    const counts = new Map<number, number>();
    for (let i = 0; i < 2_000; i++) {
      const [ms = -1] = sampleInstants(hashId('email', String(i)), few);
      counts.set(ms, (counts.get(ms) ?? 0) + 1);
    }
    expect([...counts.keys()].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(Math.max(...counts.values()) / Math.min(...counts.values())).toBeLessThan(1.6);
  });
});

describe('a label', () => {
  it('is 1 where an event that matches lies after the instant and no later than within', () => {
    const moments = fc.integer({ min: 0, max: 40 });
    const events = fc.array(fc.record({ occurredAt: moments, matches: fc.boolean() }), { maxLength: 12 });
    fc.assert(
      fc.property(events, fc.uniqueArray(moments), fc.integer({ min: 1, max: 15 }), (unsorted, drawn, withinMs) => {
        const happened = [...unsorted].sort((a, b) => a.occurredAt - b.occurredAt);
        const instants = [...drawn].sort((a, b) => a - b);
        const fold = new LabelFold<Happening>(instants, withinMs, (event) => event.matches);
        for (const event of happened) fold.add(event);
        const known = instants.filter((ms) => happened.some((event) => event.occurredAt <= ms));
        expect(fold.finish()).toEqual({
          unknown: instants.length - known.length,
          answers: known.map((timeMs) => ({
            timeMs,
            isPositive: happened.some(
              ({ occurredAt, matches }) => matches && occurredAt > timeMs && occurredAt <= timeMs + withinMs,
            ),
            last: happened.filter((event) => event.occurredAt <= timeMs).at(-1),
          })),
        });
      }),
      { numRuns: 300 },
    );
  });
});
