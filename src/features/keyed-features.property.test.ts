import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonValue } from '../events/event.model.js';
import { naiveInstants, naiveValue, type NaiveWorld } from '../../test/support/naive-features.js';
import { AGGREGATE_RULES, isFading } from './aggregate.model.js';
import type { AnchorState } from './anchor-state.model.js';
import { COMPARE_OPS, compareValue } from './compare-value.model.js';
import { FeatureSet } from './feature-set.model.js';
import type { Aggregate, FeatureDefinition, FeatureEvent, FeatureValue } from './feature.model.js';
import { streamsOf } from './stream.model.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** A multiple of every hop. */
const START = 20_000 * DAY;

const POSITIVE = 'properties.v > 0.0';
const FILTERS = new Map([[POSITIVE, ({ properties: { v } }: FeatureEvent) => typeof v === 'number' && v > 0]]);

function feature(aggregate: Aggregate, rest: Partial<FeatureDefinition> = {}): FeatureDefinition {
  const { needs, typeOf } = AGGREGATE_RULES[aggregate];
  const definition = {
    view: 'all',
    description: '',
    aggregate,
    events: ['a'],
    source: null,
    where: null,
    value: needs.includes('value') ? 'properties.v' : null,
    windowMs: null,
    unitMs: null,
    limit: null,
    type: typeOf.call(null, 'string', rest.options ?? {}),
    ...rest,
  };
  return { ...definition, name: JSON.stringify(Object.values(definition)) };
}

const bySku = { by: 'properties.s' };
const oneSku = { by: 'properties.s', key: 'x' };
const GROUPED = (['count', 'sum', 'avg', 'min', 'max'] as const).flatMap((aggregate) => [
  feature(aggregate, { windowMs: 7 * DAY, options: bySku }),
  feature(aggregate, { windowMs: 7 * DAY, options: oneSku }),
]);
const COUNTED = feature('count', { windowMs: DAY });
const PAID = feature('decayed_sum', { value: 'properties.v', where: POSITIVE, options: { halfLifeMs: 7 * DAY } });

const DEFINITIONS: readonly FeatureDefinition[] = [
  ...(['variance', 'stddev'] as const).flatMap((aggregate) => [
    feature(aggregate, { windowMs: HOUR }),
    feature(aggregate, { windowMs: 30 * DAY }),
    feature(aggregate),
  ]),
  feature('percentile', { windowMs: 30 * DAY, options: { p: 0.5 } }),
  feature('percentile', { windowMs: null, options: { p: 0.95 } }),
  feature('last_n', { value: 'properties.s', windowMs: DAY, limit: 3 }),
  feature('last_n', { value: 'properties.v', limit: 5, type: 'double_list' }),
  feature('last_n', { value: 'properties.v', windowMs: 92 * DAY, limit: 4, type: 'int_list' }),
  feature('top_k', { value: 'properties.s', windowMs: 30 * DAY, limit: 2 }),
  feature('top_k', { value: 'properties.tags', limit: 3 }),
  feature('entropy', { value: 'properties.s', windowMs: DAY }),
  ...GROUPED,
  feature('count', { options: { by: 'properties.tags' }, limit: 2 }),
  feature('decayed_sum', { options: { halfLifeMs: HOUR } }),
  feature('decayed_sum', { value: 'properties.v', where: POSITIVE, options: { halfLifeMs: 7 * DAY } }),
  feature('affinity', { value: 'properties.tags', options: { halfLifeMs: DAY } }),
  feature('affinity', { value: 'properties.tags', options: { halfLifeMs: DAY, of: 'weight' } }),
  feature('affinity', { value: 'properties.tags', options: { halfLifeMs: DAY, key: 'red' } }),
  feature('affinity', { value: 'properties.tags', options: { halfLifeMs: 30 * DAY, key: 'red', of: 'weight' } }),
  feature('rate', { windowMs: 7 * DAY, unitMs: DAY }),
  feature('ratio', { options: { numerator: COUNTED, denominator: feature('count', { windowMs: 30 * DAY }) } }),
  feature('ratio', { options: { numerator: COUNTED, denominator: PAID } }),
];

const SET = FeatureSet.compile(
  DEFINITIONS,
  new Map(streamsOf(DEFINITIONS).map(({ key }, i) => [key, i + 1])),
  new Map(),
);

const time = fc
  .tuple(
    fc.oneof(fc.nat(12), fc.nat(120)),
    fc.constantFrom(0, 1, 11, 23),
    fc.constantFrom(0, 5, 55),
    fc.constantFrom(-1, 0, 1, 7),
  )
  .map(([days, hours, minutes, ms]) => START - days * DAY + hours * HOUR + minutes * MINUTE + ms);
