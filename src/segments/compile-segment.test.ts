import { describe, expect, it } from 'vitest';
import type { FeatureDefinition, FeatureType } from '../features/feature.model.js';
import { compileSegment, type CompiledSegment } from './compile-segment.js';
import { NaiveProfile, type NaiveEvent, type NaiveFacts } from '../../test/support/naive-profile.js';
import { parseSegment } from './parse-segment.js';
import { NO_TERMS, parseRule, type MembershipTerms } from './segment-rule.model.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const NOW = Date.UTC(2026, 2, 1, 12, 0, 0);

const FEATURES: readonly (readonly [string, FeatureType])[] = [
  ['spend_lifetime', 'double'],
  ['orders', 'int'],
  ['category', 'string'],
  ['loyal', 'bool'],
  ['brands', 'string_list'],
  ['spend_by', 'double_map'],
];

function registered(name: string, type: FeatureType): FeatureDefinition {
  const common = { view: 'v', description: '', events: [], source: null, where: null, value: null, windowMs: null };
  return { name, type, aggregate: 'last', unitMs: null, limit: null, ...common };
}

interface World {
  readonly segment: CompiledSegment;
  readonly profile: NaiveProfile;
  truth(t: number): boolean;
  flip(t: number): number;
}

function world(source: string, facts: NaiveFacts): World {
  const parsed = parseSegment(source, { features: new Map(FEATURES) });
  const definitions = [...FEATURES.map(([name, type]) => registered(name, type)), ...parsed.requires.inlineFeatures];
  const profile = new NaiveProfile(definitions, facts);
  const segment = compileSegment(parsed, { key: 's', segmentId: 1, version: 1 }, profile.indexOf);
  const truth = (t: number): boolean => segment.evaluate(profile, t);
  return { segment, profile, truth, flip: (t) => segment.nextFlip(profile, t, truth(t)) };
}

function did(name: string, ts: number, total = 0): NaiveEvent {
  return { name, ts, total };
}

/** The instants at which the truth changes from `t` on, as one learns them by always sleeping until the next flip. */
function flipsFrom(w: World, t: number): readonly (readonly [number, boolean])[] {
  const flips: [number, boolean][] = [];
  let truth = w.truth(t);
  for (let at = w.flip(t), steps = 0; at < Infinity && steps < 1000; at = w.flip(at), steps++) {
    if (w.truth(at) === truth) continue;
    truth = !truth;
    flips.push([at, truth]);
  }
  return flips;
}

