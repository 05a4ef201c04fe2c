import { describe, expect, it } from 'vitest';
import { WeftError } from '../platform/errors.js';
import { parseFeatures } from './parse-features.js';

const GOOD = `
views:
  - name: web
    description: What visitors do.
    source: web
    features:
      - { name: product_views_7d, aggregate: count, events: [product_view], window: 7d }
      - { name: spend_90d, aggregate: sum, events: [order_completed], value: properties.total, window: 90d, where: "properties.total > 0.0" }
      - { name: days_since_order, aggregate: recency, events: [order_completed], unit: 1d }
      - { name: plan, aggregate: last, value: traits.plan, type: int }
      - { name: last_orders, aggregate: times, events: &orders [order_completed, order_paid], limit: 3, window: 24h }
  - name: crm
    features:
      - { name: skus, aggregate: distinct, events: *orders, value: properties.sku }
      - { name: city, aggregate: first, value: context.location.city }
services:
  - { name: purchase_intent_v1, features: [spend_90d, product_views_7d] }
`;

/** Line and column of the faults, and what is said of them. */
function faults(yaml: string): string[] {
  try {
    parseFeatures(yaml, 'f.yaml');
  } catch (error) {
    if (error instanceof WeftError && error.code === 'DEFINITION_INVALID') return error.message.split('\n');
    throw error;
  }
  return [];
}

function faultsOf(feature: string): string[] {
  return faults(`views:\n  - name: v\n    features:\n      - ${feature}\n`).map((line) =>
    line.replace('f.yaml:4:', ''),
  );
}

