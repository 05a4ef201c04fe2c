import type { IncomingEvent } from '../../src/events/event.model.js';
import type { FeatureDefinition } from '../../src/features/feature.model.js';
import type { ModelManifest } from '../../src/scoring/model-manifest.model.js';
import { aFeature } from '../support/a-feature.js';
import { readModelFixture } from '../support/model-fixtures.js';

/** A web shop: its events, and the features, segments and the model that are kept fresh for it. */

const DAY_MS = 86_400_000;
const EVENTS_PER_VISITOR = 15;
const IDENTIFY_SHARE = 0.05;
/** Of the reads: what a profile holds beside its identify call. */
const TRACKS_PER_KNOWN_VISITOR = 5;

const NAMES = ['product_view', 'product_view', 'product_view', 'catalog', 'search', 'add_to_cart', 'purchase', 'home'];

/** The multiplicative generator of Park and Miller, so that every run sees the same events. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

export interface EventsOptions {
  readonly count: number;
  /** Rounds share no visitor and no message. */
  readonly round: number;
  /** Events happened within the second before. */
  readonly nowMs: number;
  /** Whether they tell of browsers, campaigns and names, so that something can be found out; default: no. */
  readonly isTold?: boolean;
}

/** Visitors of fifteen events each; one event in twenty says who the visitor is, and two cookies may be one person. */
export function shopEvents({ count, round, nowMs, isTold = false }: EventsOptions): IncomingEvent[] {
  const next = random(42 + round);
  const visitors = Math.max(1, Math.floor(count / EVENTS_PER_VISITOR));
  return Array.from({ length: count }, (_, i) => {
    const visitor = Math.floor(next() * visitors);
    const messageId = `message-${String(round)}-${String(i)}`;
    const cookie = `cookie-${String(round)}-${String(visitor)}`;
    const timestampMs = nowMs - Math.floor(next() * 1_000);
    const user = visitor >> 1;
    const event =
      next() < IDENTIFY_SHARE
        ? anIdentify({ messageId, cookie, user: `user-${String(round)}-${String(user)}`, timestampMs })
        : aTrack({ messageId, cookie, timestampMs, next });
    return isTold ? told(event, user + round * visitors) : event;
  });
}

const USER_AGENT =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36';
const CAMPAIGN_URL = 'https://shop.example.com/products/blue-mug?utm_source=news&utm_campaign=autumn';

/** Names come again among people, surnames among some hundred. */
function told(event: IncomingEvent, user: number): IncomingEvent {
  const context = { ...CONTEXT, userAgent: USER_AGENT, page: { ...CONTEXT.page, url: CAMPAIGN_URL } };
  if (event.type !== 'identify') return { ...event, context };
  const names = {
    first_name: `first-${String(user % 97)}`,
    last_name: `last-${String((user * 31) % 499)}`,
    postcode: `LS${String(user % 1_009)}`,
  };
  return { ...event, context, traits: { ...event.traits, ...names } };
}

/** The cookie of a visitor of {@link knownVisitors}. */
export function knownCookie(visitor: number): string {
  return `known-cookie-of-visitor-${String(visitor)}`;
}

/** One profile a visitor, with every trait. @param from the number of the first */
export function knownVisitors(visitors: number, nowMs: number, from = 0): IncomingEvent[] {
  const next = random(7 + from);
  const events: IncomingEvent[] = [];
  for (let visitor = from; visitor < from + visitors; visitor++) {
    const who = { cookie: knownCookie(visitor), timestampMs: nowMs - Math.floor(next() * 1_000) };
    events.push(anIdentify({ ...who, messageId: `known-${String(visitor)}`, user: `known-user-${String(visitor)}` }));
    for (let i = 0; i < TRACKS_PER_KNOWN_VISITOR; i++) {
      events.push(aTrack({ ...who, messageId: `known-${String(visitor)}-${String(i)}`, next }));
    }
  }
  return events;
}

/** Whom time alone brings into {@link CART_SEGMENT}: at `firstMs`, and every `everyMs` from then on, rounded down. */
export function cartsDue(people: number, firstMs: number, everyMs: number): IncomingEvent[] {
  return Array.from({ length: people }, (_, i): IncomingEvent => {
    return {
      type: 'track',
      name: 'add_to_cart',
      messageId: `cart-${String(i)}`,
      identifiers: [{ ns: 'anonymous_id', value: `cart-cookie-${String(i)}` }],
      timestampMs: firstMs + Math.floor(i * everyMs) - CART_AGE_MS,
      context: CONTEXT,
    };
  });
}

