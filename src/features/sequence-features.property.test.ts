import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AGGREGATE_RULES } from './aggregate.model.js';
import type { AnchorState } from './anchor-state.model.js';
import { COMPARE_OPS, compareValue } from './compare-value.model.js';
import { FeatureSet } from './feature-set.model.js';
import type { Aggregate, FeatureDefinition, FeatureEvent, FeatureOptions, FeatureValue } from './feature.model.js';
import { naiveInstants, naiveValue, type NaiveWorld } from '../../test/support/naive-features.js';
import type { NaiveValue } from '../../test/support/naive-values.js';
import { isOfRing } from '../../test/support/naive-sequences.js';
import { streamsOf } from './stream.model.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** A Thursday of October: clocks are put back in Europe ten days later. */
const START = Date.UTC(2026, 9, 15);
const NAMES = ['a', 'b', 'c', 'other'];
const FILTERS = new Map<string, (event: FeatureEvent) => boolean>([
  ['properties.v > 1.0', ({ properties: { v } }) => typeof v === 'number' && v > 1],
]);

interface Extra extends FeatureOptions {
  readonly unitMs?: number;
  readonly limit?: number;
  readonly events?: readonly string[];
}

function feature(aggregate: Aggregate, windowMs: number | null, extra: Extra = {}): FeatureDefinition {
  const { unitMs, limit, events, ...options } = extra;
  const definition = {
    view: 'all',
    description: '',
    aggregate,
    events: events ?? options.steps?.map(({ event }) => event) ?? ['b', 'a'],
    source: null,
    where: null,
    value: null,
    windowMs,
    unitMs: unitMs ?? null,
    limit: limit ?? null,
    type: AGGREGATE_RULES[aggregate].typeOf('string', options),
    options,
  };
  return { ...definition, name: JSON.stringify([...Object.values(definition), options]) };
}

const step = (event: string, where: string | null = null): { event: string; where: string | null } => ({
  event,
  where,
});
const FUNNELS: readonly FeatureOptions[] = [
  { steps: [step('a'), step('b'), step('c')], withinMs: HOUR },
  { steps: [step('a'), step('a'), step('b', 'properties.v > 1.0'), step('b')], withinMs: 90 * MINUTE },
  { steps: [step('c'), step('a', 'properties.v > 1.0')], withinMs: 7 * DAY },
];

/** @param limit of the rings */
function definitionsWith(limit: number): FeatureDefinition[] {
  return [null, 5 * MINUTE, 2 * HOUR, 3 * DAY].flatMap((windowMs) => [
    feature('last_events', windowMs, { limit: Math.min(limit, 3) }),
    feature('last_events', windowMs, { limit, events: ['c', 'a'], others: true }),
    feature('session_count', windowMs, { limit, gapMs: 30 * MINUTE }),
    feature('session_count', windowMs, { limit, gapMs: MINUTE, events: [] }),
    feature('session_entropy', windowMs, { limit, gapMs: 30 * MINUTE }),
    feature('session_depth', windowMs, { limit, gapMs: 30 * MINUTE }),
    feature('session_depth', windowMs, { limit, gapMs: 30 * MINUTE, of: 'mean' }),
    feature('session_duration', windowMs, { limit, gapMs: 30 * MINUTE, unitMs: SECOND }),
    feature('session_duration', windowMs, { limit, gapMs: 30 * MINUTE, unitMs: MINUTE, of: 'mean' }),
    ...(['mean', 'last', 'min', 'stddev'] as const).map((of) =>
      feature('inter_event', windowMs, { limit, unitMs: HOUR, of }),
    ),
    ...FUNNELS.map((funnel) => feature('funnel', windowMs, { limit, ...funnel })),
  ]);
}

const CALENDARS = [6 * HOUR, 3 * DAY, 30 * DAY].flatMap((windowMs) =>
  [undefined, 'Europe/Berlin', 'America/St_Johns'].flatMap((name) => {
    const zone: FeatureOptions = name === undefined ? {} : { zone: name };
    return [
      feature('frequency', windowMs, { ...zone, unitMs: DAY }),
      feature('frequency', windowMs, { ...zone, unitMs: HOUR }),
      feature('hour_of_week', windowMs, zone),
      feature('hour_of_week', windowMs, { ...zone, days: ['sat', 'sun'] }),
      feature('hour_of_week', windowMs, { ...zone, days: ['thu'], hours: [22, 5] }),
    ];
  }),
);

