import { describe, expect, it } from 'vitest';
import type { FeatureValue } from '../features/feature.model.js';
import type { Prediction } from './prediction.model.js';
import { HOUR_MS, sumOfHours, type ScoreHour } from './score-hour.model.js';
import { ScoreTally } from './score-tally.js';

const PRESENT: FeatureValue = { status: 'PRESENT', value: 1, eventTs: null, validUntil: Infinity, approximate: false };
const MISSING: FeatureValue = { ...PRESENT, status: 'NOT_FOUND', value: null };

function scored(
  tally: ScoreTally,
  atMs: number,
  answers: readonly (Pick<Prediction, 'score' | 'label'> | null)[],
): void {
  const told = {
    modelKey: 'intent',
    version: 1,
    digest: 'd',
    asOf: atMs,
    validUntil: Infinity,
    inputs: 'PARTIAL',
  } as const;
  tally.add({
    ...{ key: 'intent', version: 1, features: () => ['views', 'carts'] },
    rows: answers.map(() => [PRESENT, MISSING]),
    times: answers.map(() => atMs),
    predictions: answers.map((answer) => (answer === null ? null : { ...told, ...answer })),
  });
}

describe('what versions of models said, by hour', () => {
  it('counts answers, scores, classes, and features that were missing', () => {
    const tally = new ScoreTally();
    scored(tally, 5, [{ score: 0.25, label: 'stays' }, { score: 0.75, label: 'buys' }, null, { label: 'stays' }]);
    scored(tally, HOUR_MS, [{ score: 0.5 }]);
    expect(tally.take()).toEqual([
      {
        ...{
          key: 'intent',
          version: 1,
          start: 0,
          answered: 3,
          unanswered: 1,
          scored: 2,
          total: 1,
          sample: [0.25, 0.75],
        },
        ...{ classes: { stays: 2, buys: 1 }, missing: { carts: 3 } },
      },
      {
        ...{ key: 'intent', version: 1, start: HOUR_MS, answered: 1, unanswered: 0, scored: 1, total: 0.5 },
        ...{ sample: [0.5], classes: {}, missing: { carts: 1 } },
      },
    ]);
  });

  it('goes on with an hour until it is over for an hour, and leaves out what comes later', () => {
    const tally = new ScoreTally();
    scored(tally, 1, [{ score: 1 }]);
    tally.forget(HOUR_MS + 1);
    scored(tally, 2, [{ score: 2 }]);
    expect(tally.take()).toMatchObject([{ start: 0, scored: 2, total: 3 }]);
    tally.forget(2 * HOUR_MS);
    expect(tally.take()).toEqual([]);
    scored(tally, 3, [{ score: 3 }, null]);
    expect(tally.take()).toEqual([]);
    expect(tally.left).toBe(2);
  });

  it('holds some of the scores, evenly, however many there are', () => {
    const tally = new ScoreTally();
    for (let i = 0; i < 10_000; i++) scored(tally, 1, [{ score: i }]);
    const sample = tally.take()[0]?.sample ?? [];
    expect(sample.length).toBeGreaterThan(256);
    expect(sample.length).toBeLessThanOrEqual(512);
    expect(new Set(sample.slice(1).map((each, i) => each - (sample[i] ?? 0)))).toEqual(new Set([32]));
  });
});

describe('hours together', () => {
  const anHour = (scored: number, sample: readonly number[]): ScoreHour => ({
    ...{ key: 'intent', version: 1, start: 0, answered: scored, unanswered: 1, scored, total: 2 * scored, sample },
    ...{ classes: { buys: 1 }, missing: { carts: 2 } },
  });

  it('are added up, and of each as many scores taken as its share', () => {
    const busy = Array.from({ length: 500 }, () => 1);
    const sum = sumOfHours([
      anHour(5_000, busy),
      anHour(
        500,
        busy.map(() => 0),
      ),
    ]);
    expect(sum).toMatchObject({ answered: 5_500, unanswered: 2, scored: 5_500, total: 11_000 });
    expect(sum).toMatchObject({ classes: { buys: 2 }, missing: { carts: 4 } });
    expect(sum?.sample.filter((score) => score === 1)).toHaveLength(500);
    expect(sum?.sample.filter((score) => score === 0)).toHaveLength(50);
    expect(sumOfHours([])).toBeNull();
  });
});
