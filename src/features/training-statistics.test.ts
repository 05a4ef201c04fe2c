import { describe, expect, it } from 'vitest';
import type { FeatureDefinition, FeatureType, FeatureValue } from './feature.model.js';
import type { Splitter } from './split.model.js';
import { TrainingStatistics } from './training-statistics.js';
import type { EntityStatus, WrittenRow } from './training-set.model.js';

function aFeature(name: string, type: FeatureType, isPersonal = false) {
  const none = { source: null, where: null, value: null, windowMs: null, unitMs: null, limit: null };
  const definition: FeatureDefinition = {
    ...none,
    name,
    type,
    view: 'v',
    description: '',
    aggregate: 'last',
    events: [],
  };
  return { definition, isPersonal };
}

function aRow(
  person: number,
  timeMs: number,
  values: readonly FeatureValue['value'][],
  status: EntityStatus = 'FOUND',
) {
  const row: WrittenRow = {
    label: { ns: 'user_id', value: String(person), timeMs, cells: [] },
    ...{ status, profileId: String(person), values: values.map((value) => ({ value })) },
  };
  return row;
}

describe('statistics of the rows of a training set', () => {
  it('are of train rows that are not withheld, nulls included', () => {
    const splitter: Splitter = {
      spec: { by: 'time', ratios: [50, 0, 50], horizonMs: 0 },
      ...{ cuts: null, strata: null, of: ({ timeMs }) => (timeMs < 100 ? 'train' : 'test') },
    };
    const statistics = new TrainingStatistics([aFeature('a', 'int')], splitter, 9);
    for (let i = 0; i < 6; i++) statistics.add(aRow(i, i, [i === 5 ? null : i]));
    statistics.add(aRow(6, 6, [99], 'WITHHELD'));
    statistics.add(aRow(7, 200, [77]));
    const { features, ...about } = statistics.finish();
    expect(about).toEqual({ rows: 6, of: 'train', share: 1 });
    expect(features[0]).toMatchObject({ statistics: { profiles: 6, nulls: 1 }, sample: [0, 1, 2, 3, 4] });
  });

  it('have numbers of items, but no text of theirs, which may be that of one person', () => {
    const statistics = new TrainingStatistics([aFeature('reads', 'int'), aFeature('reader', 'string')], null, 40);
    for (let i = 0; i < 40; i++) statistics.add({ ...aRow(i, i, [i, 'ann']), profileId: null });
    const [reads, reader] = statistics.finish().features;
    expect(reads?.statistics).toMatchObject({ profiles: 40, numbers: { max: 39 } });
    expect(reader?.statistics.topValues).toEqual([]);
  });

  it('have no value that fewer than five people had, however many rows have it, and none of what is personal', () => {
    const features = [aFeature('alone', 'int'), aFeature('text', 'string'), aFeature('secret', 'int', true)];
    const statistics = new TrainingStatistics(features, null, 100);
    for (let i = 0; i < 40; i++) {
      statistics.add(aRow(i % 10, i, [i % 10 < 4 ? 7 : null, i % 10 < 4 ? 'rare' : 'web', 1]));
    }
    const [alone, text, secret] = statistics.finish().features;
    expect(alone).toMatchObject({ statistics: { numbers: null, nulls: 24 }, sample: null });
    expect(text?.statistics.topValues).toEqual([{ value: 'web', count: 24 }]);
    expect(secret).toMatchObject({ statistics: { numbers: null, profiles: 40 }, sample: null });
  });

  it('hold no more rows than they may, whatever the size of the set, and the same ones each time', () => {
    const features = new Array<ReturnType<typeof aFeature>>(2_000).fill(aFeature('a', 'int'));
    const make = () => {
      const statistics = new TrainingStatistics(features, null, 100_000);
      for (let i = 0; i < 20_000; i++) statistics.add(aRow(i, i, [i]));
      return statistics.finish();
    };
    const made = make();
    expect(made.share).toBe(0.01);
    expect(made.rows).toBeGreaterThan(140);
    expect(made.rows).toBeLessThan(260);
    expect(made.features[0]?.sample).toHaveLength(101);
    expect(make().features[0]?.sample).toEqual(made.features[0]?.sample);
  });
});
