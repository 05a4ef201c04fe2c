import { describe, expect, it } from 'vitest';
import type { JsonValue } from '../events/event.model.js';
import type { AnchorState } from './anchor-state.model.js';
import { FeatureSet } from './feature-set.model.js';
import type { Aggregate, FeatureDefinition, FeatureEvent, FeatureValue } from './feature.model.js';
import { streamsOf } from './stream.model.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** The edge of a tile of five minutes and of one of an hour. */
const NOON = 20_000 * DAY + 12 * HOUR;
const SOURCES = new Map([['web', 1]]);

function aFeature(aggregate: Aggregate, rest: Partial<FeatureDefinition> = {}): FeatureDefinition {
  const value = ['count', 'recency', 'times'].includes(aggregate) ? null : 'properties.v';
  const type = aggregate === 'first' || aggregate === 'last' ? 'string' : 'double';
  const base = { name: 'f', view: 'v', description: '', events: ['e'], source: null, where: null, windowMs: null };
  return { ...base, aggregate, value, type, unitMs: aggregate === 'recency' ? DAY : null, limit: null, ...rest };
}

let messages = 0;
function anEvent(occurredAt: number, v?: JsonValue, rest: Partial<FeatureEvent> = {}): FeatureEvent {
  const messageId = `m${String(messages++)}`;
  const properties = v === undefined ? {} : { v };
  return { type: 'track', name: 'e', sourceId: 1, messageId, occurredAt, properties, traits: {}, context: {}, ...rest };
}

function setOf(...definitions: FeatureDefinition[]): FeatureSet {
  return FeatureSet.compile(definitions, new Map(streamsOf(definitions).map(({ key }, i) => [key, i + 1])), SOURCES);
}

/** The value of one feature after some events, and what else it takes to ask for more. */
function after(
  definition: FeatureDefinition,
  ...events: FeatureEvent[]
): { at: (t: number) => FeatureValue; set: FeatureSet; state: AnchorState } {
  const set = setOf(definition);
  const state = set.empty();
  for (const event of events) set.apply(state, event);
  return { at: (t) => set.value(state, 0, t), set, state };
}

