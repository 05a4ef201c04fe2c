import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { FeatureRow } from './prediction.model.js';
import { scoreRows, type Blame, type RowRuns } from './score-rows.js';

function rowOf(value: number): FeatureRow {
  return [{ status: 'PRESENT', value, eventTs: null, validUntil: Infinity, approximate: false }];
}

const valueOf = (row: FeatureRow | undefined): number => Number(row?.[0]?.value);

interface Told {
  readonly runs: (readonly number[])[];
  readonly refused: Set<FeatureRow>;
}

/** A model that fails on runs with a negative number among them, and otherwise answers with the number. */
function failsOnNegative(
  rows: readonly FeatureRow[],
  { maxRows = 1_000, runMs = 0, blame = 'rows' }: { maxRows?: number; runMs?: number; blame?: Blame } = {},
): RowRuns & Told {
  const runs: number[][] = [];
  const refused = new Set<FeatureRow>();
  let nowMs = 0;
  return {
    ...{ maxRows, runs, refused },
    run: (from, to) => {
      nowMs += runMs;
      const values = rows.slice(from, to).map(valueOf);
      runs.push(values);
      return values.some((value) => value < 0)
        ? Promise.reject(new Error('failed'))
        : Promise.resolve(values.map((score) => ({ score })));
    },
    blame: () => blame,
    isRefused: (row) => refused.has(row),
    refuse: (row) => refused.add(row),
    now: () => nowMs,
  };
}

describe('scoring rows of which some may fail', () => {
  test('answers all others, in order, and remembers those', async () => {
    const values = fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 300 });
    const places = fc.array(fc.nat(), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(values, places, fc.integer({ min: 1, max: 80 }), async (all, bad, maxRows) => {
        const numbers = [...all];
        for (const place of bad) if (numbers.length > 0) numbers[place % numbers.length] = -1;
        const rows = numbers.map(rowOf);
        const model = failsOnNegative(rows, { maxRows });
        const expected = numbers.map((value) => (value < 0 ? null : { score: value }));
        expect(await scoreRows(model, rows)).toEqual(expected);
        expect(model.refused).toEqual(new Set(rows.filter((row) => valueOf(row) < 0)));
        expect(Math.max(0, ...model.runs.map((run) => run.length))).toBeLessThanOrEqual(maxRows);
        // Known by now: no run fails a second time.
        model.runs.length = 0;
        expect(await scoreRows(model, rows)).toEqual(expected);
        expect(model.runs.flat()).toEqual(numbers.filter((value) => value >= 0));
      }),
    );
  });

  test('finds one among a thousand within five runs that fail', async () => {
    const rows = Array.from({ length: 1_000 }, (_, i) => rowOf(i === 777 ? -1 : i));
    const model = failsOnNegative(rows);
    await scoreRows(model, rows);
    expect(model.runs.filter((run) => run.includes(-1))).toHaveLength(5);
  });

  test('gives up once the model fails on row after row, and when its time is up', async () => {
    const rows = Array.from({ length: 200 }, () => rowOf(-1));
    const many = failsOnNegative(rows);
    expect(await scoreRows(many, rows)).toEqual(rows.map(() => null));
    expect(many.refused.size).toBe(16);
    const slow = failsOnNegative(rows, { runMs: 3_000 });
    expect(await scoreRows(slow, rows)).toEqual(rows.map(() => null));
    expect(slow.runs.length).toBeLessThanOrEqual(5);
  });

  test('asks nothing more of a model that cannot be asked, and blames no row for it', async () => {
    const rows = [rowOf(1), rowOf(-1), rowOf(2), rowOf(3)];
    const model = failsOnNegative(rows, { maxRows: 2, blame: 'model' });
    expect(await scoreRows(model, rows)).toEqual([null, null, null, null]);
    expect(model.runs).toEqual([[1, -1]]);
    expect(model.refused.size).toBe(0);
  });

  test('hands on what is neither', async () => {
    const rows = [rowOf(-1)];
    await expect(scoreRows(failsOnNegative(rows, { blame: 'neither' }), rows)).rejects.toThrow('failed');
  });
});