interface Visit {
  readonly messageId: string;
  readonly cookie: string;
  readonly timestampMs: number;
}

function anIdentify({ messageId, cookie, user, timestampMs }: Visit & { readonly user: string }): IncomingEvent {
  return {
    type: 'identify',
    messageId,
    identifiers: [
      { ns: 'user_id', value: user },
      { ns: 'anonymous_id', value: cookie },
    ],
    timestampMs,
    traits: { plan: 'free', city: 'Leeds', language: 'en-GB', newsletter: true },
    context: CONTEXT,
  };
}

function aTrack({ messageId, cookie, timestampMs, next }: Visit & { readonly next: () => number }): IncomingEvent {
  return {
    type: 'track',
    name: NAMES[Math.floor(next() * NAMES.length)] ?? 'home',
    messageId,
    identifiers: [{ ns: 'anonymous_id', value: cookie }],
    timestampMs,
    properties: {
      sku: `sku-${String(Math.floor(next() * 200))}`,
      value: Math.floor(next() * 10_000) / 100,
      currency: 'GBP',
    },
    context: CONTEXT,
  };
}

const CONTEXT = { page: { path: '/products/blue-mug', referrer: 'https://search.example.com/' }, locale: 'en-GB' };

/** A call of the tracking API, as an item of a batch. */
export function asTrackingCall(event: IncomingEvent): Record<string, unknown> {
  const { type, name, messageId, identifiers, timestampMs = 0, properties, traits, context } = event;
  const valueOf = (ns: string): string | undefined => identifiers.find((each) => each.ns === ns)?.value;
  return {
    type,
    event: name,
    messageId,
    anonymousId: valueOf('anonymous_id'),
    userId: valueOf('user_id'),
    timestamp: new Date(timestampMs).toISOString(),
    properties,
    traits,
    context,
  };
}

function feature(name: string, more: Partial<FeatureDefinition>): FeatureDefinition {
  return aFeature(name, { view: 'web', events: ['product_view'], ...more });
}

const VALUE = { value: 'properties.value', type: 'double' } as const;

export const FEATURES: readonly FeatureDefinition[] = [
  ...['product_view', 'add_to_cart', 'purchase', 'search'].flatMap((event) => [
    feature(`${event}_1h`, { events: [event], windowMs: 3_600_000 }),
    feature(`${event}_7d`, { events: [event], windowMs: 7 * DAY_MS }),
    feature(`${event}_30d`, { events: [event], windowMs: 30 * DAY_MS }),
  ]),
  feature('spend', { events: ['purchase'], aggregate: 'sum', ...VALUE }),
  feature('spend_30d', { events: ['purchase'], aggregate: 'sum', ...VALUE, windowMs: 30 * DAY_MS }),
  feature('avg_price_7d', { aggregate: 'avg', ...VALUE, windowMs: 7 * DAY_MS }),
  feature('max_price', { aggregate: 'max', ...VALUE }),
  feature('skus_7d', { aggregate: 'distinct', value: 'properties.sku', windowMs: 7 * DAY_MS }),
  feature('last_sku', { aggregate: 'last', value: 'properties.sku', type: 'string' }),
  feature('first_sku', { aggregate: 'first', value: 'properties.sku', type: 'string' }),
  feature('days_since_visit', { aggregate: 'recency', events: [], unitMs: DAY_MS }),
];

const WIDE_WINDOWS = { '1h': 3_600_000, '1d': DAY_MS, '7d': 7 * DAY_MS, '30d': 30 * DAY_MS };

/** Fifty features, for those who read many at once. */
export const WIDE_FEATURES: readonly FeatureDefinition[] = [
  ...Object.entries(WIDE_WINDOWS).flatMap(([window, windowMs]) => [
    ...['product_view', 'add_to_cart', 'purchase', 'search', 'catalog', 'home'].map((event) =>
      feature(`wide_${event}_${window}`, { events: [event], windowMs }),
    ),
    ...['product_view', 'add_to_cart', 'purchase', 'search', 'catalog'].map((event) =>
      feature(`wide_${event}_value_${window}`, { events: [event], aggregate: 'sum', ...VALUE, windowMs }),
    ),
  ]),
  feature('wide_max_price', { aggregate: 'max', ...VALUE }),
  feature('wide_min_price', { aggregate: 'min', ...VALUE }),
  feature('wide_avg_price_7d', { aggregate: 'avg', ...VALUE, windowMs: 7 * DAY_MS }),
  feature('wide_last_sku', { aggregate: 'last', value: 'properties.sku', type: 'string' }),
  feature('wide_first_sku', { aggregate: 'first', value: 'properties.sku', type: 'string' }),
  feature('wide_days_since_visit', { aggregate: 'recency', events: [], unitMs: DAY_MS }),
].map((each) => ({ ...each, view: 'wide' }));