const number: fc.Arbitrary<JsonValue | undefined> = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -9_999, max: 9_999 }).map((cents) => cents / 100) },
  {
    weight: 2,
    arbitrary: fc.constantFrom<(JsonValue | undefined)[]>(1e12, 0.000_001, -0, 2 ** 40 + 0.25, null, '7', 1.5e12),
  },
);
const text = fc.constantFrom<(JsonValue | undefined)[]>(
  'x',
  'x',
  'y',
  'z',
  'ß',
  '\ud800',
  '',
  '__proto__',
  null,
  undefined,
  5,
  false,
);
const tags = fc.oneof(
  fc.subarray<JsonValue>(['red', 'blue', 'red', 7, null]),
  fc.constantFrom<JsonValue>('red', 'green', 3),
);

const event: fc.Arbitrary<FeatureEvent> = fc
  .record({
    name: fc.constantFrom('a', 'a', 'a', 'b'),
    sourceId: fc.constantFrom(1, 2),
    messageId: fc.oneof(fc.constantFrom('m', 'n'), fc.string({ maxLength: 4 })),
    occurredAt: time,
    v: number,
    s: text,
    tags,
  })
  .map(({ v, s, tags: all, ...rest }) => {
    const properties: Record<string, JsonValue> = { tags: all };
    if (v !== undefined) properties['v'] = v;
    if (s !== undefined) properties['s'] = s;
    return { type: 'track', ...rest, properties, traits: {}, context: {} };
  });
const events = (maxLength: number): fc.Arbitrary<FeatureEvent[]> =>
  fc.uniqueArray(event, { maxLength, selector: (e) => JSON.stringify([e.sourceId, e.messageId, e.occurredAt]) });

const steps = fc.array(
  fc.record({ anchor: fc.nat(2), then: fc.constantFrom('nothing', 'repack', 'prune', 'merge'), order: fc.integer() }),
  { minLength: 40, maxLength: 40 },
);
type Steps = typeof steps extends fc.Arbitrary<infer S> ? S : never;

function foldStraight(all: readonly FeatureEvent[]): AnchorState {
  const state = SET.empty();
  for (const e of all) SET.apply(state, e);
  return state;
}

/** Folds the events in the order and into the anchors that the steps say, with detours, and merges the anchors. */
function foldBySteps(all: readonly FeatureEvent[], plan: Steps, pruneT: number): AnchorState {
  const states = [SET.empty(), SET.empty(), SET.empty()];
  const ordered = all.flatMap((e, i) => plan.slice(i, i + 1).map((step) => ({ e, ...step })));
  for (const { e, anchor, then } of ordered.sort((a, b) => a.order - b.order)) {
    const state = states[anchor] ?? SET.empty();
    SET.apply(state, e);
    if (then === 'repack') states[anchor] = SET.decode(SET.encode(state));
    if (then === 'prune') SET.prune(state, pruneT);
    if (then === 'merge') {
      const next = (anchor + 1) % 3;
      states[next] = SET.merge([states[next] ?? SET.empty(), state]);
      states[anchor] = SET.empty();
    }
  }
  return SET.merge(states);
}

const worldOf = (all: readonly FeatureEvent[]): NaiveWorld => ({ events: all, sourceIds: new Map(), filters: FILTERS });
const newestOf = (all: readonly FeatureEvent[]): number => Math.max(START, ...all.map((e) => e.occurredAt));

const later = fc.oneof(
  fc.constantFrom(1, 2, 5 * MINUTE, HOUR, HOUR + 1, DAY, DAY - 1, 7 * DAY, 92 * DAY),
  fc.integer({ min: 1, max: 120 * DAY }),
);

/** Numbers agree to 1e-9 of themselves; a percentile is within its stated accuracy. */
function expectSame(definition: FeatureDefinition, got: FeatureValue, want: Omit<FeatureValue, 'validUntil'>): void {
  const where = definition.name;
  expect(got.status, where).toBe(want.status);
  expect(got.eventTs, where).toBe(want.eventTs);
  if (definition.aggregate !== 'percentile') expect(got.approximate, where).toBe(want.approximate);
  const accuracy = definition.aggregate === 'percentile' ? 0.010_001 : 1e-9;
  const [a, b] = [leavesOf(got.value), leavesOf(want.value)];
  expect([...a.keys()].sort(), where).toEqual([...b.keys()].sort());
  for (const [key, left] of a) {
    const right = b.get(key);
    if (typeof left !== 'number' || typeof right !== 'number') expect(left, where).toBe(right);
    else if (Math.abs(left - right) > accuracy * Math.abs(right)) expect(left, `${where} ${key}`).toBe(right);
  }
}

function leavesOf(value: FeatureValue['value']): Map<string, unknown> {
  return typeof value === 'object' && value !== null ? new Map(Object.entries(value)) : new Map([['', value]]);
}

