import { describe, expect, it } from 'vitest';
import { parseFeatures } from './parse-features.js';
import { questionFeatures, traitsReadBy, type KnownNames } from './feature-questions.model.js';

const known: KnownNames = {
  seen: {
    events: new Map([
      ['purchase', new Set(['properties.total', 'properties.kind'])],
      ['refund', new Set(['properties.total'])],
      ['identify', new Set(['traits.plan'])],
    ]),
    isComplete: true,
  },
  sources: new Set(['web', 'crm']),
};

function ask(features: string, source = 'web', what = known): string[] {
  const yaml = `views:\n  - name: v\n    source: ${source}\n    features:\n${features}`;
  const { views } = parseFeatures(yaml, 'test');
  return questionFeatures(
    views.flatMap((view) => view.features),
    what,
  ).map(({ message, where, hint }) => `${where}: ${message}; ${hint}`);
}

describe('questionFeatures', () => {
  it('has nothing to ask where everything was sent', () => {
    const features = `
      - { name: a, aggregate: sum, events: [purchase, refund], value: properties.total, where: properties.kind == "x" }
      - { name: b, aggregate: last, events: [identify], value: traits.plan }
      - { name: c, aggregate: count, where: 'has(properties.total) && context.page.path != "/" && name != "x"' }
      - { name: d, aggregate: distinct, value: context.ip }
`;
    expect(ask(features)).toEqual([]);
  });

  it('asks about events, properties, conditions and sources, about each once with those that name it', () => {
    const features = `
      - { name: a, aggregate: count, events: [purchases, refund] }
      - { name: b, aggregate: sum, events: [refund], value: properties.totals, where: 'properties["kinds"] == "x"' }
      - { name: c, aggregate: recency, events: [purchases] }
      - { name: d, aggregate: count, where: properties.sku != "x" }
`;
    expect(ask(features, 'wep')).toEqual([
      'features a, c: no event is named "purchases" so far; did you mean "purchase"?',
      'features a, b, c and 1 more: no source is called wep so far; did you mean web?',
      'feature b: no event refund has had properties.totals so far; did you mean properties.total?',
      'feature b: no event refund has had properties.kinds so far; known are properties.total',
      'feature d: no event has had properties.sku so far; known are properties.kind, properties.total',
    ]);
  });

  it('asks about facts that Weft does not find out, whoever asks for them', () => {
    const features = `
      - { name: a, aggregate: count, where: 'context.enriched.device.type == "tv" && has(context.enriched.referrer)' }
      - { name: b, aggregate: last, value: context.enriched.os.name, type: string }
      - { name: c, aggregate: count, where: 'context.enriched.devise.type == "tv"' }
      - { name: d, aggregate: count, by: context.enriched.os.nam }
`;
    expect(ask(features).map((question) => question.replace(/; known are.*/, ''))).toEqual([
      'feature c: Weft finds out no context.enriched.devise.type about events; did you mean context.enriched.device.type?',
      'feature d: Weft finds out no context.enriched.os.nam about events; did you mean context.enriched.os.name?',
    ]);
  });

  it('asks about the steps of a funnel, whose conditions read traits, too', () => {
    const funnel = (event: string, where: string): string =>
      `      - { name: a, aggregate: funnel, within: 1d, steps: [refund, { event: ${event}, where: '${where}' }] }\n`;
    expect(ask(funnel('purchase', 'properties.kind == "x"'))).toEqual([]);
    expect(ask(funnel('purchases', 'properties.kinds == "x"'))).toEqual([
      'feature a: no event is named "purchases" so far; did you mean "purchase"?',
      'feature a: no event refund has had properties.kinds so far; known are properties.total',
    ]);
    const yaml = `views:\n  - name: v\n    features:\n${funnel('purchase', 'traits.plan == "x"')}`;
    const [feature] = parseFeatures(yaml, 'test').views[0]?.features ?? [];
    expect(feature === undefined ? [] : traitsReadBy(feature)).toEqual(['plan']);
  });

  it('says so where there are too many names to be asked', () => {
    const many = { ...known, seen: { ...known.seen, isComplete: false } };
    expect(ask('      - { name: a, aggregate: count, events: [x] }\n', 'web', many)).toEqual([
      ': names are not checked: events have carried more than 20000 different ones; keep ids and other values out of the names of events and of their fields',
    ]);
  });
});