describe('aggregates', () => {
  it('count what lies in a sawtooth window, until the earliest tile leaves it', () => {
    const { at } = after(aFeature('count', { windowMs: HOUR }), anEvent(NOON), anEvent(NOON + 7 * MINUTE));
    const first = { status: 'PRESENT', value: 2, eventTs: NOON + 7 * MINUTE, approximate: false };
    expect(at(NOON + 8 * MINUTE)).toEqual({ ...first, validUntil: NOON + HOUR + 5 * MINUTE });
    expect(at(NOON + HOUR + 5 * MINUTE - 1)).toMatchObject({ value: 2 });
    expect(at(NOON + HOUR + 5 * MINUTE)).toMatchObject({ value: 1, validUntil: NOON + HOUR + 10 * MINUTE });
    expect(at(NOON + HOUR + 10 * MINUTE)).toEqual({ ...first, value: 0, eventTs: null, validUntil: Infinity });
  });

  it('add up cents exactly, in any order', () => {
    const cents = Array.from({ length: 1_000 }, (_, i) => ((i * 7_919) % 10_007) / 100);
    const total = cents.reduce((sum, value) => sum + Math.round(value * 100), 0) / 100;
    for (const values of [cents, cents.toReversed()]) {
      const { at } = after(aFeature('sum'), ...values.map((value, i) => anEvent(NOON + i, value)));
      expect(at(NOON + DAY)).toMatchObject({ value: total, approximate: false });
    }
    expect(cents.reduce((sum, value) => sum + value, 0)).not.toBe(total);
  });

  it('add up values beyond what a double holds without losing the small ones', () => {
    const huge = Array.from({ length: 20_000 }, (_, i) => anEvent(NOON + i, 1e12));
    const { at } = after(
      aFeature('sum'),
      ...huge,
      anEvent(NOON, 0.25),
      ...huge.map((e) => ({ ...e, properties: { v: -1e12 } })),
    );
    expect(at(NOON + DAY)).toMatchObject({ value: 0.25, approximate: false });
  });

  it('leave values out of a sum that are no number within bounds, and say so', () => {
    const { at } = after(
      aFeature('sum', { windowMs: DAY }),
      anEvent(NOON, 2),
      anEvent(NOON + 5 * HOUR, 1e12 + 1),
      anEvent(NOON + 2, '5'),
    );
    expect(at(NOON + 6 * HOUR)).toMatchObject({ value: 2, eventTs: NOON, approximate: true });
    expect(at(NOON + DAY + 2 * HOUR)).toMatchObject({ value: 0, eventTs: null, approximate: true });
    expect(at(NOON + 3 * DAY)).toMatchObject({ value: 0, approximate: false });
  });

  it('leave missing values out of an average', () => {
    const { at } = after(aFeature('avg'), anEvent(NOON, 1), anEvent(NOON, null), anEvent(NOON), anEvent(NOON, 2));
    expect(at(NOON + 1)).toMatchObject({ value: 1.5, approximate: false });
    expect(after(aFeature('avg'), anEvent(NOON)).at(NOON + 1).status).toBe('NOT_FOUND');
  });

  it('find the greatest value until its tile leaves', () => {
    const { at } = after(
      aFeature('max', { windowMs: DAY }),
      anEvent(NOON, 9),
      anEvent(NOON + HOUR, 3),
      anEvent(NOON + 2 * HOUR, 5),
    );
    expect(at(NOON + 3 * HOUR)).toMatchObject({ value: 9, eventTs: NOON + 2 * HOUR, validUntil: NOON + DAY + HOUR });
    expect(at(NOON + DAY + HOUR)).toMatchObject({ value: 5, validUntil: NOON + DAY + 3 * HOUR });
  });

  it('choose first and last by row: an event without a value wins with none', () => {
    const events = [anEvent(NOON), anEvent(NOON + 1, 'x'), anEvent(NOON + 2, null)];
    const nothing = { status: 'NULL_VALUE', value: null, approximate: false, validUntil: Infinity };
    expect(after(aFeature('first'), ...events).at(NOON + 9)).toEqual({ ...nothing, eventTs: NOON });
    expect(after(aFeature('last'), ...events).at(NOON + 9)).toEqual({ ...nothing, eventTs: NOON + 2 });
  });

  it('decide ties between first and last by source and message', () => {
    const tie = (sourceId: number, messageId: string): FeatureEvent =>
      anEvent(NOON, `${String(sourceId)}${messageId}`, { sourceId, messageId });
    const events = [tie(1, 'b'), tie(2, 'a'), tie(1, 'a'), tie(2, 'b')];
    for (const order of [events, events.toReversed()]) {
      expect(after(aFeature('first'), ...order).at(NOON + 1).value).toBe('1a');
      expect(after(aFeature('last'), ...order).at(NOON + 1).value).toBe('2b');
    }
  });

  it.each<[FeatureDefinition['type'], JsonValue, FeatureValue['value']]>([
    ['string', 'x', 'x'],
    ['string', 5, null],
    ['int', 5, 5],
    ['int', 5.5, null],
    ['double', 5.5, 5.5],
    ['bool', true, true],
    ['bool', 'true', null],
    ['timestamp', 1_700_000_000_000, 1_700_000_000_000],
    ['timestamp', '2024-05-06T07:08:09.010+02:00', Date.UTC(2024, 4, 6, 5, 8, 9, 10)],
    ['timestamp', '2024-05-06', null],
    ['timestamp', '2024-99-06T07:08:09Z', null],
    ['timestamp', '2024-02-30T07:08:09Z', null],
    ['timestamp', 8_640_000_000_000_001, null],
  ])('read a last %s from %j as %j', (type, written, value) => {
    expect(after(aFeature('last', { type }), anEvent(NOON, written)).at(NOON + 1)).toMatchObject({
      status: value === null ? 'NULL_VALUE' : 'PRESENT',
      value,
    });
  });

  it('cut a long text and mark it', () => {
    const { at, set, state } = after(aFeature('last'), anEvent(NOON, 'x'.repeat(600)));
    expect(at(NOON + 1)).toMatchObject({ value: 'x'.repeat(512), approximate: true });
    expect(set.value(set.decode(set.encode(state)), 0, NOON + 1)).toEqual(at(NOON + 1));
  });

  it('tell the age of the latest event in whole units', () => {
    const { at } = after(aFeature('recency'), anEvent(NOON + 5), anEvent(NOON));
    expect(at(NOON + 6)).toMatchObject({ value: 0, eventTs: NOON + 5, validUntil: NOON + 5 + DAY });
    expect(at(NOON + 5 + DAY)).toMatchObject({ value: 1, validUntil: NOON + 5 + 2 * DAY });
    expect(after(aFeature('recency')).at(NOON)).toMatchObject({ status: 'NOT_FOUND', validUntil: Infinity });
  });

  it('keep the latest times to the millisecond', () => {
    const definition = aFeature('times', { windowMs: 5 * MINUTE, limit: 2, type: 'times' });
    const { at, set, state } = after(definition, anEvent(NOON), anEvent(NOON + 3), anEvent(NOON + 1));
    expect(at(NOON + 4)).toMatchObject({ value: [NOON + 3, NOON + 1], validUntil: NOON + 1 + 5 * MINUTE });
    expect(at(NOON + 1 + 5 * MINUTE)).toMatchObject({ value: [NOON + 3] });
    expect(at(NOON + 3 + 5 * MINUTE)).toMatchObject({ status: 'PRESENT', value: [], validUntil: Infinity });
    expect(set.lastTimes(state, 0)).toEqual([NOON + 3, NOON + 1]);
    expect(set.flipAt(state, 0, NOON + 4, '>=', 1)).toBe(NOON + 3 + 5 * MINUTE);
  });
});