describe('features that spread, rank, group and fade', () => {
  it('are what their definition says, in any order, split, batch and packing', () => {
    fc.assert(
      fc.property(events(40), steps, fc.array(later, { maxLength: 2 }), (all, plan, waits) => {
        const newest = newestOf(all);
        const state = foldBySteps(all, plan, newest + 1);
        for (const t of [newest + 1, ...waits.map((wait) => newest + wait)]) {
          for (const [i, definition] of DEFINITIONS.entries()) {
            expectSame(definition, SET.value(state, i, t), naiveValue(definition, worldOf(all), t));
          }
        }
      }),
      { numRuns: 150 },
    );
  });

  it('have one packed form for one set of events, whatever happened on the way', () => {
    fc.assert(
      fc.property(events(40), steps, (all, plan) => {
        const t = newestOf(all) + 1;
        const [straight, detour] = [foldStraight(all), foldBySteps(all, plan, t)];
        for (const state of [straight, detour]) SET.prune(state, t);
        const packed = SET.encode(straight);
        expect(SET.encode(detour).equals(packed)).toBe(true);
        const unpacked = SET.decode(packed);
        DEFINITIONS.forEach((_, i) => SET.value(unpacked, i, t));
        expect(SET.encode(SET.merge([SET.empty(), unpacked])).equals(packed)).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  it('keep a value until validUntil, unless they fade', () => {
    fc.assert(
      fc.property(events(25), later, (all, wait) => {
        const t = newestOf(all) + wait;
        const state = foldStraight(all);
        for (const [i, definition] of DEFINITIONS.entries()) {
          const got = SET.value(state, i, t);
          expect(got.validUntil).toBeGreaterThan(t);
          if (isFading(definition)) continue;
          const until = [...instantsOf(definition, all, t), got.validUntil - 1].filter((at) => at < got.validUntil);
          for (const at of until) expect(SET.value(state, i, at), definition.name).toEqual(got);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('tell the exact instant at which a comparison changes its answer', () => {
    const constant = fc.oneof(fc.integer({ min: -1, max: 12 }), fc.double({ min: -5, max: 50, noNaN: true }));
    fc.assert(
      fc.property(events(20), later, fc.constantFrom(...COMPARE_OPS), constant, (all, wait, op, number) => {
        const t = newestOf(all) + wait;
        const state = foldStraight(all);
        for (const [i, definition] of DEFINITIONS.entries()) {
          const answer = (at: number): boolean | null => compareValue(SET.value(state, i, at), op, number);
          const got = SET.flipAt(state, i, t, op, number);
          const where = `${definition.name} ${op} ${String(number)} from ${String(t)}`;
          const isOwn = definition.aggregate !== 'ratio' || !isFading(definition);
          if (got !== Infinity && isOwn) expect(answer(got), where).not.toBe(answer(t));
          const before = [...instantsOf(definition, all, t), got - 1, (t + got) / 2].map(Math.floor);
          for (const at of before) if (at > t && at < got && isOwn) expect(answer(at), where).toBe(answer(t));
        }
      }),
      { numRuns: 100 },
    );
  });

  it('report every feature whose value an event changes, each once', () => {
    fc.assert(
      fc.property(events(12), (all) => {
        const t = newestOf(all) + 1;
        const state = SET.empty();
        for (const e of all) {
          const before = DEFINITIONS.map((_, i) => SET.value(state, i, t));
          const touched = SET.apply(state, e);
          expect(new Set(touched).size).toBe(touched.length);
          DEFINITIONS.forEach((definition, i) => {
            if (!touched.includes(i)) expect(SET.value(state, i, t), definition.name).toEqual(before[i]);
          });
        }
      }),
      { numRuns: 50 },
    );
  });

  it('read damaged bytes as an error or as some state, but always come to an end', () => {
    fc.assert(
      fc.property(events(20), fc.nat(), fc.nat(255), (all, at, byte) => {
        const damaged = Buffer.from(SET.encode(foldStraight(all)));
        if (damaged.length > 0) damaged[at % damaged.length] = byte;
        try {
          const read = SET.decode(damaged);
          DEFINITIONS.forEach((_, i) => SET.value(read, i, START + DAY));
          SET.prune(read, START + DAY);
          SET.encode(read);
        } catch (error) {
          expect(error).toMatchObject({ name: 'WeftError', code: 'INTERNAL' });
        }
      }),
      { numRuns: 300 },
    );
  });
});

/** Every instant at which the feature, or what it is computed from, can change otherwise than by fading. */
function instantsOf(definition: FeatureDefinition, all: readonly FeatureEvent[], t: number): number[] {
  const { numerator, denominator, halfLifeMs } = definition.options ?? {};
  const own = halfLifeMs === undefined ? definition : { ...definition, windowMs: null };
  const departures = all.map(({ occurredAt }) => (Math.floor(occurredAt / (halfLifeMs ?? 1)) + 65) * (halfLifeMs ?? 1));
  return [
    ...naiveInstants(own, worldOf(all), t, 0),
    ...(halfLifeMs === undefined ? [] : departures.filter((at) => at > t)),
    ...[numerator, denominator].flatMap((part) => (part === undefined ? [] : instantsOf(part, all, t))),
  ];
}
