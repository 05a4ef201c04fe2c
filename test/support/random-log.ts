import type { IncomingEvent, JsonObject } from '../../src/events/event.model.js';
import type { FeatureDefinition } from '../../src/features/feature.model.js';
import { aFeature } from './a-feature.js';
import { DAY_MS, HOUR_MS, MINUTE_MS, START_MS, type World } from './world.js';

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export type Random = () => number;

export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function pick<T>(random: Random, items: readonly T[]): T {
  return items[Math.floor(random() * items.length)] as T;
}

export function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const order = items.map((item) => ({ item, key: random() }));
  return order.sort((a, b) => a.key - b.key).map(({ item }) => item);
}

/** Events accepted together, after the clock moved on. */
export interface LogStep {
  readonly advanceMs: number;
  readonly historical: boolean;
  readonly events: readonly IncomingEvent[];
}

export interface LogShape {
  readonly steps: number;
  readonly maxEventsPerStep: number;
  /** The clock moves on by one of these before each step. */
  readonly advancesMs: readonly number[];
  /** Share of the steps that load history. */
  readonly historicalShare: number;
  /** Persons; each has a few identifiers, and some identifiers are used by several. */
  readonly people: number;
}

export const NAMES = ['view', 'cart', 'buy'] as const;

/** A log over few people who share devices, mix up accounts, and send late. */
export function randomLog(random: Random, shape: LogShape): LogStep[] {
  let clock = START_MS;
  let messages = 0;
  const steps: LogStep[] = [];
  for (let i = 0; i < shape.steps; i++) {
    const advanceMs = pick(random, shape.advancesMs);
    clock += advanceMs;
    const count = 1 + Math.floor(random() * shape.maxEventsPerStep);
    const events = Array.from({ length: count }, () =>
      randomEvent(random, `m${String(messages++)}`, clock, shape.people),
    );
    steps.push({ advanceMs, historical: random() < shape.historicalShare, events });
  }
  return steps;
}

const LATENESS_MS = [0, 0, 0, 1, 999, 7 * MINUTE_MS, HOUR_MS, 14 * HOUR_MS, 3 * DAY_MS];

function randomEvent(random: Random, messageId: string, now: number, people: number): IncomingEvent {
  const isIdentify = random() < 0.2;
  return {
    type: isIdentify ? 'identify' : 'track',
    ...(isIdentify ? {} : { name: pick(random, NAMES) }),
    messageId,
    identifiers: randomIdentifiers(random, people, isIdentify),
    timestampMs: now - pick(random, LATENESS_MS),
    properties: { total: Math.floor(random() * 5000) / 100, sku: `s${String(Math.floor(random() * 4))}` },
    ...(isIdentify ? { traits: randomTraits(random) } : {}),
  };
}

function randomTraits(random: Random): JsonObject {
  return random() < 0.7 ? { plan: pick(random, ['free', 'pro']) } : { city: pick(random, ['Leeds', 'York', 'Bath']) };
}

function randomIdentifiers(random: Random, people: number, isIdentify: boolean): { ns: string; value: string }[] {
  const person = Math.floor(random() * people);
  const cookie = { ns: 'anonymous_id', value: `cookie-${String(person)}-${String(Math.floor(random() * 3))}` };
  if (!isIdentify && random() < 0.7) return [cookie];
  const identifiers = [cookie];
  // Now and then somebody else's account on this device: a limit is broken, and what was joined may fall apart.
  const owner = random() < 0.15 ? Math.floor(random() * people) : person;
  if (random() < 0.7) identifiers.push({ ns: 'user_id', value: `user-${String(owner)}` });
  if (random() < 0.5) identifiers.push({ ns: 'email', value: `p${String(owner)}@example.com` });
  if (random() < 0.2) identifiers.push({ ns: 'crm_id', value: `crm-${String(owner)}` });
  return identifiers;
}

/** One feature of each kind, over the events of {@link randomLog}. */
export const SOME_FEATURES: readonly FeatureDefinition[] = [
  aFeature('views_1h', { events: ['view'], windowMs: HOUR_MS }),
  aFeature('views_2d', { events: ['view'], windowMs: 2 * DAY_MS }),
  aFeature('seen', {}),
  aFeature('spend', { aggregate: 'sum', events: ['buy'], value: 'properties.total', type: 'double' }),
  aFeature('spend_1d', {
    aggregate: 'sum',
    events: ['buy'],
    value: 'properties.total',
    windowMs: DAY_MS,
    type: 'double',
  }),
  aFeature('dearest', { aggregate: 'max', value: 'properties.total', windowMs: 20 * DAY_MS, type: 'double' }),
  aFeature('mean_cart', { aggregate: 'avg', events: ['cart'], value: 'properties.total', type: 'double' }),
  aFeature('skus', { aggregate: 'distinct', value: 'properties.sku', windowMs: 13 * HOUR_MS }),
  aFeature('first_sku', { aggregate: 'first', value: 'properties.sku', type: 'string' }),
  aFeature('last_sku', { aggregate: 'last', events: ['view'], value: 'properties.sku', type: 'string' }),
  aFeature('hours_since_buy', { aggregate: 'recency', events: ['buy'], unitMs: HOUR_MS }),
];

export const SOME_SEGMENTS: Readonly<Record<string, string>> = {
  keen: 'count("view", "1h") >= 2',
  abandoned: 'since("cart") >= "5m" && since("cart") < "24h" && count("buy", "24h") == 0',
  never_bought: '!performed("buy")',
  big: 'f.spend_1d > 20 || traits.plan == "pro"',
  explorer: 'f.skus >= 2 && f.views_2d > 1',
  keen_and_big: 'segment("keen") && segment("big")',
  stale: 'f.hours_since_buy >= 2',
};

export async function defineSome(
  world: Pick<World, 'defineFeatures' | 'defineSegment' | 'drain'>,
  more: readonly FeatureDefinition[] = [],
): Promise<void> {
  await world.defineFeatures([...SOME_FEATURES, ...more]);
  for (const [key, expression] of Object.entries(SOME_SEGMENTS)) await world.defineSegment(key, expression);
  await world.drain();
}

/** Accepts the steps, moving the clock; applies nothing, unless `afterStep` does. */
export async function acceptLog(
  world: World,
  steps: readonly LogStep[],
  afterStep: (index: number) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  for (const [index, { advanceMs, historical, events }] of steps.entries()) {
    world.clock.advance(advanceMs);
    await world.accept(events, { historical });
    await afterStep(index);
  }
}