describe('feature files', () => {
  it('become definitions with inferred types and milliseconds', () => {
    const { views, services } = parseFeatures(GOOD, 'f.yaml');
    expect(services).toEqual([
      { name: 'purchase_intent_v1', description: '', features: ['spend_90d', 'product_views_7d'] },
    ]);
    expect(views.map(({ name, description, source }) => [name, description, source])).toEqual([
      ['web', 'What visitors do.', 'web'],
      ['crm', '', null],
    ]);
    const [web, crm] = views;
    expect(web?.features[1]).toEqual({
      name: 'spend_90d',
      view: 'web',
      description: '',
      aggregate: 'sum',
      events: ['order_completed'],
      source: 'web',
      where: 'properties.total > 0.0',
      value: 'properties.total',
      windowMs: 90 * 86_400_000,
      unitMs: null,
      limit: null,
      type: 'double',
    });
    expect(web?.features.map(({ type }) => type)).toEqual(['int', 'double', 'int', 'int', 'times']);
    expect(web?.features[2]).toMatchObject({ unitMs: 86_400_000, windowMs: null });
    expect(web?.features[4]).toMatchObject({ limit: 3, windowMs: 86_400_000 });
    expect(crm?.features.map(({ type }) => type)).toEqual(['int', 'string']);
    expect(crm?.features[0]?.events).toEqual(['order_completed', 'order_paid']);
  });

  it('may tell of the order and the hours of events', () => {
    const { views } = parseFeatures(
      `views:
  - name: web
    features:
      - { name: recent, aggregate: last_events, events: [page, search], limit: 20, others: true }
      - { name: depth, aggregate: session_depth, gap: 30m, of: mean }
      - { name: pause, aggregate: inter_event, unit: 1h }
      - name: way
        aggregate: funnel
        steps: [page, { event: search, where: properties.hits > 0 }, page]
        within: 1d
      - { name: clock, aggregate: hour_of_week, window: 30d, zone: Europe/Berlin }
      - { name: nights, aggregate: hour_of_week, window: 30d, share_of: [sun, sat], hours: 22-5 }
      - { name: days, aggregate: frequency, window: 30d }
`,
      'f.yaml',
    );
    const features = views[0]?.features ?? [];
    expect(features.map(({ type, limit, unitMs, options }) => [type, limit, unitMs, options])).toEqual([
      ['int_list', 20, null, { others: true }],
      ['double', 128, null, { gapMs: 1_800_000, of: 'mean' }],
      ['double', 128, 3_600_000, undefined],
      [
        'int',
        128,
        null,
        {
          steps: [
            { event: 'page', where: null },
            { event: 'search', where: 'properties.hits > 0' },
            { event: 'page', where: null },
          ],
          withinMs: 86_400_000,
        },
      ],
      ['double_list', null, null, { zone: 'Europe/Berlin' }],
      ['double', null, null, { days: ['sat', 'sun'], hours: [22, 5] }],
      ['int', null, 86_400_000, undefined],
    ]);
    expect(features[3]?.events).toEqual(['page', 'search']);
  });

  it('say what profiles can be found by, which no list is', () => {
    const [view] = parseFeatures(GOOD.replace('unit: 1d }', 'unit: 1d, searchable: true }'), 'f.yaml').views;
    expect(view?.features.map(({ searchable }) => searchable)).toEqual([
      undefined,
      undefined,
      true,
      undefined,
      undefined,
    ]);
    expect(faultsOf('{ name: a, aggregate: times, limit: 3, searchable: true }')).toEqual([
      '60: times gives a list, by which profiles cannot be found; take searchable out, or find them by a recency of the same events',
    ]);
    expect(faultsOf('{ name: a, aggregate: count, searchable: often }')).toEqual([
      '50: searchable is neither true nor false; write true, or leave it out',
    ]);
  });

  it('have all their faults told at once, each with its place and remedy', () => {
    const told = faults(`views:
  - name: Web
    souce: web
    features:
      - { name: a, aggregate: count, events: [x], window: 4m }
      - { name: a, aggregate: summ, value: properties.x }
      - { name: b, aggregate: sum }
services:
  - { name: s, features: [a, c] }
`);
    expect(told).toEqual([
      'f.yaml:3:5: a view has no field "souce"; did you mean "source"?',
      'f.yaml:2:11: a view needs a name, and "Web" is none; begin with a small letter and go on with up to 62 small letters, digits and _',
      'f.yaml:5:59: a window cannot be 4m; choose 5m to 1098d',
      'f.yaml:6:17: the name a is taken; give each of them its own; a feature is found by it',
      'f.yaml:6:31: the aggregate cannot be "summ"; did you mean "sum"?',
      'f.yaml:7:9: sum needs a value; add the path of a property, as in value: properties.total',
      'f.yaml:9:30: there is no feature c; did you mean a?',
    ]);
  });

  it.each([
    ['{ name: a, aggregate: count, value: properties.x }', 'count has no value'],
    ['{ name: a, aggregate: sum, value: total }', '"total" is not a path to a value'],
    ['{ name: a, aggregate: sum, value: properties.a..b }', 'is not a path to a value'],
    ['{ name: a, aggregate: sum, value: properties }', 'is not a path to a value'],
    [
      '{ name: a, aggregate: count, window: 7 }',
      'a window must be a duration; say of what: 7d is 7 days, 7h hours, 7m minutes',
    ],
    ['{ name: a, aggregate: count, window: 2000d }', 'a window cannot be 2000d'],
    ['{ name: a, aggregate: count, type: double }', 'the type cannot be "double"; use one of int'],
    ['{ name: a, aggregate: last, value: traits.x, type: object }', 'the type cannot be "object"'],
    ['{ name: a, aggregate: times }', 'times needs a limit'],
    ['{ name: a, aggregate: times, limit: 33 }', 'the limit must be a whole number; from 1 to 32'],
    ['{ name: a, aggregate: count, limit: 3 }', 'count has no limit'],
    ['{ name: a, aggregate: count, unit: 1d }', 'count has no unit'],
    ['{ name: a, aggregate: recency, unit: 1s }', 'a unit cannot be 1s'],
    ['{ name: a, aggregate: count, events: x }', 'events must be a list'],
    ['{ name: a, aggregate: count, events: [1] }', 'an event name must be a text'],
    ['{ name: a, aggregate: count, where: "properties.x >" }', 'the filter is wrong at column'],
    ['{ name: a, aggregate: count, where: "propertys.x > 1" }', 'Unknown variable: propertys'],
    ['{ name: a, aggregate: count, where: "properties.s.matches(\'a\')" }', 'matches() is not available'],
    ['{ name: a, aggregate: count, where: "name" }', 'a filter must be true or false'],
    ['{ name: a, aggregate: last_events, limit: 3 }', 'last_events needs events'],
    ['{ name: a, aggregate: last_events, limit: 257, events: [x] }', 'the limit must be a whole number; from 1 to 256'],
    ['{ name: a, aggregate: session_count }', 'session_count needs a gap; add'],
    ['{ name: a, aggregate: session_count, gap: 31d }', 'a gap cannot be 31d; choose 1s to 30d'],
    ['{ name: a, aggregate: session_depth, gap: 30m, of: min }', 'of cannot be "min"; use one of last, mean'],
    ['{ name: a, aggregate: session_depth, gap: 30m, unit: 1m }', 'session_depth has no unit'],
    ['{ name: a, aggregate: session_entropy, gap: 30m, of: mean }', 'session_entropy has no of'],
    ['{ name: a, aggregate: inter_event, unit: 1000d }', 'a unit cannot be 1000d'],
    ['{ name: a, aggregate: funnel, within: 1d }', 'funnel needs steps'],
    ['{ name: a, aggregate: funnel, steps: [x], within: 1d }', 'a funnel has 2 to 10 steps'],
    ['{ name: a, aggregate: funnel, steps: [x, y], within: 1d, events: [x] }', 'its steps name them'],
    ['{ name: a, aggregate: funnel, steps: [x, { event: y, were: a }], within: 1d }', 'did you mean "where"?'],
    ['{ name: a, aggregate: funnel, steps: [x, { where: "true" }], within: 1d }', 'the step has no event'],
    [
      '{ name: a, aggregate: funnel, steps: [x, { event: y, where: "propertys.x > 1" }], within: 1d }',
      'Unknown variable: propertys',
    ],
    ['{ name: a, aggregate: frequency }', 'frequency needs a window'],
    ['{ name: a, aggregate: frequency, window: 7d, unit: 1m }', 'the unit of frequency cannot be 1m; choose 1h or 1d'],
    [
      '{ name: a, aggregate: hour_of_week, window: 7d, zone: Europe/Berlyn }',
      'no zone Europe/Berlyn; did you mean Europe/Berlin?',
    ],
    ['{ name: a, aggregate: frequency, window: 7d, zone: new york }', 'did you mean America/New_York?'],
    ['{ name: a, aggregate: hour_of_week, window: 7d, zone: "+01:20" }', 'there is no zone +01:20'],
    ['{ name: a, aggregate: hour_of_week, window: 7d, share_of: [sonntag] }', 'a day cannot be "sonntag"'],
    ['{ name: a, aggregate: hour_of_week, window: 7d, share_of: [] }', 'share_of names no day'],
    ['{ name: a, aggregate: hour_of_week, window: 7d, hours: 18-24 }', 'hours must be two hours of the day'],
    ['{ name: a, aggregate: hour_of_week, window: 7d, hours: 18 }', 'hours must be two hours of the day'],
    ['{ name: a }', 'the feature has no aggregate'],
    ['{ name: a, aggregate: percentile, value: properties.x }', 'percentile needs a p; add which percentile it is'],
    ['{ name: a, aggregate: percentile, value: properties.x, p: 95 }', 'p must be a number; from 0 to 1'],
    ['{ name: a, aggregate: last_n, value: properties.x, limit: 101 }', 'from 1 to 100'],
    ['{ name: a, aggregate: top_k, value: properties.x, limit: 3, searchable: true }', 'top_k gives a list'],
    ['{ name: a, aggregate: count, key: shoes }', 'count has a key only where events are grouped; add what'],
    ['{ name: a, aggregate: count, by: category }', '"category" is not a path to a value'],
    ['{ name: a, aggregate: count, by: properties.c, key: shoes, limit: 3 }', 'one key has no limit'],
    ['{ name: a, aggregate: count, by: properties.c, searchable: true }', 'count gives a map'],
    [
      '{ name: a, aggregate: distinct, value: properties.c, by: properties.c }',
      'distinct has no by; take it out; count',
    ],
    ['{ name: a, aggregate: decayed_sum }', 'decayed_sum needs a half-life; add in what time'],
    ['{ name: a, aggregate: decayed_sum, half_life: 1s }', 'a half-life cannot be 1s; choose 5m'],
    ['{ name: a, aggregate: decayed_sum, half_life: 7d, window: 7d }', 'decayed_sum has no window'],
    ['{ name: a, aggregate: decayed_sum, half_life: 7d, searchable: true }', 'a value that never stands still'],
    ['{ name: a, aggregate: affinity, value: properties.t, half_life: 7d, of: parts }', 'of cannot be "parts"'],
    ['{ name: a, aggregate: rate }', 'rate needs a window; add how far back'],
    ['[a]', 'a feature must be a map'],
    [`{ name: ${'a'.repeat(64)}, aggregate: count }`, 'a feature needs a name'],
  ])('refuse %s', (feature, what) => {
    const told = faultsOf(feature);
    expect(told).toHaveLength(1);
    expect(told[0]).toContain(what);
    expect(told[0]).toContain('; ');
  });

  it('divide features of their view, whatever their order', () => {
    const yaml = `views:
  - name: v
    features:
      - { name: per_visit, aggregate: ratio, numerator: orders, denominator: visits }
      - { name: orders, aggregate: count, events: [order], window: 7d, searchable: true, description: How many. }
      - { name: visits, aggregate: decayed_sum, events: [page], half_life: 7d }
      - { name: cities, aggregate: last_n, value: traits.city, limit: 3 }
`;
    const [ratio, orders] = parseFeatures(yaml, 'f.yaml').views[0]?.features ?? [];
    expect(ratio?.options?.numerator).toEqual({ ...orders, description: '', searchable: false });
    expect(ratio?.options?.denominator?.options).toEqual({ halfLifeMs: 7 * 86_400_000 });
    const faulty = (was: string, is: string): string[] => faults(yaml.replace(was, is));
    expect(faulty('denominator: visits', 'denominator: visit')).toEqual([
      'f.yaml:4:78: this view has no feature visit; did you mean visits?',
    ]);
    expect(faulty('denominator: visits', 'denominator: per_visit')[0]).toContain('per_visit is a ratio itself');
    expect(faulty('denominator: visits', 'denominator: cities')[0]).toContain('cities is of type string_list');
    expect(faulty('denominator: visits', 'denominator: visits, searchable: true')[0]).toContain('never stands still');
  });

  it('give maps, or one key of them as a number', () => {
    const yaml = `views:
  - name: v
    features:
      - { name: a, aggregate: sum, value: properties.total, by: properties.category }
      - { name: b, aggregate: count, by: properties.category, key: shoes }
      - { name: c, aggregate: affinity, value: properties.tags, half_life: 30d, of: weight }
      - { name: d, aggregate: last_n, value: properties.at, limit: 5, type: timestamp }
`;
    const features = parseFeatures(yaml, 'f.yaml').views[0]?.features ?? [];
    expect(features.map(({ type, options }) => [type, options])).toEqual([
      ['double_map', { by: 'properties.category' }],
      ['int', { by: 'properties.category', key: 'shoes' }],
      ['double_map', { halfLifeMs: 30 * 86_400_000, of: 'weight' }],
      ['timestamp_list', undefined],
    ]);
  });

  it('may name features of other files in their services', () => {
    const yaml = 'services:\n  - { name: s, features: [x] }\n';
    expect(faults(yaml)).toEqual(['f.yaml:2:27: there is no feature x; define it in a view']);
    expect(parseFeatures(yaml, 'f.yaml', ['x']).services[0]?.features).toEqual(['x']);
  });

  it('that are no YAML say where', () => {
    expect(faults('views: [\n  {')[0]).toMatch(/^f\.yaml:\d+:\d+: .*; write valid YAML 1\.2$/);
    expect(faults('just text')).toEqual(['f.yaml:1:1: the file must be a map; write views: …, services: …']);
  });

  it('hold at most 2,000 features', () => {
    const features = Array.from({ length: 2_001 }, (_, i) => `      - { name: f${String(i)}, aggregate: count }`).join(
      '\n',
    );
    expect(faults(`views:\n  - name: v\n    features:\n${features}\n`)[0]).toContain('the file has 2001 features');
  });
});
