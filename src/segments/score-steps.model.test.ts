import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FeatureSet } from '../features/feature-set.model.js';
import type { FeatureDefinition } from '../features/feature.model.js';
import { streamsOf } from '../features/stream.model.js';
import { aFeature } from '../../test/support/a-feature.js';
import { inputsAsOf, SCORE_STEP_MS, scoreHoldsUntil } from './score-steps.model.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** At a whole step. */
const NOW = Date.UTC(2026, 2, 1, 12, 0, 0);

/** Of each kind, over windows that end between steps, too. */
const DEFINITIONS: readonly FeatureDefinition[] = [
  aFeature('count', { events: ['a'], windowMs: 7 * MINUTE }),
  aFeature('sum', { aggregate: 'sum', value: 'properties.x', windowMs: HOUR + 1, type: 'double' }),
  aFeature('avg', { aggregate: 'avg', events: ['b'], value: 'properties.x', windowMs: HOUR, type: 'double' }),
  aFeature('max', { aggregate: 'max', value: 'properties.x', windowMs: 11 * MINUTE, type: 'double' }),
  aFeature('first', { aggregate: 'first', value: 'properties.x', windowMs: 6 * MINUTE + 7, type: 'double' }),
  aFeature('last', { aggregate: 'last', events: ['a'], value: 'properties.x', windowMs: 5 * MINUTE, type: 'double' }),
  aFeature('distinct', { aggregate: 'distinct', value: 'properties.x', windowMs: 13 * HOUR }),
  aFeature('recent', { aggregate: 'recency', events: ['b'], windowMs: 9 * MINUTE + 1, unitMs: 1_000 }),
  aFeature('age', { aggregate: 'recency', events: ['a'], unitMs: MINUTE }),
];
const IS_FIRST = DEFINITIONS.map(({ aggregate }) => aggregate === 'first');
const set = FeatureSet.compile(
  DEFINITIONS,
  new Map(streamsOf(DEFINITIONS).map((stream, i) => [stream.key, i + 1])),
  new Map(),
);

interface Happening {
  readonly name: string;
  readonly agoMs: number;
  readonly x: number | string;
}

const happenings = fc.array(
  fc.record({
    name: fc.constantFrom('a', 'b'),
    agoMs: fc.oneof(fc.integer({ min: 0, max: 8 * MINUTE }), fc.integer({ min: 0, max: 2 * HOUR })),
    x: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constant('text')),
  }),
  { maxLength: 8 },
);

/** What a model is shown at `t`, `t` being after all that happened before `end`. */
function shownOf(happened: readonly Happening[], end: number) {
  const state = set.empty();
  happened.forEach(({ name, agoMs, x }, i) => {
    const event = { type: 'track', name, sourceId: 1, messageId: String(i), occurredAt: end - 1 - agoMs };
    set.apply(state, { ...event, properties: { x }, traits: {}, context: {} });
  });
  return (t: number) => {
    const rowAt = (instant: number) => DEFINITIONS.map((_, i) => set.value(state, i, instant));
    const asOf = inputsAsOf(rowAt(t), IS_FIRST, t);
    const row = rowAt(asOf);
    return { asOf, values: row.map(({ value }) => value), until: Math.min(...row.map((v) => v.validUntil)) };
  };
}

const end = fc.integer({ min: NOW, max: NOW + 3 * SCORE_STEP_MS });

describe('what a model is shown', () => {
  it('is the features as of the event right after one that is on time', () => {
    fc.assert(
      fc.property(happenings, end, fc.constantFrom('a', 'b'), (happened, t, name) => {
        const shown = shownOf([...happened, { name, agoMs: 0, x: 1 }], t)(t);
        expect(shown.asOf).toBe(t);
      }),
    );
  });

  it('is never from the future and no older than the step', () => {
    fc.assert(
      fc.property(happenings, end, fc.nat(2 * HOUR), (happened, from, waitMs) => {
        const { asOf } = shownOf(happened, from)(from + waitMs);
        expect(asOf).toBeLessThanOrEqual(from + waitMs);
        expect(asOf).toBeGreaterThan(from + waitMs - SCORE_STEP_MS);
      }),
    );
  });

  it('changes between events at whole steps only, and not before it is said to', () => {
    const instants = fc.array(fc.nat(40 * MINUTE), { minLength: 2, maxLength: 12 });
    fc.assert(
      fc.property(happenings, end, instants, (happened, from, waitsMs) => {
        const shownAt = shownOf(happened, from);
        const times = waitsMs.map((waitMs) => from + waitMs).sort((a, b) => a - b);
        for (const [i, t] of times.entries()) {
          const shown = shownAt(t);
          const holdsUntil = scoreHoldsUntil(shown.until);
          expect(holdsUntil).toBeGreaterThan(t);
          const sameStep = (other: number) => Math.floor(other / SCORE_STEP_MS) === Math.floor(t / SCORE_STEP_MS);
          for (const later of times.slice(i + 1)) {
            if (sameStep(later) || later < holdsUntil) expect(shownAt(later).values).toEqual(shown.values);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