describe('a comparison', () => {
  it('of a count changes when enough tiles have left', () => {
    const events = [0, 1, 2, 3].map((hour) => anEvent(NOON + hour * HOUR));
    const { set, state } = after(aFeature('count', { windowMs: DAY }), ...events);
    const t = NOON + 4 * HOUR;
    expect(set.flipAt(state, 0, t, '>=', 3)).toBe(NOON + DAY + 2 * HOUR);
    expect(set.flipAt(state, 0, t, '==', 0)).toBe(NOON + DAY + 4 * HOUR);
    expect(set.flipAt(state, 0, t, '>', 4)).toBe(Infinity);
  });

  it('of an age is never far to compute, however far the answer', () => {
    const { set, state } = after(aFeature('recency', { unitMs: MINUTE }), anEvent(NOON));
    expect(set.flipAt(state, 0, NOON + DAY, '==', 5)).toBe(Infinity);
    expect(set.flipAt(state, 0, NOON + 1, '>', 1e9)).toBe(NOON + (1e9 + 1) * MINUTE);
    expect(set.flipAt(state, 0, NOON + 1, '<', Infinity)).toBe(Infinity);
  });

  it('of a text changes when the event leaves', () => {
    const { set, state } = after(aFeature('last', { windowMs: DAY }), anEvent(NOON, 'gold'));
    expect(set.flipAt(state, 0, NOON + 1, '==', 'gold')).toBe(NOON + DAY + HOUR);
    expect(set.flipAt(state, 0, NOON + 1, '<', 'x')).toBe(NOON + DAY + HOUR);
  });
});

