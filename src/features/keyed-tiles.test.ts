import { describe, expect, it } from 'vitest';
import type { AnchorState } from './anchor-state.model.js';
import { FeatureSet } from './feature-set.model.js';
import type { FeatureDefinition, FeatureEvent } from './feature.model.js';
import { streamsOf } from './stream.model.js';

const DAY = 86_400_000;
const START = 20_000 * DAY;

const CATEGORY = { by: 'properties.c' };

function aFeature(name: string, rest: Partial<FeatureDefinition>): FeatureDefinition {
  const plain = { view: 'v', description: '', aggregate: 'count', events: [], source: null, where: null } as const;
  const type = rest.options?.key === undefined ? 'int_map' : 'int';
  return { ...plain, value: null, windowMs: null, unitMs: null, limit: null, type, name, ...rest };
}

const DEFINITIONS = [
  aFeature('all', { options: CATEGORY, limit: 1_000 }),
  aFeature('daily', { options: CATEGORY, windowMs: 30 * DAY, limit: 1_000 }),
  aFeature('one', { options: { ...CATEGORY, key: 'c0' } }),
  aFeature('top', { aggregate: 'top_k', value: 'properties.c', type: 'string_list', limit: 2 }),
  aFeature('day', { options: CATEGORY, windowMs: DAY, limit: 1_000 }),
];
const SET = FeatureSet.compile(
  DEFINITIONS,
  new Map(streamsOf(DEFINITIONS).map(({ key }, i) => [key, i + 1])),
  new Map(),
);

function anEvent(i: number, c: string, occurredAt: number): FeatureEvent {
  const empty = { traits: {}, context: {} };
  return { type: 'track', name: 'a', sourceId: 1, messageId: `m${String(i)}`, occurredAt, properties: { c }, ...empty };
}

function fold(events: readonly FeatureEvent[]): AnchorState {
  const state = SET.empty();
  for (const event of events) SET.apply(state, event);
  return state;
}

function read(state: AnchorState, name: string, t: number): ReturnType<FeatureSet['value']> {
  return SET.value(state, SET.indexOf(name) ?? -1, t);
}

describe('keyed tiles', () => {
  const many = Array.from({ length: 1_500 }, (_, i) => anEvent(i, `c${String(i % 1_200)}`, START + i));

  it('keep a thousand keys exactly, and the same ones in whatever order they come', () => {
    const forwards = fold(many);
    const backwards = fold(many.toReversed());
    const split = SET.merge([fold(many.slice(700)), SET.decode(SET.encode(fold(many.slice(0, 700))))]);
    const packed = SET.encode(forwards);
    expect(SET.encode(backwards).equals(packed)).toBe(true);
    expect(SET.encode(split).equals(packed)).toBe(true);
    const value = read(SET.decode(packed), 'all', START + DAY);
    expect(value).toMatchObject({ status: 'PRESENT', approximate: true });
    const counts = Object.entries(value.value ?? {});
    expect(counts).toHaveLength(1_000);
    expect(counts.every(([key, count]) => count === (Number(key.slice(1)) < 300 ? 2 : 1))).toBe(true);
  });

  it('are exact up to a thousand keys', () => {
    const value = read(fold(many.slice(0, 1_000)), 'all', START + DAY);
    expect(value.approximate).toBe(false);
    expect(Object.keys(value.value ?? {})).toHaveLength(1_000);
  });

  it('say of a key that is left out that nothing is known for sure', () => {
    const state = fold(many);
    const shown = new Set(Object.keys(read(state, 'all', START + DAY).value ?? {}));
    const isShown = shown.has('c0');
    expect(read(state, 'one', START + DAY)).toMatchObject({ value: isShown ? 2 : 0, approximate: !isShown });
  });

  it('rank keys by how often they came, then by their text', () => {
    const state = fold(['b', 'c', 'a', 'c', 'b', 'a', 'd'].map((c, i) => anEvent(i, c, START + i)));
    expect(read(state, 'top', START + DAY).value).toEqual(['a', 'b']);
  });

  it('take the beginning of a long key for it, and say so', () => {
    const state = fold([anEvent(1, 'x'.repeat(150), START)]);
    expect(read(state, 'all', START + 1)).toMatchObject({ value: { ['x'.repeat(100)]: 1 }, approximate: true });
  });

  it('give up the oldest tiles of somebody with very many keys, in whatever order they come', () => {
    const events = Array.from({ length: 12 }, (_, day) =>
      Array.from({ length: 950 }, (_, i) =>
        anEvent(day * 1_000 + i, `c${String(day)}_${String(i)}`, START + day * DAY),
      ),
    ).flat();
    const t = START + 11 * DAY + 1;
    const forwards = fold(events);
    const packed = SET.encode(forwards);
    expect(SET.encode(fold(events.toReversed())).equals(packed)).toBe(true);
    const merged = SET.merge([fold(events.slice(5_000)), SET.decode(SET.encode(fold(events.slice(0, 5_000))))]);
    expect(SET.encode(merged).equals(packed)).toBe(true);
    expect(read(forwards, 'daily', t)).toMatchObject({ approximate: true, validUntil: START + 32 * DAY });
    expect(read(forwards, 'day', t)).toMatchObject({ approximate: false });
    const late = START + 33 * DAY;
    expect(read(forwards, 'daily', late).approximate).toBe(false);
    const pruned = SET.decode(packed);
    SET.prune(pruned, START + 200 * DAY);
    const fresh = SET.merge([forwards]);
    SET.prune(fresh, START + 200 * DAY);
    expect(SET.encode(pruned).equals(SET.encode(fresh))).toBe(true);
  });
});

describe('a decayed sum', () => {
  const definition = aFeature('d', { aggregate: 'decayed_sum', type: 'double', options: { halfLifeMs: 7 * DAY } });
  const set = FeatureSet.compile([definition], new Map(streamsOf([definition]).map(({ key }) => [key, 1])), new Map());

  it('halves every half-life, and crosses a threshold at t + h·log₂(S/θ), to the millisecond', () => {
    const state = set.empty();
    for (let i = 0; i < 8; i++) set.apply(state, anEvent(i, '', START));
    expect(set.value(state, 0, START + 7 * DAY).value).toBeCloseTo(4, 9);
    const at = set.flipAt(state, 0, START + 1, '<', 3);
    expect(at).toBe(Math.floor(START + 7 * DAY * Math.log2(8 / 3)) + 1);
    expect(set.flipAt(state, 0, START + 1, '>=', 9)).toBe(Infinity);
  });
});
