import { FeatureSet } from '../../src/features/feature-set.model.js';
import type { Aggregate, FeatureDefinition, FeatureEvent } from '../../src/features/feature.model.js';
import { streamsOf } from '../../src/features/stream.model.js';

/**
 * Cost of one profile's feature state: about forty streams, a thousand events in ninety days. Prints one line of JSON;
 * times are microseconds of CPU,
 * the median of several rounds. `streamsAlone` is what single streams cost.
 *
 * Usage: npx tsx test/bench/feature-state.bench.ts
 */

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NOW = 20_000 * DAY_MS + 7 * HOUR_MS;
const EVENTS = 1_000;
const NAMES = ['page', 'product_view', 'search', 'add_to_cart', 'order_completed', 'email_opened', 'review_read'];
const NAME_SHARES = [0.45, 0.3, 0.1, 0.06, 0.02, 0.05, 0.02];
const ROUNDS = 15;

/** A linear congruential generator: the same profile in every run. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function feature(
  aggregate: Aggregate,
  event: string,
  windowDays: number | null,
  more: Partial<FeatureDefinition> = {},
): FeatureDefinition {
  const numeric = aggregate === 'sum' || aggregate === 'avg' || aggregate === 'max' || aggregate === 'min';
  const valued = numeric || aggregate === 'distinct' || aggregate === 'first' || aggregate === 'last';
  const definition = {
    view: 'web',
    description: '',
    aggregate,
    events: event === '' ? [] : [event],
    source: null,
    where: null,
    value: numeric ? 'properties.total' : valued ? 'properties.sku' : null,
    windowMs: windowDays === null ? null : windowDays * DAY_MS,
    unitMs: aggregate === 'recency' ? DAY_MS : null,
    limit: aggregate === 'times' ? 2 : null,
    type: 'int' as const,
    ...more,
  };
  return { ...definition, name: JSON.stringify(Object.values(definition)) };
}

const DEFINITIONS: readonly FeatureDefinition[] = [
  ...NAMES.flatMap((name) => [
    feature('count', name, 1),
    feature('count', name, 7),
    feature('count', name, 30),
    feature('count', name, 90),
    feature('times', name, null),
    feature('recency', name, null),
  ]),
  ...NAMES.slice(0, 4).map((name) => feature('count', name, 1 / 24)),
  feature('count', '', null),
  feature('count', 'page', 30, { where: "properties.path == '/help'" }),
  feature('sum', 'order_completed', 90),
  feature('avg', 'order_completed', 90),
  feature('sum', 'order_completed', null),
  feature('max', 'order_completed', 90),
  feature('sum', 'add_to_cart', 7, { where: 'properties.total > 10.0' }),
  feature('min', 'product_view', 30),
  feature('max', 'product_view', 30),
  feature('first', 'page', null),
  feature('last', 'page', null),
  feature('last', 'product_view', 7),
  feature('distinct', 'product_view', 30),
  feature('distinct', 'page', 7, { value: 'properties.path' }),
];

function makeEvents(): FeatureEvent[] {
  const random = numbers(7);
  const events: FeatureEvent[] = [];
  for (let i = 0; i < EVENTS; i++) {
    // Sessions: most events of a day fall into a few hours of it, and some days have none.
    const day = Math.floor(random() ** 1.5 * 90);
    const at = NOW - day * DAY_MS - Math.floor(random() * 3 * HOUR_MS) - 1;
    let pick = random();
    const name = NAMES[NAME_SHARES.findIndex((share) => (pick -= share) < 0)] ?? 'page';
    events.push({
      type: 'track',
      name,
      sourceId: 1,
      messageId: `ajs-next-${String(1_700_000_000_000 + i)}-${String(i).padStart(12, '0')}`,
      occurredAt: at,
      properties: {
        sku: `SKU-${String(Math.floor(random() ** 2 * 120))}`,
        path: ['/', '/help', '/products', '/cart'][Math.floor(random() * 4)] ?? '/',
        total: Math.round(random() * 20_000) / 100,
      },
      traits: {},
      context: {},
    });
  }
  return events.sort((a, b) => a.occurredAt - b.occurredAt);
}

function medianUs(repeats: number, run: () => void): number {
  for (let i = 0; i < repeats; i++) run();
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    for (let i = 0; i < repeats; i++) run();
    const { user, system } = process.cpuUsage(before);
    rounds.push((user + system) / repeats);
  }
  rounds.sort((a, b) => a - b);
  return Math.round((rounds[ROUNDS >> 1] ?? NaN) * 1_000) / 1_000;
}

const streams = streamsOf(DEFINITIONS);
const set = FeatureSet.compile(DEFINITIONS, new Map(streams.map(({ key }, i) => [key, i + 1])), new Map());
const events = makeEvents();
const full = set.empty();
for (const event of events) set.apply(full, event);
set.prune(full, NOW);
const bytes = set.encode(full);
const anchors = [0, 1, 2].map((anchor) => {
  const state = set.empty();
  for (const [i, event] of events.entries()) if (i % 3 === anchor) set.apply(state, event);
  set.prune(state, NOW);
  return set.encode(state);
});
const last = { ...(events.at(-1) as FeatureEvent), name: 'product_view', occurredAt: NOW - 1 };
const hot = set.decode(bytes);
const window7 = set.indexOf(feature('count', 'page', 7).name) ?? -1;
const spend90 = set.indexOf(feature('sum', 'order_completed', 90).name) ?? -1;

/** What one more stream costs: a stream alone, folded and then packed anew after each event, 1,000 events. */
const SINGLE: readonly FeatureDefinition[] = [
  feature('count', '', 30),
  feature('sum', '', 30),
  feature('stddev', '', 30, { value: 'properties.total' }),
  feature('percentile', '', 30, { value: 'properties.total', options: { p: 0.95 } }),
  feature('last_n', '', 30, { value: 'properties.sku', limit: 10, type: 'string_list' }),
  feature('count', '', 30, { options: { by: 'properties.sku' } }),
  feature('sum', '', 30, { options: { by: 'properties.path' } }),
  feature('decayed_sum', '', null, { value: 'properties.total', options: { halfLifeMs: 7 * DAY_MS } }),
  feature('affinity', '', null, { value: 'properties.path', options: { halfLifeMs: 7 * DAY_MS } }),
];

