import { describe, expect, it } from 'vitest';
import type { FeatureDefinition, FeatureType, FeatureValue } from './feature.model.js';
import { FeatureTally, isPersonalFeature } from './feature-statistics.model.js';

const T = 1_000_000;

function aDefinition(name: string, type: FeatureType, value: string | null = null): FeatureDefinition {
  const rest = { events: [], source: null, where: null, windowMs: null, unitMs: null, limit: null };
  return { ...rest, name, type, value, view: 'v', description: '', aggregate: 'last' };
}

function statisticsOf(type: FeatureType, values: readonly FeatureValue['value'][], isPersonal = false) {
  const tally = new FeatureTally(aDefinition('f', type), isPersonal);
  for (const [i, value] of values.entries()) {
    const eventTs = value === null ? null : T - 1_000 * i;
    tally.add({ value, eventTs, approximate: i === 0 }, T);
  }
  return tally.finish();
}

describe('statistics of a feature', () => {
  it('say of numbers how they are spread', () => {
    const { statistics, sample } = statisticsOf('int', [3, 1, null, 2, 2, 12]);
    expect(statistics).toMatchObject({ profiles: 6, nulls: 1, approximate: 1, distinct: 4, topValues: [] });
    expect(statistics.numbers).toMatchObject({ min: 1, max: 12, mean: 4, stddev: Math.sqrt(16.4) });
    expect(statistics.numbers?.quantiles.find(({ p }) => p === 0.5)?.value).toBe(2);
    expect(sample).toEqual([1, 2, 2, 3, 12]);
    expect(statistics).toMatchObject({ newestEventAt: T, medianAgeMs: 3_000 });
  });

  it('say of texts which are frequent, but not those that fewer than five people have', () => {
    const texts = [...new Array<string>(6).fill('shoes'), ...new Array<string>(5).fill('hats'), 'one', 'two', 'two'];
    const { statistics, sample } = statisticsOf('string', texts);
    expect(statistics).toMatchObject({ distinct: 4, numbers: null });
    expect(statistics.topValues).toEqual([
      { value: 'shoes', count: 6 },
      { value: 'hats', count: 5 },
    ]);
    expect(sample).toBeNull();
  });

  it('say of lists and maps how many items they have, and count an item once a person', () => {
    const lists = new Array<string[]>(5).fill(['a', 'b', 'a']);
    expect(statisticsOf('string_list', lists).statistics).toMatchObject({
      numbers: { min: 3, max: 3 },
      topValues: [
        { value: 'a', count: 5 },
        { value: 'b', count: 5 },
      ],
    });
    expect(statisticsOf('double_map', new Array<object>(5).fill({ a: 2 }) as never).statistics.topValues).toEqual([
      { value: 'a', count: 5 },
    ]);
  });

  it('tell only what five people are known to be behind, whoever else may be', () => {
    const tallied = (people: readonly (string | null)[]) => {
      const tally = new FeatureTally(aDefinition('f', 'string'), false, 'item');
      for (const person of people) tally.add({ value: 'blue', eventTs: T, approximate: false }, T, person);
      const { entity, topValues } = tally.finish().statistics;
      return [entity, topValues.map(({ count }) => count)];
    };
    expect(tallied(['a', 'b', 'c', 'd', null, null, 'a'])).toEqual(['item', []]);
    expect(tallied([null, null, null, null, null, null])).toEqual(['item', []]);
    expect(tallied(['a', 'b', 'c', 'd', null, 'e'])).toEqual(['item', [6]]);
  });

  it('keep no value of what is personal or looks so, nor of fewer than five people', () => {
    const phones = new Array<number>(9).fill(4_917_012_345_678);
    const hidden = statisticsOf('int', phones, true);
    expect(hidden).toMatchObject({ statistics: { profiles: 9, numbers: null, topValues: [] }, sample: null });
    expect(statisticsOf('int', [1, 2, 3, 4]).statistics.numbers).toBeNull();
    expect(statisticsOf('string', new Array<string>(9).fill('ann@example.com')).statistics.topValues).toEqual([]);
    expect(isPersonalFeature(aDefinition('a', 'string', 'traits.email'), new Set())).toBe(true);
    expect(isPersonalFeature(aDefinition('a', 'string', 'properties.nick'), new Set(['nick']))).toBe(true);
    expect(isPersonalFeature(aDefinition('a', 'string', 'properties.sku'), new Set(['nick']))).toBe(false);
  });

  it('keep some hundred of many numbers, the least and the greatest among them', () => {
    const { sample } = statisticsOf(
      'int',
      Array.from({ length: 3_000 }, (_, i) => i),
    );
    expect([sample?.length, sample?.[0], sample?.at(-1)]).toEqual([512, 0, 2_999]);
  });
});
