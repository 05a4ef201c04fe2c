import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../events/event.model.js';
import type { FeatureValue } from '../features/feature.model.js';
import type { FeatureRow, Prediction } from '../scoring/prediction.model.js';
import { ablate, MAX_ABLATED } from './ablate-model.js';

const present = (value: FeatureValue['value']): FeatureValue => ({
  ...{ status: 'PRESENT', value, eventTs: 1, validUntil: Infinity, approximate: false },
});

/** Twice the first number, and 10 for whoever is in Leeds; what is missing counts 1. */
function answerTo(row: FeatureRow): Prediction {
  const [amount, town] = row;
  const score = 2 * (typeof amount?.value === 'number' ? amount.value : 1) + (town?.value === 'Leeds' ? 10 : 0);
  const rest = { modelKey: 'm', version: 3, digest: '', asOf: 0, validUntil: Infinity, inputs: 'COMPLETE' } as const;
  return { ...rest, score, label: score > 12 ? 'high' : 'low' };
}

const FEATURES = [
  { name: 'amount', type: 'int' },
  { name: 'town', type: 'string' },
] as const;
const TRAINING: JsonObject = {
  statistics: {
    features: [
      { statistics: { feature: 'amount', numbers: { quantiles: [{ p: 0.5, value: 3.4 }] }, topValues: [] } },
      { statistics: { feature: 'town', numbers: null, topValues: [{ value: 'York', count: 9 }] } },
    ],
  },
};

const asked = (
  trainingSet: JsonObject | undefined,
  row: FeatureRow,
  features: readonly (typeof FEATURES)[number][] = FEATURES,
) => {
  const runs: FeatureRow[][] = [];
  return ablate({
    ...{ key: 'm', version: 3, features, row, trainingSet },
    score: (rows) => {
      runs.push([...rows]);
      return Promise.resolve(rows.map(answerTo));
    },
  }).then((explained) => ({ explained, runs }));
};

describe('what an answer owes to a feature', () => {
  it('is what it loses with the median or the most frequent value of training, all scored in one go', async () => {
    const { explained, runs } = await asked(TRAINING, [present(2), present('Leeds')]);
    expect(explained).toEqual({
      ...{ key: 'm', version: 3, score: 14, label: 'high', cluster: null, leftOut: 0 },
      contributions: [
        ...[{ feature: 'town', value: 'Leeds', reference: 'York', referenceFrom: 'training' }].map((each) => ({
          ...each,
          ...{ contribution: 10, label: 'low', cluster: null },
        })),
        {
          ...{ feature: 'amount', value: 2, reference: 3, referenceFrom: 'training' },
          ...{ contribution: -2, label: 'high', cluster: null },
        },
      ],
    });
    expect(runs.map((rows) => rows.length)).toEqual([3]);
  });

  it('is what it loses without a value where training does not say one', async () => {
    for (const training of [
      undefined,
      {},
      { statistics: 'odd' },
      { statistics: { features: [1, { statistics: {} }] } },
    ]) {
      const { explained } = await asked(training, [present(2), present('Leeds')]);
      expect(
        explained.contributions.map(({ feature, reference, contribution }) => [feature, reference, contribution]),
      ).toEqual([
        ['town', null, 10],
        ['amount', null, 2],
      ]);
    }
  });

  it('is asked of so many features at most, and the others are counted', async () => {
    const many = Array.from({ length: MAX_ABLATED + 7 }, () => FEATURES[0]);
    const { explained, runs } = await asked(
      undefined,
      many.map(() => present(1)),
      many,
    );
    expect([explained.contributions.length, explained.leftOut, runs[0]?.length]).toEqual([
      MAX_ABLATED,
      7,
      MAX_ABLATED + 1,
    ]);
  });
});