describe('definitions as marketers write them', () => {
  const abandoned = 'since("add_to_cart") >= "5m" && since("add_to_cart") < "24h" && count("purchase", "24h") == 0';

  it('cart abandoned: from 5 minutes after the cart to the millisecond, until a day has gone', () => {
    const w = world(abandoned, { events: [did('add_to_cart', NOW)] });
    expect(w.truth(NOW + 1)).toBe(false);
    expect(flipsFrom(w, NOW + 1)).toEqual([
      [NOW + 5 * MINUTE, true],
      [NOW + DAY, false],
    ]);
  });

  it('cart abandoned: not while a purchase lies within a day', () => {
    const bought = NOW - 23 * HOUR;
    const w = world(abandoned, { events: [did('purchase', bought), did('add_to_cart', NOW)] });
    expect(flipsFrom(w, NOW + 1)).toEqual([
      [bought + DAY, true],
      [NOW + DAY, false],
    ]);
    expect(world(abandoned, { events: [did('purchase', NOW)] }).flip(NOW + 1)).toBe(Infinity);
  });

  const sinceCart =
    'since("add_to_cart") >= "5m" && (!performed("purchase") || last("purchase") < last("add_to_cart"))';

  it('no purchase since the last cart', () => {
    const cart = did('add_to_cart', NOW);
    expect(flipsFrom(world(sinceCart, { events: [cart] }), NOW + 1)).toEqual([[NOW + 5 * MINUTE, true]]);
    const before = world(sinceCart, { events: [did('purchase', NOW - 1), cart] });
    expect(flipsFrom(before, NOW + 1)).toEqual([[NOW + 5 * MINUTE, true]]);
    const after = world(sinceCart, { events: [cart, did('purchase', NOW + 1)] });
    expect(flipsFrom(after, NOW + 2)).toEqual([]);
  });

  it('viewed in 7 days and did not buy', () => {
    const source = 'performed("product_view", "7d") && count("purchase", "7d") == 0';
    const viewed = did('product_view', NOW);
    expect(flipsFrom(world(source, { events: [viewed] }), NOW + 1)).toEqual([[NOW + 7 * DAY, false]]);
    const w = world(source, { events: [did('purchase', NOW - 3 * DAY), viewed] });
    expect(w.truth(NOW + 1)).toBe(false);
    expect(flipsFrom(w, NOW + 1)).toEqual([
      [NOW + 4 * DAY, true],
      [NOW + 7 * DAY, false],
    ]);
  });

  it.each([
    ['"acme" in f.brands && f.brands[0] == "acme" && f.brands.exists(b, b.startsWith("z"))', true],
    ['f.spend_by["shoes"] > 10 && "shoes" in f.spend_by && size(f.spend_by) == 2', true],
    ['has(f.spend_by["shoes"]) && !has(f.spend_by.gloves) && !has(f.spend_by["toString"])', true],
    ['f.spend_by["gloves"] < 10', false],
    ['!(f.spend_by["gloves"] < 10)', false],
    ['f.spend_by["gloves"] < 10 || f.spend_by.hats == 1', true],
    ['f.brands[2] == "acme"', false],
  ])('items of lists and maps: %s', (source, truth) => {
    const values = { brands: ['acme', 'zeta'], spend_by: { shoes: 12.5, hats: 1 } };
    expect(world(source, { values }).truth(NOW)).toBe(truth);
    expect(world(source, {}).truth(NOW)).toBe(false);
  });

  it.each([
    ['near(traits.lat, traits.lon, 48.8566, 2.3522, 10)', true],
    ['near(traits.lat, traits.lon, 51.5074, -0.1278, 300)', false],
    ['distance_km(traits.lat, traits.lon, 51.5074, -0.1278) < 350', true],
    ['350 > distance_km(51.5074, -0.1278, traits.lat, traits.lon)', true],
    ['within_box(traits.lat, traits.lon, 47, 1, 49, 3)', true],
    ['within_box(traits.lat, traits.lon, 47, 1, 48, 3)', false],
    ['near(double(traits.text), traits.lon, 48.8566, 2.3522, 10)', true],
    ['near(traits.text, traits.lon, 48.8566, 2.3522, 10) || true', true],
    ['!near(traits.text, traits.lon, 48.8566, 2.3522, 10)', false],
    ['!within_box(traits.lat, traits.none, 47, 1, 48, 3)', false],
    ['!near(traits.lat, traits.far, 48.8566, 2.3522, 10)', false],
    ['traits.shops.exists(shop, near(shop.lat, shop.lon, traits.lat, traits.lon, 5))', true],
  ])('places: %s', (source, truth) => {
    const shops = [
      { lat: 0, lon: 0 },
      { lat: 48.88, lon: 2.34 },
    ];
    const traits = { lat: 48.86, lon: 2.35, text: '48.86', far: 190, shops };
    const w = world(source, { traits });
    expect(w.truth(NOW)).toBe(truth);
    expect(w.flip(NOW)).toBe(Infinity);
  });

  it('lapsed big spender: more than 90 days, so one millisecond later', () => {
    const source = 'f.spend_lifetime > 1000 && since("order_completed") > "90d"';
    const events = [did('order_completed', NOW)];
    const rich = world(source, { events, values: { spend_lifetime: 1500 } });
    expect(flipsFrom(rich, NOW + 1)).toEqual([[NOW + 90 * DAY + 1, true]]);
    expect(world(source, { events, values: { spend_lifetime: 900 } }).flip(NOW + 1)).toBe(Infinity);
    expect(world(source, { values: { spend_lifetime: 1500 } }).truth(NOW)).toBe(false);
  });

  it('compared products and read reviews', () => {
    const source = 'distinct("product_view", "properties.total", "1d") >= 3 && count("review_read", "1d") >= 2';
    const views = [did('product_view', NOW - HOUR, 1), did('product_view', NOW, 2), did('product_view', NOW, 3)];
    const reviews = [did('review_read', NOW - 2 * HOUR), did('review_read', NOW)];
    expect(world(source, { events: [...views, did('review_read', NOW)] }).truth(NOW + 1)).toBe(false);
    const w = world(source, { events: [...views, ...reviews] });
    expect(w.truth(NOW + 1)).toBe(true);
    expect(flipsFrom(w, NOW + 1)).toEqual([[NOW - 2 * HOUR + DAY, false]]);
  });

  it('likely to buy, and has not bought', () => {
    const source = 'score("purchase_intent") >= 0.6 && count("purchase", "24h") == 0';
    const intent = (score: number, validUntil = Infinity): NaiveFacts => ({
      models: { purchase_intent: { score, validUntil } },
      events: [did('purchase', NOW)],
    });
    expect(flipsFrom(world(source, intent(0.6)), NOW + 1)).toEqual([[NOW + DAY, true]]);
    expect(world(source, intent(0.5)).truth(NOW + DAY)).toBe(false);
    expect(world(source, {}).truth(NOW)).toBe(false);
  });
});

