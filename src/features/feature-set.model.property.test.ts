import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonValue } from '../events/event.model.js';
import type { AnchorState } from './anchor-state.model.js';
import { COMPARE_OPS, compareValue, type CompareOp } from './compare-value.model.js';
import { FeatureSet } from './feature-set.model.js';
import type { Aggregate, FeatureDefinition, FeatureEvent, FeatureType, FeatureValue } from './feature.model.js';
import { naiveHop, naiveInstants, naiveValue, type NaiveWorld } from '../../test/support/naive-features.js';
import type { NaiveValue } from '../../test/support/naive-values.js';
import { streamsOf } from './stream.model.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** A multiple of every hop. */
const START = 20_000 * DAY;

const WINDOWS = [
  5 * MINUTE,
  HOUR,
  12 * HOUR - MINUTE,
  12 * HOUR,
  DAY,
  7 * DAY,
  12 * DAY,
  30 * DAY,
  92 * DAY,
  300 * DAY,
  null,
];
const SOURCES = new Map([
  ['web', 1],
  ['shop', 2],
]);
const FILTERS = new Map<string, (event: FeatureEvent) => boolean>([
  ['properties.v > 0.0', ({ properties: { v } }) => typeof v === 'number' && v > 0],
  ["properties.s in ['x', 'y'] && type == 'track'", ({ properties: { s } }) => s === 'x' || s === 'y'],
]);

function feature(
  aggregate: Aggregate,
  windowMs: number | null,
  rest: Partial<FeatureDefinition> = {},
): FeatureDefinition {
  const numeric = ['sum', 'avg', 'min', 'max'].includes(aggregate);
  const valued = numeric || ['first', 'last', 'distinct'].includes(aggregate);
  const type: FeatureType = numeric ? 'double' : aggregate === 'times' ? 'times' : valued ? 'string' : 'int';
  const definition = {
    view: 'all',
    description: '',
    aggregate,
    events: ['a'],
    source: null,
    where: null,
    value: numeric ? 'properties.v' : valued ? 'properties.s' : null,
    windowMs,
    unitMs: aggregate === 'recency' ? HOUR : null,
    limit: aggregate === 'times' ? 3 : null,
    type,
    ...rest,
  };
  return { ...definition, name: JSON.stringify(Object.values(definition)) };
}

const PLAIN: readonly Aggregate[] = [
  'count',
  'sum',
  'avg',
  'min',
  'max',
  'first',
  'last',
  'distinct',
  'recency',
  'times',
];
const DEFINITIONS: readonly FeatureDefinition[] = [
  ...PLAIN.flatMap((aggregate) => WINDOWS.map((windowMs) => feature(aggregate, windowMs))),
  ...(['count', 'sum', 'last', 'distinct', 'times'] as const).flatMap((aggregate) => [
    feature(aggregate, DAY, { events: [] }),
    feature(aggregate, HOUR, { events: ['b', 'a'], source: 'web' }),
    feature(aggregate, 30 * DAY, { where: 'properties.v > 0.0' }),
    feature(aggregate, null, { events: ['b'], where: "properties.s in ['x', 'y'] && type == 'track'" }),
    feature(aggregate, DAY, { source: 'not registered' }),
  ]),
  feature('times', null, { limit: 1 }),
  feature('times', DAY, { limit: 32 }),
  feature('recency', null, { unitMs: DAY }),
  feature('first', DAY, { value: 'properties.v', type: 'double' }),
  feature('last', DAY, { value: 'properties.v', type: 'int' }),
  feature('last', null, { value: 'properties.v', type: 'bool' }),
  feature('row', null, { value: 'properties.s' }),
  feature('row', null, { value: 'properties.v', type: 'double', source: 'web', options: { ttlMs: HOUR } }),
  feature('row', null, { value: 'properties.s', options: { ttlMs: DAY, created: 'properties.c' } }),
  feature('row', null, {
    value: 'properties.v',
    type: 'int',
    options: { ttlMs: 7 * DAY - 1, created: 'properties.c' },
  }),
];

function idsOf(definitions: readonly FeatureDefinition[], first = 1): Map<string, number> {
  return new Map(streamsOf(definitions).map(({ key }, i) => [key, first + i * 7]));
}

const SET = FeatureSet.compile(DEFINITIONS, idsOf(DEFINITIONS), SOURCES);

