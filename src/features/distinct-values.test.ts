import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FeatureSet } from './feature-set.model.js';
import type { FeatureDefinition, FeatureEvent } from './feature.model.js';
import { naiveValue } from '../../test/support/naive-features.js';
import { streamsOf } from './stream.model.js';
import { hashValue } from './value-hash.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOW = 20_000 * DAY;

function distinct(windowMs: number | null): FeatureDefinition {
  const name = `distinct_${String(windowMs)}`;
  return {
    name,
    view: 'web',
    description: '',
    aggregate: 'distinct',
    events: [],
    source: null,
    where: null,
    value: 'properties.sku',
    windowMs,
    unitMs: null,
    limit: null,
    type: 'int',
  };
}

const DEFINITIONS = [HOUR, DAY, 10 * DAY, 90 * DAY, null].map(distinct);
const SET = FeatureSet.compile(
  DEFINITIONS,
  new Map(streamsOf(DEFINITIONS).map(({ key }, i) => [key, i + 1])),
  new Map(),
);

function view(sku: string | number, occurredAt: number): FeatureEvent {
  const properties = { sku };
  return { type: 'track', name: 'view', sourceId: 1, messageId: 'm', occurredAt, properties, traits: {}, context: {} };
}

/** Browsing: `count` views of up to `skus` products over `days`, most of them recent. */
function browsing(seed: number, count: number, skus: number, days: number): FeatureEvent[] {
  let state = seed >>> 0;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  return Array.from({ length: count }, () =>
    view(`sku-${String(Math.floor(random() * skus))}`, NOW - 1 - Math.floor(random() ** 3 * days * DAY)),
  );
}

const crowd = fc
  .tuple(
    fc.nat(),
    fc.integer({ min: 200, max: 900 }),
    fc.integer({ min: 100, max: 2_000 }),
    fc.integer({ min: 1, max: 100 }),
  )
  .map((args) => browsing(...args));

describe('distinct values', () => {
  it('are exact up to 256 in the window and estimated beyond, in any order, split and packing', () => {
    const seen = { exact: 0, estimated: 0 };
    fc.assert(
      fc.property(crowd, fc.nat(), fc.nat(2), fc.nat(100), (events, salt, detour, waitDays) => {
        const states = [SET.empty(), SET.empty(), SET.empty()];
        const order = events.map((event, i) => ({ event, rank: hashValue(i + salt) })).sort((a, b) => a.rank - b.rank);
        for (const [i, { event, rank }] of order.entries()) {
          const at = rank % 3;
          const state = states[at] ?? SET.empty();
          SET.apply(state, event);
          if (i % 97 === detour) states[at] = SET.decode(SET.encode(state));
          if (i % 89 === detour) SET.prune(state, NOW);
        }
        const merged = SET.merge(states);
        const world = { events, sourceIds: new Map(), filters: new Map() };
        for (const t of [NOW, NOW + waitDays * DAY, NOW + 9 * DAY]) {
          for (const [i, definition] of DEFINITIONS.entries()) {
            const want = naiveValue(definition, world, t);
            const { value, approximate, eventTs, status } = SET.value(merged, i, t);
            expect({ status, approximate, eventTs }).toEqual({
              status: want.status,
              approximate: want.approximate,
              eventTs: want.eventTs,
            });
            // The oracle estimates by linear counting, another formula over the same registers.
            if (approximate) expect(Math.abs(Number(value) / Number(want.value) - 1)).toBeLessThan(0.005);
            else expect(value).toBe(want.value);
            seen[approximate ? 'estimated' : 'exact']++;
          }
        }
        const straight = SET.empty();
        for (const event of events) SET.apply(straight, event);
        SET.prune(straight, NOW);
        SET.prune(merged, NOW);
        expect(SET.encode(merged).equals(SET.encode(straight))).toBe(true);
        expect(SET.encode(SET.decode(SET.encode(merged))).equals(SET.encode(straight))).toBe(true);
      }),
      { numRuns: 60 },
    );
    expect(Math.min(seen.exact, seen.estimated)).toBeGreaterThan(50);
  });

  it('stay as they are until validUntil when they are estimated', () => {
    fc.assert(
      fc.property(crowd, (events) => {
        const state = SET.empty();
        for (const event of events) SET.apply(state, event);
        DEFINITIONS.forEach((_, i) => {
          let t = NOW;
          for (let steps = 0; steps < 40; steps++) {
            const { validUntil, ...value } = SET.value(state, i, t);
            if (validUntil === Infinity) break;
            expect(validUntil).toBeGreaterThan(t);
            const { validUntil: _, ...atEnd } = SET.value(state, i, validUntil - 1);
            const { validUntil: __, ...between } = SET.value(state, i, Math.floor((t + validUntil) / 2));
            expect([atEnd, between]).toEqual([value, value]);
            t = validUntil;
          }
        });
      }),
      { numRuns: 30 },
    );
  });

  it('become exact at the instant at which the last value too many leaves, even if no estimate shows it', () => {
    const recent = Array.from({ length: 256 }, (_, i) => `sku-${String(i)}`);
    const registerOf = (sku: string): number => Math.floor(hashValue(sku) / 2 ** 36);
    const taken = new Map(recent.map((sku) => [registerOf(sku), hashValue(sku) % 2 ** 36]));
    // In the register of a recent one and with a greater remainder, hence no greater rank: no register tells of it.
    const hidden = Array.from({ length: 100_000 }, (_, i) => `old-${String(i)}`).find(
      (sku) => hashValue(sku) % 2 ** 36 >= (taken.get(registerOf(sku)) ?? Infinity),
    );
    const state = SET.empty();
    SET.apply(state, view(hidden ?? '', NOW - 5 * DAY - 1));
    for (const sku of recent) SET.apply(state, view(sku, NOW - 1));
    const index = SET.indexOf(`distinct_${String(10 * DAY)}`) ?? -1;
    expect(SET.value(state, index, NOW)).toMatchObject({ approximate: true, validUntil: NOW + 5 * DAY });
    expect(SET.value(state, index, NOW + 5 * DAY)).toMatchObject({ value: 256, approximate: false });
  });

  it.each([1_000, 10_000, 100_000, 1_000_000])('are estimated within five standard errors for %d', (count) => {
    const state = SET.empty();
    for (let i = 0; i < count; i++) SET.apply(state, view(i % 2 === 0 ? i : `p/${String(i)}`, NOW - 1));
    const index = SET.indexOf('distinct_null') ?? -1;
    const { value, approximate } = SET.value(state, index, NOW);
    expect(approximate).toBe(true);
    expect(Math.abs(Number(value) / count - 1)).toBeLessThan(5 * 0.01625);
    expect(SET.encode(state).length).toBeLessThan(40_000);
  });

  it('tell apart values of different types', () => {
    const state = SET.empty();
    for (const sku of [1, '1', 1.5, 'a', 'A']) SET.apply(state, view(sku, NOW - 1));
    expect(SET.value(state, 0, NOW).value).toBe(5);
  });

  it('hardly ever share a hash', () => {
    const hashes = new Set(Array.from({ length: 300_000 }, (_, i) => hashValue(`product-${String(i)}`)));
    expect(hashes.size).toBe(300_000);
    expect(Math.max(...[...hashes].slice(0, 10_000))).toBeLessThan(2 ** 48);
  });
});