describe('absent values', () => {
  it.each([
    ['f.orders > 1', false],
    ['!(f.orders > 1)', false],
    ['f.orders > 1 || true', true],
    ['true || f.orders > 1', true],
    ['!(f.orders > 1 && false)', true],
    ['!(false && f.orders > 1)', true],
    ['!(f.orders > 1 || false)', false],
    ['f.loyal ? true : true', false],
    ['has(f.orders)', false],
    ['!has(f.orders)', true],
    ['!has(traits.a)', true],
    ['!has(traits.a.b.c)', true],
    ['has(traits.known)', true],
    ['has(traits.nothing)', false],
    ['traits.nothing == traits.nothing', false],
    ['traits.address.city == "Linz" && !has(traits.address.street)', true],
    ['last("never") > 0 || true', true],
    ['since("never") > "1s"', false],
    ['!(since("never") > "1s")', false],
    ['traits.known in [1, 2]', false],
    ['traits.a in [1, 2] || true', true],
    ['1 / 0 == 1 || true', true],
    ['!(1 / 0 == 1)', false],
    ['traits.constructor == 1 || !has(traits.address.constructor)', true],
  ])('%s is %s', (source, expected) => {
    const traits = { known: 'x', nothing: null, address: { city: 'Linz', street: null } };
    expect(world(source, { traits }).truth(NOW)).toBe(expected);
  });
});

describe('values', () => {
  const facts: NaiveFacts = {
    values: { spend_lifetime: 120, orders: 7, category: 'shoes', loyal: true },
    traits: { tags: ['a', 'b', 'Ünï'], n: 2, s: '12', o: { k: 1 } },
    models: {
      m: { score: 0.25, label: 3, cluster: 3, validUntil: Infinity },
      c: { label: 'champions', validUntil: Infinity },
    },
    segments: ['member'],
  };

  it.each([
    'f.spend_lifetime == 120 && f.orders == 7 && f.loyal && f.category == "shoes"',
    'f.orders / 2 == 3 && f.orders % 2 == 1 && -f.orders / 2 == -3',
    'f.spend_lifetime / 7 > 17.1 && f.spend_lifetime / 7 < 17.2',
    'double(f.orders) / 2 == 3.5 && traits.n / 4 == 0.5 && traits.n + 1 == 3',
    'int(traits.s) == 12 && double(traits.s) == 12 && string(traits.n) == "2" && int(2.9) == 2',
    'f.category in ["hats", "shoes"] && !(f.category in ["hats"]) && traits.n in [1, 2.0]',
    '"a" in traits.tags && "k" in traits.o && traits.o["k"] == 1 && traits.tags[1] == "b"',
    'traits.tags == ["a", "b", "Ünï"] && traits.tags != ["a"] && traits.n != "2"',
    'traits.tags.exists(x, x == "b") && !traits.tags.all(x, x == "b") && traits.tags.exists_one(x, x == "b")',
    'traits.tags.filter(x, x != "a").size() == 2 && traits.tags.map(x, x.size())[2] == 3',
    'traits.tags.map(x, x.upperAscii()).exists(x, x == "ÜNï")',
    '"😀a".size() == 2 && "  a ".trim() == "a" && "abc".contains("b") && "abc".endsWith("bc")',
    'regex(f.category, "^s.*s$") && !regex(f.category, "^h") && regex("xx-1-yy", "[0-9]")',
    'score("m") == 0.25 && cluster("m") == 3 && label("m") == "3" && label("c") == "champions"',
    '!(cluster("c") == 3) || true',
    'segment("member") && !segment("other")',
    '(f.loyal ? "x" : "y") == "x" && (f.loyal && false ? 1 : 2.5) == 2.5',
    'timestamp("2026-01-01") == timestamp("2026-01-01T01:00:00+01:00")',
    '9007199254740991 + 1 > 0 || true',
    '!(9007199254740991 + 1 > 0) || true',
    'traits.tags.exists(x, f.category == "shoes" && x == "a")',
  ])('%s', (source) => {
    expect(world(source, facts).truth(NOW)).toBe(true);
  });

  it('a pattern sees the first 1,024 characters of a text', () => {
    const traits = { long: `${'x'.repeat(1_023)}yz` };
    expect(world('regex(traits.long, "^x+y$") && !regex(traits.long, "z")', { traits }).truth(NOW)).toBe(true);
    expect(world('traits.long.contains("z")', { traits }).truth(NOW)).toBe(true);
  });

  it('overflow of an int is an error, not a rounded number', () => {
    expect(world('9007199254740991 + 1 > 0', {}).truth(NOW)).toBe(false);
    expect(world('!(9007199254740991 + 1 > 0)', {}).truth(NOW)).toBe(false);
  });
});