/** Times that crowd around the edges of tiles of every hop, with many ties, over 400 days. */
const time = fc
  .tuple(
    fc.oneof(fc.nat(12), fc.nat(400)),
    fc.constantFrom(0, 1, 5, 11, 12, 23),
    fc.constantFrom(0, 5, 10, 55),
    fc.constantFrom(-1, 0, 0, 1, 77_777),
  )
  .map(([days, hours, minutes, ms]) => START - days * DAY + hours * HOUR + minutes * MINUTE + ms);

const value: fc.Arbitrary<JsonValue | undefined> = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -9_999, max: 9_999 }).map((cents) => cents / 100) },
  { weight: 2, arbitrary: fc.integer({ min: -3, max: 3 }) },
  { weight: 1, arbitrary: fc.constantFrom(1e12, -1e12, 999_999_999_999.5, 0.000_001, -0, 2 ** 40 + 0.25) },
  // Up to 2³⁹ they add up to numbers with fewer binary places than a millionth needs, and cancel out.
  { weight: 1, arbitrary: fc.tuple(fc.nat(39), fc.constantFrom(1, -1, 1.000_001)).map(([bits, by]) => by * 2 ** bits) },
  {
    weight: 2,
    arbitrary: fc.constantFrom<(JsonValue | undefined)[]>(null, undefined, '7', true, 1.5e12, -1e13, { x: 1 }, [1]),
  },
);
const text: fc.Arbitrary<JsonValue | undefined> = fc.constantFrom<(JsonValue | undefined)[]>(
  'x', 'y', 'z', 'ß', '漢字', '\ud800', '', null, undefined, 5, false, ['x'],
); // prettier-ignore

const event: fc.Arbitrary<FeatureEvent> = fc
  .record({
    name: fc.constantFrom('a', 'a', 'a', 'b', 'other'),
    sourceId: fc.constantFrom(1, 2, 3),
    messageId: fc.oneof(fc.constantFrom('m', 'n', 'ö', '\udfff', ''), fc.string({ maxLength: 4 })),
    occurredAt: time,
    v: value,
    s: text,
    c: fc.constantFrom<JsonValue[]>(null, START, START + 1, new Date(START - DAY).toISOString(), 'soon', {}),
    acceptedAt: fc.constantFrom(START, START + 2),
  })
  .map(({ v, s, c, ...rest }) => {
    const properties: Record<string, JsonValue> = { c };
    if (v !== undefined) properties['v'] = v;
    if (s !== undefined) properties['s'] = s;
    return { type: 'track', ...rest, properties, traits: {}, context: {} };
  });

/** Deduplicated as the log is: no two events of a source share a message id. */
const events = (maxLength: number): fc.Arbitrary<FeatureEvent[]> =>
  fc.uniqueArray(event, { maxLength, selector: (e) => JSON.stringify([e.sourceId, e.messageId, e.occurredAt]) });

interface Step {
  readonly anchor: number;
  readonly then: 'nothing' | 'repack' | 'prune' | 'merge';
  readonly order: number;
}
const step: fc.Arbitrary<Step> = fc.record({
  anchor: fc.nat(2),
  then: fc.constantFrom('nothing', 'nothing', 'repack', 'prune', 'merge'),
  order: fc.integer(),
});