/** Whoever has a full cart for five minutes enters it. */
export const CART_SEGMENT = 'cart_abandoned';
const CART_AGE_MS = 300_000;

export const SEGMENTS: Readonly<Record<string, string>> = {
  viewed_not_bought: 'performed("product_view", "7d") && !performed("purchase", "7d")',
  cart_abandoned:
    'since("add_to_cart") >= "5m" && since("add_to_cart") < "24h" && (!performed("purchase") || last("purchase") < last("add_to_cart"))',
  keen: 'f.product_view_1h >= 3',
  big_spender: 'f.spend > 200',
  lapsed: 'f.spend > 50 && since("purchase") > "90d"',
  browsers: 'f.product_view_30d > 5 && f.purchase_30d == 0',
  free_plan: 'traits.plan == "free"',
  explorers: 'f.skus_7d >= 4 && f.search_7d >= 1',
};

/** With those above and {@link ENTERED_SEGMENT} they are twenty. */
export const MORE_SEGMENTS: Readonly<Record<string, string>> = {
  just_viewed: 'since("product_view") < "30m"',
  searching: 'f.search_1h >= 2',
  loyal: 'f.purchase_30d >= 3 && f.spend_30d > 100',
  gone_quiet: 'since("product_view") >= "1d" && since("product_view") < "30d"',
  bargain_hunters: 'f.avg_price_7d < 20 && f.product_view_7d >= 3',
  premium: 'f.max_price > 90',
  carts_today: 'f.add_to_cart_1h >= 1 && f.purchase_1h == 0',
  paying: 'traits.plan != "free"',
  readers: 'traits.newsletter == true',
  returning: 'f.days_since_visit < 7 && f.product_view_30d >= 2',
  second_purchase: 'f.purchase_7d >= 2',
};

/** In place of three of {@link MORE_SEGMENTS}, as people sort customers by a score. */
export const FOREST_SEGMENTS: Readonly<Record<string, string>> = {
  returning: 'score("likely_buyer") >= 0.8',
  second_purchase: 'score("likely_buyer") < 0.2 && f.purchase_7d == 0',
  premium: 'score("likely_buyer") >= 0.5 && f.max_price > 90',
};

export const MODEL = 'likely_buyer';
/** Has the model asked at each event of a profile. */
export const SCORED_SEGMENT = { key: 'likely_buyers', expression: `score("${MODEL}") >= 0.5` };
/** What a single `signup` makes a visitor a member of. */
export const ENTERED_SEGMENT = { key: 'signed_up', expression: 'count("signup", "7d") >= 1', event: 'signup' };

/** What a query for a page asks of a profile: the inputs of the model, too. */
export const PAGE_FEATURES = [
  'product_view_1h',
  'product_view_7d',
  'product_view_30d',
  'add_to_cart_7d',
  'purchase_30d',
  'search_7d',
  'spend',
  'spend_30d',
  'avg_price_7d',
  'skus_7d',
];
/** Traits that page views are told. */
export const EDGE_TRAITS = ['plan', 'city'];
export const PAGE_TRAITS = ['plan', 'city', 'language', 'newsletter'];

/** A forest, of twenty trees unless another is named, that reads ten features. It was trained on other columns: its cost counts, not its answer. */
export async function shopModel(
  name: 'benign_forest' | 'benign_forest_100' = 'benign_forest',
): Promise<{ bytes: Uint8Array; manifest: ModelManifest }> {
  const { bytes, manifest } = await readModelFixture(name);
  const names = new Map(manifest.featureService.features.map((name, i) => [name, PAGE_FEATURES[i] ?? name]));
  const renamed = (name: string): string => names.get(name) ?? name;
  const renamedKeys = <T>(record: Readonly<Record<string, T>>): Record<string, T> =>
    Object.fromEntries(Object.entries(record).map(([name, value]) => [renamed(name), value]));
  return {
    bytes,
    manifest: {
      ...manifest,
      key: MODEL,
      featureService: { name: 'likely_buyer_v1', features: PAGE_FEATURES },
      inputs: manifest.inputs.map((input) => ({ ...input, features: input.features.map(renamed) })),
      fill: renamedKeys(manifest.fill),
      goldenVectors: manifest.goldenVectors.map((vector) => ({ ...vector, features: renamedKeys(vector.features) })),
    },
  };
}