describe('a feature set', () => {
  it('folds an event into the streams of its name, its source and its filter', () => {
    const set = setOf(
      aFeature('count', { name: 'named' }),
      aFeature('count', { name: 'every', events: [] }),
      aFeature('count', { name: 'from_web', source: 'web' }),
      aFeature('count', { name: 'from_nowhere', source: 'unregistered' }),
      aFeature('count', { name: 'large', where: 'properties.v > 10' }),
      aFeature('avg', { name: 'average' }),
      aFeature('sum', { name: 'total' }),
    );
    const touched = (event: FeatureEvent): (string | undefined)[] =>
      set
        .apply(set.empty(), event)
        .map((index) => set.definitions[index]?.name)
        .toSorted();
    expect(touched(anEvent(NOON, 11))).toEqual(['average', 'every', 'from_web', 'large', 'named', 'total']);
    expect(touched(anEvent(NOON, 9, { sourceId: 2 }))).toEqual(['average', 'every', 'named', 'total']);
    expect(touched(anEvent(NOON))).toEqual(['every', 'from_web', 'named']);
    expect(touched(anEvent(NOON, 1, { name: 'other' }))).toEqual(['every']);
    expect(set.streams).toHaveLength(6);
  });

  it('reads nothing at all as an empty state', () => {
    const set = setOf(aFeature('sum'));
    expect(set.value(set.decode(Buffer.alloc(0)), 0, NOON)).toMatchObject({ status: 'PRESENT', value: 0 });
    expect(set.encode(set.empty())).toEqual(Buffer.from([1]));
    expect(() => set.decode(Buffer.from([2]))).toThrow('its format is 2, not 1');
  });

  it('packs a state as the releases before it did', () => {
    const set = setOf(
      aFeature('count', { name: 'count', windowMs: DAY }),
      aFeature('sum', { name: 'sum' }),
      aFeature('distinct', { name: 'distinct' }),
      aFeature('last', { name: 'last', windowMs: 30 * DAY }),
      aFeature('times', { name: 'times', limit: 2 }),
    );
    const state = set.empty();
    set.apply(state, anEvent(NOON, 29.99, { messageId: 'a' }));
    set.apply(state, anEvent(NOON + HOUR, 'ß', { messageId: 'b' }));
    expect(set.encode(state).toString('hex')).toMatchInlineSnapshot(
      `"0101068ccc3a00000001150080f2ecf9ca6400023f5d6305d295b02894cab9ca010da0b80280f2d02c0102620402df010c0080b8b5f6ca64001501b717010a80f2ecf9ca6480dddb01"`,
    );
  });

  it('drops tiles when they have become invisible, and streams with nothing left', () => {
    const { set, state } = after(aFeature('count', { windowMs: HOUR }), anEvent(NOON), anEvent(NOON + HOUR));
    const packed = set.encode(state);
    const pruned = set.decode(packed);
    set.prune(pruned, NOON + 12 * HOUR + 5 * MINUTE);
    expect(set.encode(pruned).length).toBeLessThan(packed.length);
    set.prune(pruned, NOON + 30 * DAY);
    expect(pruned.size).toBe(0);
    expect(set.encode(pruned)).toEqual(Buffer.from([1]));
  });

  it('refuses states of another set, features it does not have, and definitions it cannot compile', () => {
    const set = setOf(aFeature('count'));
    expect(() => set.apply(setOf(aFeature('count')).empty(), anEvent(NOON))).toThrow(TypeError);
    expect(() => set.value(set.empty(), 1, NOON)).toThrow(RangeError);
    expect(() => set.lastTimes(set.empty(), 0)).toThrow('keeps no event times');
    expect(() => setOf(aFeature('count'), aFeature('sum'))).toThrow('feature f is defined twice');
    expect(() => FeatureSet.compile([aFeature('count')], new Map(), SOURCES)).toThrow('has a stream without an id');
  });
});

describe('streams', () => {
  it('are shared by features that differ in nothing that they hold', () => {
    const week = aFeature('count', { windowMs: 7 * DAY });
    const shared = (...rest: Partial<FeatureDefinition>[]): number =>
      streamsOf(rest.map((part) => ({ ...week, ...part }))).length;
    expect(shared({}, { name: 'g', windowMs: 2 * DAY }, { events: ['e', 'e'] })).toBe(1);
    expect(shared({}, { windowMs: 30 * DAY })).toBe(2);
    expect(shared({ windowMs: 30 * DAY }, { windowMs: 90 * DAY })).toBe(1);
    expect(shared({ windowMs: 90 * DAY }, { windowMs: 365 * DAY })).toBe(2);
    expect(shared({}, { source: 'web' }, { where: 'true' }, { events: ['f'] })).toBe(4);
    expect(streamsOf([aFeature('sum', { windowMs: DAY }), aFeature('avg', { windowMs: DAY })])).toHaveLength(1);
    expect(
      streamsOf([aFeature('times', { limit: 3 }), aFeature('times', { limit: 4 }), aFeature('recency')]),
    ).toHaveLength(2);
  });

  it('have keys that do not change from release to release, because stored states hang on them', () => {
    const keys = streamsOf([
      aFeature('sum', { windowMs: DAY, where: ' properties.v > 1 ' }),
      aFeature('times', { limit: 5 }),
    ]);
    expect(keys.map(({ key }) => key)).toEqual([
      '["moments",["e"],null,"properties.v > 1","properties.v",3600000,1036800000,0]',
      '["times",["e"],null,null,null,null,null,8]',
    ]);
  });
});