/** Folds the events in the order and into the anchors that the steps say, with detours, and merges the anchors. */
function foldBySteps(all: readonly FeatureEvent[], steps: readonly Step[], pruneT: number): AnchorState {
  const states = [SET.empty(), SET.empty(), SET.empty()];
  const plan = all.map((e, i) => ({ e, ...(steps[i] ?? { anchor: 0, then: 'nothing', order: 0 }) }));
  plan.sort((a, b) => a.order - b.order);
  for (const { e, anchor, then } of plan) {
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

function comparable({ status, value: got, eventTs, approximate }: FeatureValue | NaiveValue): NaiveValue {
  return { status, value: got, eventTs, approximate };
}

const worldOf = (all: readonly FeatureEvent[]): NaiveWorld => ({ events: all, sourceIds: SOURCES, filters: FILTERS });

/** The instants at which values are asked for: after all events, and around the edges at which windows move on. */
const later = fc.oneof(
  fc.constantFrom(1, 2, MINUTE, 5 * MINUTE, HOUR, HOUR + 1, 12 * HOUR, DAY, DAY - 1, 7 * DAY, 12 * DAY, 92 * DAY),
  fc.integer({ min: 1, max: 120 * DAY }),
);

describe('a feature set', () => {
  it('keeps what came of events that are gone: exactly where none moves away, and in counts and sums in any case', () => {
    const fate = fc.constantFrom<('gone' | 'left' | 'moved' | 'arrived')[]>('gone', 'left', 'moved', 'arrived');
    const fold = (some: readonly FeatureEvent[]): AnchorState => {
      const state = SET.empty();
      for (const each of some) SET.apply(state, each);
      return SET.decode(SET.encode(state));
    };
    const counted = DEFINITIONS.flatMap(({ aggregate }, i) => (['count', 'sum'].includes(aggregate) ? [i] : []));
    fc.assert(
      fc.property(events(30), fc.array(fate, { minLength: 30, maxLength: 30 }), later, (all, fates, after) => {
        const t = Math.max(START, ...all.map(({ occurredAt }) => occurredAt)) + after;
        const of = (...wanted: string[]) => fold(all.filter((_, i) => wanted.includes(fates[i] ?? '')));
        const states = { standing: of('gone', 'left', 'moved'), before: of('left', 'moved'), arrived: of('arrived') };
        const kept = SET.outlived(of('left', 'arrived'), states, t);
        const expected = of('gone', 'left', 'arrived');
        for (const state of [kept, expected]) SET.prune(state, t);
        if (!all.some((_, i) => fates[i] === 'moved')) expect(SET.encode(kept)).toEqual(SET.encode(expected));
        // Of all others, nothing that moved away is left.
        const log = of('left', 'arrived');
        SET.prune(log, t);
        for (const index of DEFINITIONS.keys()) {
          if (counted.includes(index)) continue;
          const [is, may, mayToo] = [kept, log, expected].map((state) => SET.value(state, index, t).value);
          expect([may, mayToo], DEFINITIONS[index]?.name).toContainEqual(is);
        }
        for (const index of counted) {
          const values = [kept, expected].map((state) => SET.value(state, index, t).value);
          expect(values[0], DEFINITIONS[index]?.name).toBe(values[1]);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('gives every feature by its definition, in any order, split, batch and packing', () => {
    fc.assert(
      fc.property(
        events(40),
        fc.array(step, { minLength: 40, maxLength: 40 }),
        fc.array(later, { maxLength: 3 }),
        (all, steps, waits) => {
          const newest = Math.max(START, ...all.map((e) => e.occurredAt));
          const state = foldBySteps(all, steps, newest + 1);
          for (const t of [newest + 1, ...waits.map((wait) => newest + wait)]) {
            for (const [i, definition] of DEFINITIONS.entries()) {
              const want = naiveValue(definition, worldOf(all), t);
              expect(comparable(SET.value(state, i, t)), `${definition.name} at ${String(t)}`).toEqual(want);
            }
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('keeps a value until validUntil, and no longer where time alone must change it', () => {
    fc.assert(
      fc.property(events(25), later, (all, wait) => {
        const t = Math.max(START, ...all.map((e) => e.occurredAt)) + wait;
        const state = SET.empty();
        for (const e of all) SET.apply(state, e);
        const world = worldOf(all);
        for (const [i, definition] of DEFINITIONS.entries()) {
          const got = SET.value(state, i, t);
          expect(got.validUntil).toBeGreaterThan(t);
          for (const instant of naiveInstants(definition, world, t, 50)) {
            if (instant < got.validUntil) {
              expect(
                naiveValue(definition, world, instant),
                `${definition.name} until ${String(got.validUntil)}`,
              ).toEqual(comparable(got));
            }
          }
          if (got.validUntil === Infinity || ['sum', 'avg', 'first'].includes(definition.aggregate)) continue;
          expect(naiveValue(definition, world, got.validUntil), definition.name).not.toEqual(comparable(got));
        }
      }),
      { numRuns: 150 },
    );
  });

  it('tells the exact instant at which a comparison changes its answer', () => {
    const constant = fc.oneof(fc.integer({ min: -2, max: 45 }), fc.double({ min: -50, max: 50, noNaN: true }));
    fc.assert(
      fc.property(events(20), later, fc.constantFrom(...COMPARE_OPS), constant, (all, wait, op, number) => {
        const t = Math.max(START, ...all.map((e) => e.occurredAt)) + wait;
        const state = SET.empty();
        for (const e of all) SET.apply(state, e);
        const world = worldOf(all);
        for (const [i, definition] of DEFINITIONS.entries()) {
          if (SET.value(state, i, t).approximate) continue;
          const answer = (at: number): boolean | null => naiveAnswer(naiveValue(definition, world, at), op, number);
          const now = answer(t);
          const instants = naiveInstants(definition, world, t, 60);
          const want = instants.find((instant) => answer(instant) !== now) ?? Infinity;
          const got = SET.flipAt(state, i, t, op, number);
          expect(got, `${definition.name} ${op} ${String(number)} from ${String(t)}`).toBe(want);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('has one packed form for one set of events, whatever happened on the way', () => {
    fc.assert(
      fc.property(events(40), fc.array(step, { minLength: 40, maxLength: 40 }), (all, steps) => {
        const t = Math.max(START, ...all.map((e) => e.occurredAt)) + 1;
        const straight = SET.empty();
        for (const e of all) SET.apply(straight, e);
        const detour = foldBySteps(all, steps, t);
        for (const state of [straight, detour]) SET.prune(state, t);
        const packed = SET.encode(straight);
        expect(SET.encode(detour).equals(packed)).toBe(true);
        expect(SET.encode(SET.decode(packed)).equals(packed)).toBe(true);
        const unpacked = SET.decode(packed);
        DEFINITIONS.forEach((_, i) => SET.value(unpacked, i, t));
        SET.mergeInto(unpacked, SET.empty());
        expect(SET.encode(SET.merge([SET.empty(), unpacked])).equals(packed)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it('prunes to the state of the events that still can be seen', () => {
    fc.assert(
      fc.property(events(40), later, (all, wait) => {
        const t = Math.max(START, ...all.map((e) => e.occurredAt)) + wait;
        const state = SET.empty();
        for (const e of all) SET.apply(state, e);
        const before = DEFINITIONS.map((_, i) => [SET.value(state, i, t), SET.value(state, i, t + DAY)]);
        SET.prune(state, t);
        expect(DEFINITIONS.map((_, i) => [SET.value(state, i, t), SET.value(state, i, t + DAY)])).toEqual(before);
      }),
      { numRuns: 100 },
    );
  });

  it('reports every feature whose value an event changes', () => {
    fc.assert(
      fc.property(events(15), (all) => {
        const t = Math.max(START, ...all.map((e) => e.occurredAt)) + 1;
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
      { numRuns: 100 },
    );
  });

  it('hands states over to another set by stream id, whatever features come and go', () => {
    const ids = idsOf(DEFINITIONS);
    fc.assert(
      fc.property(events(25), fc.subarray([...DEFINITIONS], { minLength: 1 }), (all, kept) => {
        const t = Math.max(START, ...all.map((e) => e.occurredAt)) + 1;
        const state = SET.empty();
        for (const e of all) SET.apply(state, e);
        const other = FeatureSet.compile(kept.toReversed(), ids, SOURCES);
        const taken = other.decode(SET.encode(state));
        other.definitions.forEach((definition, i) => {
          expect(other.value(taken, i, t)).toEqual(SET.value(state, SET.indexOf(definition.name) ?? -1, t));
        });
      }),
      { numRuns: 50 },
    );
  });

  it('reads damaged bytes as an error or as some state, but always comes to an end', () => {
    fc.assert(
      fc.property(events(20), fc.nat(), fc.nat(255), fc.boolean(), (all, at, byte, cut) => {
        const state = SET.empty();
        for (const e of all) SET.apply(state, e);
        const packed = SET.encode(state);
        const damaged = cut ? packed.subarray(0, at % packed.length) : Buffer.from(packed);
        if (!cut) damaged[at % packed.length] = byte;
        try {
          const read = SET.decode(damaged);
          DEFINITIONS.forEach((_, i) => SET.value(read, i, START + DAY));
          SET.prune(read, START + DAY);
          SET.encode(read);
        } catch (error) {
          expect(error).toMatchObject({ name: 'WeftError', code: 'INTERNAL' });
        }
      }),
      { numRuns: 500 },
    );
  });
});

function naiveAnswer(naive: NaiveValue, op: CompareOp, constant: number): boolean | null {
  return compareValue({ ...naive, validUntil: 0 }, op, constant);
}

/** Keeps the hops of the oracle and of the engine from being wrong in the same way unnoticed. */
it.each([
  [5 * MINUTE, 5 * MINUTE],
  [12 * HOUR - MINUTE, 5 * MINUTE],
  [12 * HOUR, HOUR],
  [12 * DAY - HOUR, HOUR],
  [12 * DAY, DAY],
])('a window of %d ms moves on in hops of %d ms', (windowMs, hopMs) => {
  expect(naiveHop(windowMs)).toBe(hopMs);
  expect(streamsOf([feature('count', windowMs)])[0]?.hopMs).toBe(hopMs);
});