function costOf(definition: FeatureDefinition): Record<string, number> {
  const alone = FeatureSet.compile(
    [definition],
    new Map(streamsOf([definition]).map(({ key }) => [key, 1])),
    new Map(),
  );
  const fold = (): ReturnType<FeatureSet['empty']> => {
    const state = alone.empty();
    for (const event of events) alone.apply(state, event);
    return state;
  };
  const packed = alone.encode(fold());
  const newest = { ...(events.at(-1) as FeatureEvent), occurredAt: NOW - 1 };
  return {
    bytes: packed.length,
    applyUs: medianUs(5, fold) / EVENTS,
    decodeApplyEncodeUs: medianUs(200, () => {
      const state = alone.decode(packed);
      alone.apply(state, newest);
      alone.encode(state);
    }),
    valueUs: medianUs(200, () => alone.value(alone.decode(packed), 0, NOW)),
  };
}

let touched = 0;
const report = {
  features: set.size,
  streams: streams.length,
  events: events.length,
  streamsOfHotEvent: streams.filter(({ events: names }) => names.length === 0 || names.includes(last.name)).length,
  bytes: bytes.length,
  applyThousandUsPerEvent:
    medianUs(20, () => {
      const state = set.empty();
      for (const event of events) touched += set.apply(state, event).length;
    }) / EVENTS,
  applyHotUs: medianUs(2_000, () => {
    touched += set.apply(hot, last).length;
  }),
  decodeUs: medianUs(2_000, () => {
    set.decode(bytes);
  }),
  decodeApplyPruneEncodeUs: medianUs(1_000, () => {
    const state = set.decode(bytes);
    set.apply(state, last);
    set.prune(state, NOW);
    set.encode(state);
  }),
  encodeAllUnpackedUs: medianUs(1_000, () => {
    set.encode(full);
  }),
  unpackAllUs: medianUs(1_000, () => {
    const state = set.decode(bytes);
    for (let i = 0; i < set.size; i++) set.value(state, i, NOW);
  }),
  valueUs:
    medianUs(2_000, () => {
      for (let i = 0; i < set.size; i++) set.value(full, i, NOW);
    }) / set.size,
  flipCount7dUs: medianUs(2_000, () => {
    set.flipAt(full, window7, NOW, '<', 5);
  }),
  flipSum90dUs: medianUs(2_000, () => {
    set.flipAt(full, spend90, NOW, '<', 50);
  }),
  mergeThreeAnchorsApplyUs: medianUs(500, () => {
    const profile = set.merge(anchors.map((anchor) => set.decode(anchor)));
    touched += set.apply(profile, last).length;
  }),
  mergeThreeAnchorsReadAllUs: medianUs(500, () => {
    const profile = set.merge(anchors.map((anchor) => set.decode(anchor)));
    for (let i = 0; i < set.size; i++) set.value(profile, i, NOW);
  }),
  touched: touched > 0,
  streamsAlone: Object.fromEntries(
    SINGLE.map((definition) => [
      `${definition.aggregate}${definition.options?.by === undefined ? '' : ' by key'}`,
      costOf(definition),
    ]),
  ),
};
process.stdout.write(`${JSON.stringify(report)}\n`);