describe('the next flip', () => {
  it('is never where nothing depends on time', () => {
    const source = 'traits.a == 1 && segment("x") && last("e") > 5 && performed("e")';
    const w = world(source, { events: [did('e', NOW)] });
    expect(w.segment.timeDependent).toBe(false);
    expect(w.flip(NOW + 1)).toBe(Infinity);
    expect(world('f.orders > 3', { values: { orders: 4 } }).flip(NOW)).toBe(Infinity);
  });

  it('skips the departures that a second false condition hides', () => {
    const events = [0, 1, 2, 3].map((i) => did('a', NOW + i * MINUTE));
    const w = world('count("a", "1h") < 2 && since("b") > "2h"', { events: [...events, did('b', NOW)] });
    expect(w.flip(NOW + 10 * MINUTE)).toBe(NOW + 2 * HOUR + 1);
  });

  it('counts equal times as one departure', () => {
    const w = world('count("a", "1h") == 1', { events: [did('a', NOW), did('a', NOW), did('a', NOW - 1)] });
    expect(w.flip(NOW + 1)).toBe(Infinity);
    const v = world('count("a", "1h") != 2', { events: [did('a', NOW), did('a', NOW), did('a', NOW - 1)] });
    expect(flipsFrom(v, NOW + 1)).toEqual([
      [NOW - 1 + HOUR, false],
      [NOW + HOUR, true],
    ]);
  });

  it('heeds every item of a list, not only the last one', () => {
    const facts = { events: [did('a', NOW)], traits: { tags: ['a', 'b'] } };
    const all = world('traits.tags.all(x, x == "b" || performed("a", "1h"))', facts);
    expect(flipsFrom(all, NOW + 1)).toEqual([[NOW + HOUR, false]]);
    const chosen = world('traits.tags.all(x, x == "b" ? true : performed("a", "1h"))', facts);
    expect(flipsFrom(chosen, NOW + 1)).toEqual([[NOW + HOUR, false]]);
  });

  it('waits for a score until the next whole 5 minutes after its inputs change, and only where the score matters', () => {
    const model = (validUntil: number): NaiveFacts => ({
      models: { m: { score: 0.7, validUntil } },
      events: [did('purchase', NOW)],
    });
    const alone = 'score("m") >= 0.6';
    expect(world(alone, model(NOW + HOUR)).flip(NOW + 1)).toBe(NOW + HOUR);
    for (const from of [NOW + 1, NOW + 4, NOW + 5, NOW + 3 * MINUTE]) {
      expect(world(alone, model(NOW + 5)).flip(from)).toBe(NOW + 5 * MINUTE);
    }
    expect(world(alone, model(NOW + 5 * MINUTE + 1)).flip(NOW + 1)).toBe(NOW + 10 * MINUTE);
    expect(world(alone, model(Infinity)).flip(NOW + 1)).toBe(Infinity);
    expect(world(alone, {}).flip(NOW + 1)).toBe(Infinity);
    const hybrid = 'score("m") >= 0.6 && count("purchase", "24h") == 0';
    expect(world(hybrid, model(NOW + HOUR)).flip(NOW + 1)).toBe(NOW + DAY);
  });

  it('does not judge the future by a score that may be outdated by then', () => {
    const facts = { models: { m: { score: 0.1, validUntil: NOW + HOUR } }, events: [did('a', NOW)] };
    // By the old score the truth at the second candidate would still be false; by the new one it may be true.
    const w = world('score("m") >= 0.6 && since("a") > "2h"', facts);
    expect(w.flip(NOW + 1)).toBe(NOW + 2 * HOUR + 1);
  });

  it('gives up after 8 candidates with a harmless wake-up', () => {
    const events = Array.from({ length: 40 }, (_, i) => did('a', NOW + i * 10 * MINUTE, 1));
    const w = world('avg("a", "properties.total", "11h") * 1 > 0.5', { events });
    const t = NOW + 400 * MINUTE;
    const woken = w.flip(t);
    expect(w.truth(woken)).toBe(true);
    expect(woken).toBe(NOW + 7 * 10 * MINUTE + 5 * MINUTE + 11 * HOUR);
    expect(flipsFrom(w, t)).toEqual([[NOW + 39 * 10 * MINUTE + 5 * MINUTE + 11 * HOUR, false]]);
  });

  it('always lies ahead', () => {
    const stale = world('f.orders + 1 > 3', { values: { orders: 1 } });
    const ctx = Object.assign(Object.create(stale.profile) as NaiveProfile, {
      feature: () => ({ status: 'PRESENT', value: 1, eventTs: null, validUntil: NOW - 5, approximate: false }),
    });
    expect(stale.segment.nextFlip(ctx, NOW, false)).toBeGreaterThan(NOW);
  });
});

