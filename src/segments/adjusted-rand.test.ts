import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { adjustedRandIndex, type ContingencyCell } from './adjusted-rand.js';

type Pair = readonly [before: number, after: number];

function cellsOf(people: readonly Pair[]): ContingencyCell[] {
  const cells = new Map<string, ContingencyCell>();
  for (const [before, after] of people) {
    const key = `${String(before)} ${String(after)}`;
    cells.set(key, { before, after, count: (cells.get(key)?.count ?? 0) + 1 });
  }
  return [...cells.values()];
}

/** Pair by pair: together in both, in one, in none; in the form of Steinley (2004), which has no contingency table. */
function byPairs(people: readonly Pair[]): number | null {
  let [both, onlyBefore, onlyAfter, neither] = [0, 0, 0, 0];
  for (const [i, [before, after]] of people.entries()) {
    for (const [otherBefore, otherAfter] of people.slice(i + 1)) {
      if (before === otherBefore && after === otherAfter) both++;
      else if (before === otherBefore) onlyBefore++;
      else if (after === otherAfter) onlyAfter++;
      else neither++;
    }
  }
  if (both + onlyBefore + onlyAfter + neither === 0) return null;
  if (onlyBefore === 0 && onlyAfter === 0) return 1;
  return (
    (2 * (both * neither - onlyBefore * onlyAfter)) /
    ((both + onlyBefore) * (onlyBefore + neither) + (both + onlyAfter) * (onlyAfter + neither))
  );
}

const aPerson = fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 4 }));

describe('the adjusted Rand index', () => {
  it('is that of all pairs of people', () => {
    fc.assert(
      fc.property(fc.array(aPerson, { maxLength: 40 }), (people) => {
        const [index, counted] = [adjustedRandIndex(cellsOf(people)), byPairs(people)];
        if (index === null || counted === null) expect(index).toBe(counted);
        else expect(index).toBeCloseTo(counted, 12);
      }),
    );
  });

  it('does not care what clusters are called, nor which clustering came first', () => {
    fc.assert(
      fc.property(
        fc.array(aPerson, { minLength: 2, maxLength: 40 }),
        fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 5 }),
        (people, names) => {
          const index = adjustedRandIndex(cellsOf(people)) ?? NaN;
          const renamed = people.map(([before, after]): Pair => [before, names[after] ?? 0]);
          const turned = people.map(([before, after]): Pair => [after, before]);
          expect(adjustedRandIndex(cellsOf(renamed))).toBeCloseTo(index, 12);
          expect(adjustedRandIndex(cellsOf(turned))).toBeCloseTo(index, 12);
        },
      ),
    );
  });

  it('is 1 for the same groups under other numbers, and 0.24 for the example of the scikit-learn manual', () => {
    expect(adjustedRandIndex(cellsOf([0, 0, 1, 1].map((c) => [c, 1 - c])))).toBe(1);
    const [labels, predicted] = [
      [0, 0, 0, 1, 1, 1],
      [0, 0, 1, 1, 2, 2],
    ] as const;
    expect(adjustedRandIndex(cellsOf(labels.map((label, i) => [label, predicted[i] ?? 0])))).toBeCloseTo(0.2424, 4);
  });
});
