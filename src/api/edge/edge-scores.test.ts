import fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import { ManualClock } from '../../platform/clock.js';
import type { Prediction } from '../../scoring/prediction.model.js';
import type { ProfileGlance } from '../../segments/profile-snapshot.model.js';
import type { ApiDefinitions } from '../api-definitions.model.js';
import { EdgeScores } from './edge-scores.js';

/** A model whose answer is a function of the packed features, the definitions and the time in steps of 10 ms. */
function definitionsOf(version: number): ApiDefinitions {
  return {
    stored: new Map(),
    traits: [],
    edgeModels: ['buyer'],
    purposes: new Map([['ads', { default: 'denied', expiresAfterDays: null }]]),
    modelPurposes: new Map([['buyer', ['ads']]]),
    models: new Map([['buyer', { key: 'buyer', scoredAs: 'buyer', featureIndexes: [0], canary: null }]]),
    scorer: { version },
    features: {
      decode: (bytes: Buffer) => bytes[0],
      value: (state: number, _index: number, t: number) => ({
        value: state * 1_000_000 + Math.floor(t / 10) * 100 + version,
        validUntil: (Math.floor(t / 10) + 1) * 10,
      }),
    },
  } as unknown as ApiDefinitions;
}

function predict(_scorer: unknown, modelKey: string, row: Prediction[] | readonly unknown[]): Promise<Prediction> {
  const { value, validUntil } = row[0] as { value: number; validUntil: number };
  return Promise.resolve({ modelKey, score: value, validUntil } as Prediction);
}

const snapshotOf = (id: string, state: number, asOf: number, status = 'granted'): ProfileGlance =>
  ({
    id,
    asOf,
    state: Buffer.from([state]),
    consents: () => [{ value: { status, expiresAt: null }, occurredAt: 0 }],
  }) as unknown as ProfileGlance;

it('what is remembered of a profile is what its models say now, whatever happened to it, to them and to the clock', async () => {
  const versions = [definitionsOf(1), definitionsOf(2)] as const;
  const step = fc.record({
    profile: fc.constantFrom('a', 'b'),
    state: fc.constantFrom(1, 2),
    asOf: fc.integer({ min: 0, max: 25 }),
    nowMs: fc.integer({ min: 0, max: 25 }),
    version: fc.constantFrom(0, 1),
    status: fc.constantFrom('granted', 'granted', 'granted', 'granted', 'granted', 'denied'),
  });
  let hits = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
      let nowMs = 0;
      const scores = new EdgeScores({ batcher: { predict }, clock: { now: () => nowMs } });
      for (const { profile, state, asOf, version, status, nowMs: then } of steps) {
        nowMs = then;
        const definitions = versions[version];
        const fresh = new EdgeScores({ batcher: { predict }, clock: { now: () => nowMs } });
        const snapshot = snapshotOf(profile, state, asOf, status);
        const expected = await fresh.ask(snapshot, definitions);
        expect(expected).toHaveLength(status === 'granted' ? 1 : 0);
        const known = scores.known(snapshot, definitions);
        if (known === undefined) expect(await scores.ask(snapshot, definitions)).toEqual(expected);
        else expect(known).toEqual(expected);
        if (known !== undefined) hits++;
      }
    }),
    { numRuns: 300 },
  );
  expect(hits).toBeGreaterThan(50);
});

it('nothing is remembered of profiles that are large, and of not more than 10,000', async () => {
  const scores = new EdgeScores({ batcher: { predict }, clock: new ManualClock(0) });
  const definitions = definitionsOf(1);
  const large = { ...snapshotOf('large', 1, 0), state: Buffer.alloc(4_097) };
  await scores.ask(large, definitions);
  expect(scores.known(large, definitions)).toBeUndefined();
  for (let i = 0; i <= 10_000; i++) await scores.ask(snapshotOf(String(i), 1, 0), definitions);
  expect(scores.known(snapshotOf('0', 1, 0), definitions)).toBeUndefined();
  expect(scores.known(snapshotOf('10000', 1, 0), definitions)).toHaveLength(1);
});

it('without a marked model there is nothing to ask', () => {
  const scores = new EdgeScores({ batcher: { predict }, clock: new ManualClock(0) });
  expect(scores.known(snapshotOf('a', 1, 0), { ...definitionsOf(1), edgeModels: [] })).toEqual([]);
});

it('nobody is remembered for longer than ten minutes, also where nobody else comes', async () => {
  vi.useFakeTimers();
  try {
    const scores = new EdgeScores({ batcher: { predict }, clock: new ManualClock(0) });
    const definitions = definitionsOf(1);
    const [first, second] = [snapshotOf('first', 1, 0), snapshotOf('second', 1, 0)];
    await scores.ask(first, definitions);
    vi.advanceTimersByTime(299_999);
    await scores.ask(second, definitions);
    vi.advanceTimersByTime(300_000);
    expect([scores.known(first, definitions), scores.known(second, definitions)]).toEqual([
      expect.any(Array),
      expect.any(Array),
    ]);
    vi.advanceTimersByTime(1);
    expect([scores.known(first, definitions), scores.known(second, definitions)]).toEqual([undefined, undefined]);
    expect(vi.getTimerCount()).toBe(0);
    await scores.ask(second, definitions);
    vi.advanceTimersByTime(299_000);
    await scores.ask(first, definitions);
    vi.advanceTimersByTime(301_000);
    expect(scores.known(second, definitions)).toBeUndefined();
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});
