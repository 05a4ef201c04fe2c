import { describe, expect, it } from 'vitest';
import type { FeatureType } from '../features/feature.model.js';
import { WeftError } from '../platform/errors.js';
import { MAX_EXPRESSION_LENGTH, parseSegment, type ParsedSegment } from './parse-segment.js';
import type { SegmentSchema } from './segment-schema.model.js';

const FEATURES: readonly (readonly [string, FeatureType])[] = [
  ['spend_90d', 'double'],
  ['spend_lifetime', 'double'],
  ['orders_90d', 'int'],
  ['last_category', 'string'],
  ['is_loyal', 'bool'],
  ['first_seen', 'timestamp'],
  ['recent_orders', 'times'],
  ['top_brands', 'string_list'],
  ['spend_by', 'double_map'],
];

const SCHEMA: SegmentSchema = {
  features: new Map(FEATURES),
  models: new Set(['purchase_intent', 'rfm']),
  segments: new Set(['big_spenders', 'newcomers']),
};

function parse(source: string): ParsedSegment {
  return parseSegment(source, SCHEMA);
}

/** `line:column message (hint)` of the error, or 'accepted'. */
function errorOf(source: string): string {
  try {
    parse(source);
    return 'accepted';
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    expect(error.code).toBe('EXPRESSION_INVALID');
    return `${error.where ?? '?'} ${error.message}${error.hint === undefined ? '' : ` (${error.hint})`}`;
  }
}