describe('a segment that remembers', () => {
  const [enter, exit] = ['f.orders >= 5', 'f.orders < 3 || !performed("visit", "1h")'];
  const parsed = parseRule({ expression: enter, exitExpression: exit }, { features: new Map(FEATURES) });

  function remembering(terms: Partial<MembershipTerms>, orders: number, events: readonly NaiveEvent[] = []) {
    const definitions = [registered('orders', 'int'), ...parsed.requires.inlineFeatures];
    const profile = new NaiveProfile(definitions, { values: { orders }, events: [did('visit', NOW - 1), ...events] });
    const identity = { key: 's', segmentId: 1, version: 1 };
    const segment = compileSegment(parsed, identity, profile.indexOf, undefined, { ...NO_TERMS, ...terms });
    return { segment, profile };
  }

  it('reads what either condition does', () => {
    const { segment } = remembering({}, 4);
    expect(segment).toMatchObject({ remembers: true, timeDependent: true });
    expect(segment.featureDeps).toHaveLength(2);
  });

  it('lets those between its conditions in only if they were', () => {
    const { segment, profile } = remembering({}, 4);
    expect([segment.evaluate(profile, NOW), segment.evaluate(profile, NOW, NOW - 5)]).toEqual([false, true]);
    // They leave when the exit condition becomes true; nobody else is to be looked at before.
    expect(segment.nextFlip(profile, NOW, true, NOW - 5)).toBe(NOW - 1 + HOUR);
  });

  it('is left by nobody within the dwell, and then at once', () => {
    const { segment, profile } = remembering({ minDwellMs: DAY }, 1);
    const since = NOW - MINUTE;
    expect(segment.evaluate(profile, NOW, since)).toBe(true);
    expect(segment.nextFlip(profile, NOW, true, since)).toBe(since + DAY);
    expect(segment.evaluate(profile, since + DAY - 1, since)).toBe(true);
    expect(segment.evaluate(profile, since + DAY, since)).toBe(false);
  });

  it('is in its period alone, which a dwell does not outlast', () => {
    const { segment, profile } = remembering({ minDwellMs: DAY, activeFrom: NOW, activeUntil: NOW + HOUR / 2 }, 5);
    expect([NOW - 1, NOW, NOW + HOUR / 2].map((t) => segment.evaluate(profile, t, NOW - 2))).toEqual([
      false,
      true,
      false,
    ]);
    expect(segment.nextFlip(profile, NOW - MINUTE, false)).toBe(NOW);
    expect(segment.nextFlip(profile, NOW, true, NOW)).toBe(NOW + HOUR / 2);
    expect(segment.nextFlip(profile, NOW + HOUR, false)).toBe(Infinity);
  });
});

describe('compiling', () => {
  it('refuses a set that lacks a feature', () => {
    const parsed = parseSegment('f.orders > 1', { features: new Map(FEATURES) });
    expect(() => compileSegment(parsed, { key: 's', segmentId: 1, version: 1 }, () => undefined)).toThrow(
      /reads the feature orders, which does not exist/,
    );
  });

  it('tells what the segment depends on', () => {
    const w = world('f.orders > 1 && count("a", "1h") == 0 && traits.x == 1 && score("m") > 0.5 && segment("o")', {});
    expect(w.segment).toMatchObject({
      key: 's',
      segmentId: 1,
      version: 1,
      featureDeps: [1, 6],
      traitDeps: ['x'],
      modelDeps: ['m'],
      segmentDeps: ['o'],
      timeDependent: true,
    });
  });
});
