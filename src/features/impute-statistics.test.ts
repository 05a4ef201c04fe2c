import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { FeatureDefinition, FeatureType, FeatureValue } from './feature.model.js';
import { imputeYaml, parseChoice } from './impute-options.js';
import { ImputeStatistics } from './impute-statistics.js';
import type { Splitter } from './split.model.js';
import { imputedRow, type EntityStatus, type TrainingSetPlan, type WrittenRow } from './training-set.model.js';

function aFeature(name: string, type: FeatureType): { definition: FeatureDefinition; viewVersion: number } {
  const none = { source: null, where: null, value: null, windowMs: null, unitMs: null, limit: null };
  const definition: FeatureDefinition = {
    name,
    view: 'v',
    description: '',
    aggregate: 'last',
    events: [],
    type,
    ...none,
  };
  return { definition, viewVersion: 1 };
}

function aRow(person: number, values: readonly FeatureValue['value'][], status: EntityStatus = 'FOUND'): WrittenRow {
  const label = { ns: 'user_id', value: String(person), timeMs: person, cells: [] };
  return { label, status, profileId: label.value, values: values.map((value) => ({ value })) };
}

function foundIn(
  rows: readonly WrittenRow[],
  types: Readonly<Record<string, FeatureType>>,
  choice: string,
  splitter: Splitter | null = null,
) {
  const features = Object.entries(types).map(([name, type]) => aFeature(name, type));
  const statistics = new ImputeStatistics(features, parseChoice(choice), splitter);
  for (const row of rows) statistics.add(row);
  return Object.fromEntries(statistics.found().map(({ feature, imputation }) => [feature, imputation]));
}

const A_PLAN = {
  knownAsOf: 'now',
  consentAsOf: 'now',
  service: null,
  fullNames: false,
  toPos: 0,
  waitingEvents: 0,
} as const;

describe('statistics of a training set', () => {
  test('are those of a textbook, whatever is missing', () => {
    const cells = fc.array(fc.option(fc.integer({ min: -50, max: 50 })), { maxLength: 40 });
    fc.assert(
      fc.property(cells, (values) => {
        const rows = values.map((value, i) => aRow(i, [value, value, value]));
        const found = foundIn(rows, { a: 'int', b: 'int', c: 'int' }, 'mean,b=median,c=most_frequent');
        const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
        if (sorted.length === 0) {
          expect(found).toEqual({ a: null, b: null, c: null });
          return;
        }
        const count = (of: number): number => sorted.filter((value) => value === of).length;
        const middle = (sorted.length - 1) / 2;
        expect(found['a']?.value).toBeCloseTo(sorted.reduce((sum, value) => sum + value, 0) / sorted.length, 9);
        expect(found['b']?.value).toBe(((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2);
        const most = Math.max(...sorted.map(count));
        expect(found['c']?.value).toBe(sorted.find((value) => count(value) === most));
      }),
      { numRuns: 50 },
    );
  });

  test('are of the train rows alone, and of nobody whose values are withheld', () => {
    const splitter: Splitter = {
      spec: { by: 'time', ratios: [50, 0, 50], horizonMs: 0 },
      cuts: null,
      strata: null,
      of: ({ timeMs }) => (timeMs < 2 ? 'train' : timeMs < 3 ? null : 'test'),
    };
    const rows = [aRow(0, [1]), aRow(1, [3]), aRow(1, [99], 'WITHHELD'), aRow(2, [50]), aRow(3, [70])];
    expect(foundIn(rows, { a: 'double' }, 'mean', splitter)).toEqual({ a: { statistic: 'mean', value: 2 } });
  });

  test('take of texts the most frequent that three people had, and nothing of lists', () => {
    const rows = [
      ...[1, 1, 1, 1].map((person) => aRow(person, ['mine', true, ['x']])),
      ...[1, 2, 3].map((person) => aRow(person, ['web', false, ['x']])),
    ];
    expect(foundIn(rows, { text: 'string', flag: 'bool', list: 'string_list' }, 'mean')).toEqual({
      text: { statistic: 'most_frequent', value: 'web' },
      flag: { statistic: 'most_frequent', value: true },
    });
    expect(foundIn(rows.slice(0, 4), { text: 'string' }, 'mean')).toEqual({ text: null });
  });

  test('tell how many values they are without, where more are there than are held', () => {
    // As many features as leave two values to each.
    const lists = new Array<ReturnType<typeof aFeature>>(499_998).fill(aFeature('list', 'string_list'));
    const features = [aFeature('a', 'int'), aFeature('b', 'string'), ...lists];
    const statistics = new ImputeStatistics(features, parseChoice('median'), null);
    for (let i = 0; i < 6; i++) statistics.add(aRow(i, [i, `text ${String(i % 4)}`]));
    expect(statistics.found().map(({ uncounted }) => uncounted)).toEqual([5, 2]);
  });

  test('of instants are whole ms', () => {
    const rows = [aRow(1, [1]), aRow(2, [2])];
    expect(foundIn(rows, { at: 'timestamp' }, 'median')).toEqual({ at: { statistic: 'median', value: 2 } });
  });

  test('are refused of features that are not exported, and of types that have none', () => {
    expect(() => foundIn([], { total: 'int' }, 'totl=mean')).toThrow('the feature totl has a statistic');
    expect(() => foundIn([], { tier: 'string' }, 'tier=mean')).toThrow('tier is string and has no mean');
    expect(() => parseChoice('average')).toThrow('mean, median, most_frequent');
  });

  test('are written as a service takes them', () => {
    const found = [
      { feature: 'a', imputation: { statistic: 'median' as const, value: 12.5 }, uncounted: 3 },
      { feature: 'b', imputation: null, uncounted: 0 },
    ];
    expect(imputeYaml(found, { file: 'set.csv', of: 'ab', rows: 7, isSplit: true })).toBe(
      '# Of 7 train rows of set.csv. Put it in the feature service.\n# No value that can be told: b\n' +
        '# Not of all values, as more would have to be held (values left out): a (3)\n' +
        'impute:\n  a:\n    statistic: median\n    value: 12.5\n    of: ab\n',
    );
  });
});

describe('rows whose missing values are imputed', () => {
  const plan: TrainingSetPlan = {
    ...A_PLAN,
    features: [aFeature('a', 'int'), aFeature('b', 'int'), aFeature('c', 'int')],
    imputed: { a: { value: 1 }, b: { value: 2 } },
  };

  test('name what is imputed, and keep what is there and what nothing stands for', () => {
    const row = imputedRow(aRow(1, [null, 0, null]), plan);
    expect(row.values.map(({ value }) => value)).toEqual([1, 0, null]);
    expect(row.imputed).toEqual(['a']);
  });

  test('stay as they are where values are withheld, or nothing is to be imputed', () => {
    expect(imputedRow(aRow(1, [null, 0, null], 'WITHHELD'), plan)).toMatchObject({
      values: [{ value: null }, {}, {}],
      imputed: [],
    });
    const { imputed: _imputed, ...without } = plan;
    expect(imputedRow(aRow(1, [null]), without).imputed).toBeUndefined();
  });
});