describe('a segment expression', () => {
  it.each([
    'f.spend_90d > 100',
    'f.spend_90d == 0',
    'f.spend_90d > 100.5 && f.orders_90d >= 2',
    'f.spend_90d / 2 > 100',
    'f.spend_90d * -2 < 100',
    'f.orders_90d + 1 > 3',
    '100 < f.spend_90d',
    'score("purchase_intent") > 1',
    'score("purchase_intent") == 0 || cluster("rfm") == 3 || label("rfm") == "champions"',
    'f.last_category in ["shoes", "hats"]',
    'f.spend_90d in [1, 2.5]',
    'traits.country == "AT" || traits["favourite colour"] != "red"',
    'has(traits.email) && !has(f.last_category)',
    'traits.tags.exists(tag, tag == f.last_category)',
    'traits.tags.filter(tag, tag != "x").map(tag, tag.lowerAscii()).all(tag, tag.startsWith("a"))',
    'groups.exists(g, g.id == "acme") && size(groups) > 1',
    'groups.filter(g, g.traits.plan == "pro").exists(g, g.id.startsWith("a")) && !groups.all(g, has(g.traits.seats))',
    'size(traits.tags) > 2 && traits.name.size() > 0',
    'traits.tags[0] == "a" && "b" in traits.tags',
    'segment("big_spenders") && !segment("newcomers")',
    'sample("spring") < 0.1 || sample("holdout.2026") >= 1',
    '"acme" in f.top_brands && f.top_brands[0] == "acme" && f.top_brands.exists(b, b.startsWith("a"))',
    'f.spend_by["shoes"] >= 10 && f.spend_by.hats / 2 > 1.5 && !has(f.spend_by["gloves"])',
    '"shoes" in f.spend_by && size(f.spend_by) > 2 && f.spend_by.exists(k, k == traits.favourite)',
    'since("order") >= duration("5m") && since("order") < "24h"',
    '"90d" < since("order")',
    'last("a") < last("b") && f.first_seen > timestamp("2026-01-01T00:00:00Z")',
    'count("a") > 100 && count("a", "7d") > 100 && sum("order", "properties.total", "30d") > 10',
    'avg("order", "properties.total") > 10 || min("o", "properties.a.b", "7d") < 1 || max("o", "traits.x", "5m") < 1',
    'distinct("view", "properties.sku", "1d") >= 3 && performed("view") && performed("view", "30s")',
    'regex(traits.email, "@example[.]com$")',
    'f.is_loyal ? f.spend_90d > 10 : f.spend_90d > 20',
    '(f.is_loyal ? 1 : 2.5) > 1',
    'double(f.orders_90d) * f.spend_90d > 3.0 && int(f.spend_90d) % 2 == 0 && string(f.orders_90d) == "3"',
    'f.is_loyal',
    'true',
    'f.is_loyal // with a comment\n',
  ])('accepts %s', (source) => {
    expect(errorOf(source)).toBe('accepted');
  });

  it.each([
    ['f.spnd_90d > 1', /^1:3 unknown feature f\.spnd_90d; did you mean f\.spend_90d\?/],
    ['f.is_loyal &&\n  f.spnd_90d > 1', /^2:5 unknown feature f\.spnd_90d; did you mean/],
    ['f.zzzzzzz > 1', /^1:3 unknown feature f\.zzzzzzz \(features are defined/],
    ['spend_90d > 1', /^1:1 unknown name spend_90d; did you mean f\.spend_90d\?/],
    ['traits["$consent.ads"] == true', /\$consent.ads is no trait/],
    ['groups.exists(g, g.plan == "pro")', /^1:20 a group has id and traits, not plan \(write g\.traits\.plan\)/],
    ['groups.exists(g, g == "acme")', /^1:18 g is a group \(write g\.id or g\.traits\.plan\)/],
    ['groups.exists(g, g.id == 5)', /cannot compare string with int/],
    ['groups.traits.plan == "pro"', /groups is a list \(write groups\.exists\(g, g\.traits\.plan == "pro"\)\)/],
    ['"acme" in groups', /groups is a list of groups \(write groups\.exists\(g, g\.id == "acme"\)\)/],
    ['group.plan == "pro"', /^1:1 unknown name group \(write groups\.exists/],
    ['trait.x == 1', /^1:1 unknown name trait; did you mean traits\?/],
    ['f.recent_orders == 1', /^1:3 f\.recent_orders is a list of times .*use count\(/],
    ['f.last_category == 5', /^1:20 cannot compare string with int: expected string/],
    ['f.orders_90d > "5"', /^1:16 cannot compare int with string: expected int/],
    ['f.spend_90d', /^1:3 a segment must be bool, found double \(compare it with a number/],
    ['f.is_loyal && f.last_category', /^1:17 operand of && must be bool, found string/],
    ['!f.spend_90d', /^1:4 operand of ! must be bool, found double/],
    ['f.spend_90d * f.orders_90d > 1.0', /cannot compute double \* int \(turn the int into a double/],
    ['f.spend_90d + "a" == "b"', /cannot compute double \+ string/],
    ['sample("spring") < 5', /^1:20 a sample is a number from 0 up to 1 \(for 5 % write sample\("spring"\) < 0.05/],
    ['sample("a b") < 0.5', /^1:8 a sample is named by/],
    ['traits.x == null', /^1:13 null cannot be compared \(use has/],
    ['traits.email.matches("a+")', /matches\(\) is not available \(use regex\(/],
    ['matches(traits.email, "a+")', /matches\(\) is not available/],
    ['regex(traits.email, "(a")', /^1:21 the pattern is not valid/],
    ['regex(traits.email, "(?=a)b")', /the pattern is not valid/],
    ['regex(traits.email, traits.pattern)', /the pattern must be constant text/],
    ['regex(f.orders_90d, "a")', /regex\(\) expects string, found int/],
    ['traits.a.exists(x, traits.b.exists(y, y == x))', /^1:20 \.exists\(\) cannot stand inside another one/],
    ['5 in f.top_brands', /cannot look for int in a list of string/],
    ['5 in f.spend_by', /cannot look for int in a map with keys of string/],
    ['f.spend_by > 5', /cannot compare map with int/],
    ['f.spend_by', /a segment must be bool, found map \(compare one of its values/],
    ['f.spend_by["shoes"] == "x"', /cannot compare double with string/],
    ['f.spend_by[0] > 1', /a map is indexed by string, found int \(write the key in quotes/],
    ['f.top_brands.acme', /list has no field acme/],
    ['f.top_brands[0] > 1', /cannot compare string with int/],
    ['[1, 2].exists(x, x > 1)', /walks a list, found list/],
    ['traits.a.exists(f, f > 1)', /the first argument names the item/],
    ['traits.a.exists(x.y, true)', /^1:\d+ /],
    ['cont("a") > 1', /unknown function cont; did you mean count\(…\)\?/],
    ['traits.a.startWith("x")', /unknown function \.startWith; did you mean \.startsWith\(…\)\?/],
    ['count() > 1', /expected 1 to 2 arguments, found 0 \(write count\("event", "24h"\)\)/],
    ['count(traits.e) > 1', /the name of the event must be constant text/],
    ['count("") > 1', /an event's name has 1 to 200 characters/],
    ['count("a", "24 hours") > 1', /"24 hours" is not a duration \(write "24h"\)/],
    ['count("a", "1m") > 40', /the window must be at least 5m/],
    ['count("a", "9000d") > 40', /the window must be at most/],
    ['sum("a", "total", "7d") > 1', /"total" is not the path of a value \(write "properties.total"\)/],
    [`sum("a", "properties.${'x'.repeat(101)}", "7d") > 1`, /is not the path of a value/],
    ['since("a") == "5m"', /since\(…\) is compared with <, <=, > or >=/],
    ['since("a") > 5', /since\(…\) is compared with a constant duration/],
    ['since("a") > since("b")', /since\(…\) is compared with a constant duration .*last\("a"\) < last\("b"\)/],
    ['since("a")', /a segment must be bool, found duration/],
    ['duration("5m") > duration("3m")', /durations cannot be compared/],
    ['score("purchase_intnt") > 0.5', /unknown model "purchase_intnt"; did you mean "purchase_intent"\?/],
    ['segment("big_spender")', /unknown segment "big_spender"; did you mean "big_spenders"\?/],
    ['has(count("a"))', /has\(\) asks about a feature or a trait/],
    ['f.spend_90d in 5', /expected a list or a map after in, found int/],
    ['f.spend_90d in ["a"]', /cannot look for double in a list of string/],
    ['[1, "a"] == [1]', /items of a list must be of one type: int, then string/],
    ['(f.is_loyal ? 1 : "a") == 1', /both branches must be of one type/],
    ['f == 1', /^1:1 f cannot stand alone/],
    ['traits[traits.x] == 1', /the name of a trait must be constant text/],
    ['{"a": 1} == {"a": 1}', /maps cannot be written/],
    ['99999999999999999999 > f.orders_90d', /too large/],
    ['b"abc" == b"abc"', /bytes and unsigned numbers/],
    ['timestamp("yesterday") < f.first_seen', /"yesterday" is not a time/],
    ['timestamp("2026-02-30") < f.first_seen', /"2026-02-30" is not a time/],
    ['timestamp("2026-02-03T12:00") < f.first_seen', /is not a time/],
    ['f.is_loyal and f.is_loyal', /^1:12 .* \(write && for and\)/],
    ['f.spend_90d = 5', /^1:13 unexpected = \(write == for =\)/],
    ['f.spend_90d >', /^1:14 unexpected token: the end of the text/],
    ['(f.is_loyal', /expected \), got the end of the text/],
    ['"abc', /^1:1 unterminated string/],
    ['', /the expression is empty/],
    ['cel.bind(x, 1, x > 0)', /^1:/],
  ])('refuses %s', (source, expected) => {
    expect(errorOf(source)).toMatch(expected);
  });

  it('is bounded in length, nodes and depth', () => {
    expect(errorOf(`true || "${'a'.repeat(MAX_EXPRESSION_LENGTH)}" == "a"`)).toMatch(/characters, at most 4000/);
    expect(errorOf(Array.from({ length: 101 }, () => 'true').join(' && '))).toMatch(/larger than 200 nodes/);
    expect(errorOf(`${'('.repeat(60)}true${')'.repeat(60)}`)).toMatch(/nested deeper than 50/);
    expect(errorOf(Array.from({ length: 100 }, () => 'true').join('&&'))).toBe('accepted');
  });

  it('lists what it reads, each name once', () => {
    const { requires } = parse(
      'f.spend_90d > 1 && f.orders_90d > 1 && f.spend_90d < 9 && traits.b.c == 1 && has(traits.a) && ' +
        'score("purchase_intent") > 0.5 && segment("newcomers") && traits.tags.exists(x, x == traits.a) && ' +
        '(consent("mail") || consent("ads") || consent("mail")) && sample("a") < 0.5 && sample("a") >= 0.1 && ' +
        '(listed("vips") || listed("team") || listed("vips"))',
    );
    expect(requires).toEqual({
      features: ['orders_90d', 'spend_90d'],
      groupTraits: [],
      inlineFeatures: [],
      traits: ['a', 'b', 'tags'],
      models: ['purchase_intent'],
      segments: ['newcomers'],
      purposes: ['ads', 'mail'],
      lists: ['team', 'vips'],
      samples: ['a'],
    });
  });

  it('keeps the place of each part in the text', () => {
    const source = 'f.is_loyal && f.spend_90d > 100';
    const { expression } = parse(source);
    if (expression.kind !== 'and') throw new Error('expected and');
    const texts = expression.operands.map((operand) => source.slice(operand.start, operand.end));
    expect(texts).toEqual(['f.is_loyal', 'f.spend_90d > 100']);
  });
});

describe('inline aggregates', () => {
  const inlineOf = (source: string): readonly (readonly [string, string, number | null, number | null])[] =>
    parse(source).requires.inlineFeatures.map((d) => [d.name, d.aggregate, d.windowMs, d.limit]);

  it('become features with names that depend on their definition alone', () => {
    expect(inlineOf('sum("order completed", "properties.total", "30d") > 5')).toEqual([
      [expect.stringMatching(/^_sum_order_completed_total_30d_[0-9a-f]{8}$/), 'sum', 30 * 86_400_000, null],
    ]);
    expect(inlineOf('count("a", "24h") > 100')).toEqual(inlineOf('100 < count("a", "1d")'));
    expect(inlineOf('count("a", "24h") > 100')).not.toEqual(inlineOf('count("a", "23h") > 100'));
    expect(inlineOf('count("A b", "24h") > 100')[0]?.[0]).not.toBe(inlineOf('count("a-b", "24h") > 100')[0]?.[0]);
  });

  it.each([
    ['count("a", "24h") == 0', 1],
    ['count("a", "24h") >= 1', 1],
    ['count("a", "24h") < 3', 3],
    ['count("a", "24h") >= 3', 3],
    ['count("a", "24h") > 3', 4],
    ['count("a", "24h") <= 3', 4],
    ['count("a", "24h") != 3', 4],
    ['3 >= count("a", "24h")', 4],
    ['count("a", "24h") > 2.5', 3],
    ['count("a", "24h") > 31', 32],
    ['performed("a")', 1],
    ['since("a") > "5m"', 1],
    ['last("a") > 5', 1],
  ])('%s reads the latest %i times', (source, limit) => {
    expect(inlineOf(source)).toEqual([[expect.stringMatching(/^_times_a_/), 'times', null, limit]]);
  });

  it.each([
    'count("a", "24h") > 32',
    'count("a", "24h") == f.orders_90d',
    'count("a", "24h") + 1 > 2',
    'count("a") > 2',
  ])('%s counts', (source) => {
    expect(inlineOf(source).map(([, aggregate]) => aggregate)).toEqual(['count']);
  });

  it('share the times of an event, whatever the window', () => {
    expect(inlineOf('count("a", "24h") == 0 && since("a") > "5m" && performed("a", "7d")')).toHaveLength(1);
  });

  it('have names that registered features cannot have, within the same length', () => {
    const long = 'x'.repeat(200);
    const [feature] = inlineOf(`sum("${long}", "properties.${long.slice(0, 100)}", "30d") > 1.0`);
    expect(feature?.[0].startsWith('_')).toBe(true);
    expect(feature?.[0].length).toBeLessThanOrEqual(63);
  });
});