function compile(definitions: readonly FeatureDefinition[]): FeatureSet {
  return FeatureSet.compile(definitions, new Map(streamsOf(definitions).map(({ key }, i) => [key, i + 1])), new Map());
}

/** Rings that hold all, and the calendar. */
const WIDE = compile([...definitionsWith(64), ...CALENDARS]);
/** Rings that are soon too small. */
const NARROW = compile(definitionsWith(4));

const time = fc
  .tuple(
    fc.oneof({ weight: 3, arbitrary: fc.nat(1) }, { weight: 1, arbitrary: fc.nat(25) }),
    fc.constantFrom(0, 1, 2, 23),
    fc.constantFrom(0, 1, 29, 30, 31, 59),
    fc.constantFrom(-1, 0, 0, 1, 7_777),
  )
  .map(([days, hours, minutes, ms]) => START + days * DAY + hours * HOUR + minutes * MINUTE + ms);

const event: fc.Arbitrary<FeatureEvent> = fc
  .record({
    name: fc.constantFrom(...NAMES),
    sourceId: fc.constantFrom(1, 2),
    messageId: fc.string({ maxLength: 6 }),
    occurredAt: time,
    v: fc.constantFrom(0, 1, 2),
  })
  .map(({ v, ...rest }) => ({ type: 'track', ...rest, properties: { v }, traits: {}, context: {} }));

const events = (maxLength: number): fc.Arbitrary<FeatureEvent[]> => fc.array(event, { maxLength });

const later = fc.oneof(
  fc.constantFrom(1, 2, MINUTE, 5 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, DAY, 3 * DAY - 1, 3 * DAY),
  fc.integer({ min: 1, max: 4 * DAY }),
);

interface Move {
  readonly anchor: number;
  readonly then: 'nothing' | 'repack' | 'merge';
  readonly order: number;
}
const moves = fc.array(
  fc.record({
    anchor: fc.nat(2),
    then: fc.constantFrom<Move['then'][]>('nothing', 'nothing', 'repack', 'merge'),
    order: fc.integer(),
  }),
  { minLength: 24, maxLength: 24 },
);

function fold(set: FeatureSet, all: readonly FeatureEvent[], plan: readonly Move[] = []): AnchorState {
  const states = [set.empty(), set.empty(), set.empty()];
  const planned = all.map((e, i) => ({ e, move: plan[i] ?? { anchor: 0, then: 'nothing', order: i } }));
  planned.sort((a, b) => a.move.order - b.move.order);
  for (const { e, move } of planned) {
    const state = states[move.anchor] ?? set.empty();
    set.apply(state, e);
    if (move.then === 'repack') states[move.anchor] = set.decode(set.encode(state));
    if (move.then !== 'merge') continue;
    const next = (move.anchor + 1) % 3;
    states[next] = set.merge([states[next] ?? set.empty(), state]);
    states[move.anchor] = set.empty();
  }
  return set.merge(states);
}

const worldOf = (all: readonly FeatureEvent[]): NaiveWorld => ({ events: all, sourceIds: new Map(), filters: FILTERS });
const newestOf = (all: readonly FeatureEvent[]): number => Math.max(START, ...all.map((e) => e.occurredAt));

function comparable({ status, value, eventTs, approximate }: FeatureValue | NaiveValue): NaiveValue {
  return { status, value, eventTs, approximate };
}

