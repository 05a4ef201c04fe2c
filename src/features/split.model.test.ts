import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProfileSplitter, SPLITS, TimeSplitter, type Split, type SplitRow } from './split.model.js';

const row = (timeMs: number, person = 'p'): SplitRow => ({ timeMs, person });
const RATIOS = [70, 15, 15] as const;

describe('a split by time', () => {
  function partsOf(times: readonly number[], horizonMs: number): (Split | null)[] {
    const splitter = new TimeSplitter({ by: 'time', ratios: RATIOS, horizonMs });
    for (const timeMs of times) splitter.add(row(timeMs));
    const { of } = splitter.finish();
    return times.map((timeMs) => of(row(timeMs)));
  }

  it('has the earliest rows to train, the latest to test, as the ratios say', () => {
    const times = Array.from({ length: 20 }, (_, i) => (i * 7) % 20);
    expect(times.map((ms, i) => [ms, partsOf(times, 0)[i]])).toEqual(
      times.map((ms) => [ms, ms < 14 ? 'train' : ms < 17 ? 'validation' : 'test']),
    );
  });

  it('never has a row, or what its label looks at, at or after the first row of a later part', () => {
    const times = fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(times, fc.integer({ min: 0, max: 20 }), (drawn, horizonMs) => {
        const parts = partsOf(drawn, horizonMs);
        drawn.forEach((earlier, i) => {
          const part = parts[i];
          if (part == null) return;
          drawn.forEach((later, j) => {
            const other = parts[j];
            if (other == null || SPLITS.indexOf(other) <= SPLITS.indexOf(part)) return;
            expect(earlier + horizonMs).toBeLessThan(later);
          });
        });
        if (horizonMs === 0) expect(parts).not.toContain(null);
      }),
      { numRuns: 200 },
    );
  });
});

describe('a split by profile', () => {
  interface Labelled {
    readonly person: string;
    readonly label: string;
  }

  function parted(rows: readonly Labelled[], seed = 1) {
    const splitter = new ProfileSplitter({ by: 'profile', ratios: RATIOS, seed });
    rows.forEach(({ person, label }, i) => {
      splitter.add(row(i, person), label);
    });
    return splitter.finish();
  }

  const rowsOf = (people: number, label: (person: number) => string): Labelled[] =>
    Array.from({ length: people * 3 }, (_, i) => ({ person: `p${String(i % people)}`, label: label(i % people) }));

  it('has of each label what the ratios say, to one person, and nobody on two sides', () => {
    const rows = rowsOf(200, (person) => (person < 20 ? '1' : '0'));
    const { of, strata } = parted(rows);
    expect(strata).toBe(2);
    for (const [label, expected] of [
      ['1', [14, 3, 3]],
      ['0', [126, 27, 27]],
    ] as const) {
      const people = new Set(rows.filter((each) => each.label === label).map(({ person }) => person));
      const parts = [...people].map((person) => of(row(0, person)));
      expect(SPLITS.map((split) => parts.filter((part) => part === split).length)).toEqual(expected);
    }
  });

  it('depends on neither the order of rows nor how many somebody has', () => {
    const rows = fc.array(
      fc.record({ person: fc.integer({ min: 0, max: 15 }).map(String), label: fc.constantFrom('0', '1') }),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(rows, (drawn) => {
        const people = [...new Set(drawn.map(({ person }) => person))];
        const greatest = people.map((person) => ({
          person,
          label: drawn.some((each) => each.person === person && each.label === '1') ? '1' : '0',
        }));
        const [forth, back, once] = [drawn, [...drawn].reverse(), greatest].map((each) => parted(each));
        for (const person of people) {
          const part = forth?.of(row(0, person));
          expect(SPLITS).toContain(part);
          expect([back?.of(row(0, person)), once?.of(row(0, person))]).toEqual([part, part]);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('is another with another seed, and has nobody who was not there', () => {
    const rows = rowsOf(100, () => '0');
    const partsOf = (seed: number) => rows.map(({ person }) => parted(rows, seed).of(row(0, person)));
    expect(partsOf(2)).not.toEqual(partsOf(1));
    expect(parted(rows).of(row(0, 'somebody else'))).toBeNull();
  });

  it('takes amounts for no labels', () => {
    const rows = rowsOf(100, (person) => String(person * 1.5));
    const { of, strata } = parted(rows);
    expect(strata).toBe(1);
    const people = [...new Set(rows.map(({ person }) => person))];
    expect(people.filter((person) => of(row(0, person)) === 'train')).toHaveLength(70);
  });
});
