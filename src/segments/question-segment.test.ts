import { describe, expect, it } from 'vitest';
import type { FeatureType } from '../features/feature.model.js';
import { parseSegment } from './parse-segment.js';
import { questionSegment, type KnownToSegments } from './question-segment.js';

const known: KnownToSegments = {
  seen: {
    events: new Map([
      ['purchase', new Set(['properties.total', 'properties.coupon'])],
      ['product_view', new Set(['properties.sku', 'properties.price'])],
      ['identify', new Set(['traits.country', 'traits.address'])],
    ]),
    isComplete: true,
  },
  sources: new Set(['web']),
  models: new Map([
    ['rfm', { cluster: { output: 'c' }, label: { output: 'c', names: ['champions', 'loyal', 'lapsed'] } }],
    ['free', { label: { output: 'l' } }],
    ['intent', { score: { output: 'p', index: 1 } }],
  ]),
};
const features = new Map<string, FeatureType>([['spend', 'double']]);

function ask(expression: string, what: KnownToSegments = known): string[] {
  const parsed = parseSegment(expression, { features });
  return questionSegment(parsed, what).map(({ where, message, hint }) => `${where} ${message}; ${hint}`);
}

describe('questionSegment', () => {
  it.each([
    ['performed("Purchase")', '1:12 no event is named "Purchase" so far; did you mean "purchase"?'],
    [
      'f.spend > 1 ||\n  count("Product Viewed", "7d") >= 3',
      '2:10 no event is named "Product Viewed" so far; did you mean "product_view"?',
    ],
    [
      'last("newsletter") > 0',
      '1:7 no event is named "newsletter" so far; known are "identify", "product_view", "purchase"',
    ],
    [
      'sum("purchase", "properties.totl", "30d") > 5.0',
      '1:18 no event purchase has had properties.totl so far; did you mean properties.total?',
    ],
    [
      'sum("purchase", "traits.total") > 5.0',
      '1:18 no event purchase has had traits.total so far; did you mean properties.total?',
    ],
    [
      'distinct("product_view", "properties.colour") > 2',
      '1:27 no event product_view has had properties.colour so far; known are properties.price, properties.sku',
    ],
    ['traits.contry == "AT"', '1:8 nobody has had a trait contry so far; did you mean traits.country?'],
    ['has(traits.vip)', '1:12 nobody has had a trait vip so far; known are traits.address, traits.country'],
    ['label("rfm") == "champion"', '1:18 the model rfm has no label "champion"; did you mean "champions"?'],
    ['"gold" == label("rfm")', '1:2 the model rfm has no label "gold"; its labels are champions, loyal, lapsed'],
    [
      'label("rfm") in ["loyal", "lost"]',
      '1:28 the model rfm has no label "lost"; its labels are champions, loyal, lapsed',
    ],
    ['score("rfm") > 0.5', '1:8 the model rfm gives no score; ask for its label("rfm") or cluster("rfm")'],
  ])('asks about %s', (expression, question) => {
    expect(ask(expression)).toEqual([question]);
  });

  it.each([
    'performed("purchase", "7d") && count("product_view") == 0 && traits.address.city == "Leeds"',
    'sum("purchase", "properties.total.amount") > 0.0',
    'label("rfm") == "loyal" && cluster("rfm") == 1 && label("free") == "anything" && score("intent") > 0.5',
    'score("unknown_model") > 0.5 && f.spend > 1.0',
  ])('has nothing to ask about %s', (expression) => {
    expect(ask(expression)).toEqual([]);
  });

  it('asks about a name once, and about every name', () => {
    expect(ask('performed("a") && since("a") > "5m" && performed("b")')).toHaveLength(2);
  });

  it('asks about nothing that was sent where nothing was sent yet, or not every name is known', () => {
    const nothing = { ...known, seen: { events: new Map<string, Set<string>>(), isComplete: true } };
    const many = { ...known, seen: { ...known.seen, isComplete: false } };
    for (const what of [nothing, many]) {
      expect(ask('performed("Purchase") && traits.contry == "AT" && label("rfm") == "x"', what)).toHaveLength(1);
    }
  });
});