describe('features of the latest events and of their hours', () => {
  it('are what their definitions say, in any order, split and packing, and for as long as they say', () => {
    fc.assert(
      fc.property(events(24), moves, later, (all, plan, wait) => {
        const state = fold(WIDE, all, plan);
        const world = worldOf(all);
        for (const t of [newestOf(all) + 1, newestOf(all) + wait]) {
          for (const [i, definition] of WIDE.definitions.entries()) {
            const got = WIDE.value(state, i, t);
            expect(comparable(got), definition.name).toEqual(comparable(naiveValue(definition, world, t)));
            expect(got.validUntil).toBeGreaterThan(t);
            const instants = naiveInstants(definition, world, t, 0);
            const staysUntil = instants.filter((instant) => instant < got.validUntil).at(-1) ?? t;
            expect(comparable(naiveValue(definition, world, staysUntil)), definition.name).toEqual(comparable(got));
            const { aggregate, options } = definition;
            // A mean, or how even shares are, may come out the same of fewer events.
            const mayStay = options?.of === 'mean' || options?.of === 'stddev' || aggregate === 'session_entropy';
            if (got.validUntil === Infinity || mayStay || aggregate === 'hour_of_week') continue;
            expect(comparable(naiveValue(definition, world, got.validUntil)), definition.name).not.toEqual(
              comparable(got),
            );
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  it('have the same bytes whatever order their events came in, and survive them', () => {
    for (const set of [WIDE, NARROW]) {
      fc.assert(
        fc.property(events(24), moves, (all, plan) => {
          const packed = set.encode(fold(set, all));
          expect(set.encode(fold(set, all, plan)).equals(packed)).toBe(true);
          const unpacked = set.decode(packed);
          set.definitions.forEach((_, i) => set.value(unpacked, i, newestOf(all) + 1));
          expect(set.encode(set.merge([unpacked, set.empty()])).equals(packed)).toBe(true);
        }),
        { numRuns: 60 },
      );
    }
  });

  it('are marked approximate wherever a ring that is too small makes a difference', () => {
    fc.assert(
      fc.property(events(24), moves, later, (all, plan, wait) => {
        const state = fold(NARROW, all, plan);
        const world = worldOf(all);
        for (const t of [newestOf(all) + 1, newestOf(all) + wait]) {
          for (const [i, definition] of NARROW.definitions.entries()) {
            const got = NARROW.value(state, i, t);
            if (got.approximate) continue;
            const want = naiveValue(definition, world, t);
            expect(comparable(got), definition.name).toEqual(comparable(want));
            const instant = naiveInstants(definition, world, t, 0)
              .filter((at) => at < got.validUntil)
              .at(-1);
            if (instant !== undefined)
              expect(comparable(naiveValue(definition, world, instant)), definition.name).toEqual(comparable(got));
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it('are exact where a ring holds all there is', () => {
    fc.assert(
      fc.property(events(4), later, (all, wait) => {
        const state = fold(NARROW, all);
        NARROW.definitions.forEach((definition, i) => {
          const t = newestOf(all) + wait;
          expect(NARROW.value(state, i, t).approximate, definition.name).toBe(false);
        });
      }),
      { numRuns: 30 },
    );
  });

  it('tell the exact instant at which a comparison changes its answer', () => {
    const constant = fc.oneof(fc.integer({ min: 0, max: 8 }), fc.double({ min: 0, max: 30, noNaN: true }));
    fc.assert(
      fc.property(events(16), later, fc.constantFrom(...COMPARE_OPS), constant, (all, wait, op, number) => {
        const t = newestOf(all) + wait;
        const state = fold(WIDE, all);
        const world = worldOf(all);
        for (const [i, definition] of WIDE.definitions.entries()) {
          const answer = (at: number): boolean | null =>
            compareValue({ ...naiveValue(definition, world, at), validUntil: 0 }, op, number);
          const now = answer(t);
          const flips = naiveInstants(definition, world, t, 0).find((at) => answer(at) !== now) ?? Infinity;
          expect(WIDE.flipAt(state, i, t, op, number), `${definition.name} ${op} ${String(number)}`).toBe(flips);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('are reported as touched by every event that changes them', () => {
    fc.assert(
      fc.property(events(14), (all) => {
        const t = newestOf(all) + 1;
        const state = NARROW.empty();
        for (const e of all) {
          const before = NARROW.definitions.map((_, i) => NARROW.value(state, i, t));
          const touched = NARROW.apply(state, e);
          NARROW.definitions.forEach((definition, i) => {
            if (!touched.includes(i)) expect(NARROW.value(state, i, t), definition.name).toEqual(before[i]);
          });
        }
      }),
      { numRuns: 30 },
    );
  });

  it('come to an end with damaged bytes', () => {
    fc.assert(
      fc.property(events(20), fc.nat(), fc.nat(255), fc.boolean(), (all, at, byte, cut) => {
        const packed = NARROW.encode(fold(NARROW, all));
        const damaged = cut ? packed.subarray(0, at % packed.length) : Buffer.from(packed);
        if (!cut) damaged[at % packed.length] = byte;
        try {
          const read = NARROW.decode(damaged);
          NARROW.definitions.forEach((_, i) => NARROW.value(read, i, START + 40 * DAY));
          NARROW.encode(read);
        } catch (error) {
          expect(error).toMatchObject({ name: 'WeftError', code: 'INTERNAL' });
        }
      }),
      { numRuns: 200 },
    );
  });
});

it('the definitions under test are those of rings and of the calendar', () => {
  expect(NARROW.definitions.every(isOfRing)).toBe(true);
  expect(CALENDARS.some(isOfRing)).toBe(false);
});
