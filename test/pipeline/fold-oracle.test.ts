import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_IDENTITY_RULES } from '../../src/identity/identity-rules.model.js';
import { naiveFold, withStepsSorted } from '../support/naive-fold.js';
import { byProfile, readFeed, readState } from '../support/pipeline-state.js';
import { randomDefinitions, SOURCES } from '../support/random-conditions.js';
import { acceptLog, pick, randomFrom, randomLog } from '../support/random-log.js';
import { createWorld, DAY_MS, HOUR_MS, MINUTE_MS, START_MS } from '../support/world.js';

const ADVANCES_MS = [0, 0, 1, 999, MINUTE_MS, 5 * MINUTE_MS, 20 * MINUTE_MS, HOUR_MS, 7 * HOUR_MS];

interface Run {
  readonly seed: number;
  readonly segments: number;
  readonly steps: number;
  readonly historicalShare: number;
  readonly maxBatchEvents: number;
  /** Share of the steps after which everything is applied before the next. */
  readonly drainShare: number;
}

const aRun: fc.Arbitrary<Run> = fc.record({
  seed: fc.integer({ min: 0, max: 2 ** 31 }),
  segments: fc.integer({ min: 4, max: 9 }),
  steps: fc.integer({ min: 30, max: 50 }),
  historicalShare: fc.constantFrom(0, 0, 0.3),
  maxBatchEvents: fc.constantFrom(1, 2, 5, 1000),
  drainShare: fc.constantFrom(0, 0.2, 1),
});

/** What the pipeline made of a random log under random definitions, and what it should have. */
async function play(run: Run) {
  const random = randomFrom(run.seed);
  const { features, segments } = randomDefinitions(random, run.segments);
  const log = randomLog(random, { ...run, maxEventsPerStep: 4, advancesMs: ADVANCES_MS, people: 3 });
  const caches = random() < 0.3 ? { maxCachedProfiles: 1, maxCachedIdentifiers: 1 } : {};
  const world = await createWorld(START_MS, { limits: { maxBatchEvents: run.maxBatchEvents, ...caches } });
  try {
    for (const source of SOURCES) await world.accept([], { source });
    await world.defineFeatures(features);
    for (const { key, text } of segments) await world.defineSegment(key, text);
    await world.drain();
    await acceptLog(world, log, async () => {
      if (random() < run.drainShare) await world.drain();
      world.clock.advance(pick(random, [0, 0, 1]));
    });
    await world.drain();
    world.clock.advance(2 * DAY_MS);
    await world.drain();
    const { events } = await world.engine.log.readBatch({
      afterPos: 0,
      parts: Array.from({ length: 16 }, (_, i) => i),
      limit: 10_000,
      maxBytes: 2 ** 30,
    });
    const until = world.clock.now();
    const state = await readState(world.db, await world.engine.definitions.current(), until);
    const feed = byProfile(await readFeed(world.db));
    for (const [name, lines] of Object.entries(feed)) feed[name] = withStepsSorted(lines);
    return {
      actual: { profiles: state.profiles, memberships: state.memberships, feed },
      expected: naiveFold({ rules: DEFAULT_IDENTITY_RULES, segments }, events, until),
      texts: segments.map(({ key, text }) => `${key}: ${text}`),
    };
  } finally {
    await world.close();
  }
}

describe('live membership', () => {
  it('is what recomputing everything after each event and at each instant gives', { timeout: 60_000 }, async () => {
    let changes = 0;
    await fc.assert(
      fc.asyncProperty(aRun, async (run) => {
        const { actual, expected, texts } = await play(run);
        changes += Object.values(expected.feed).flat().length;
        expect(actual, texts.join('\n')).toEqual(expected);
      }),
      { numRuns: 20, endOnFailure: true },
    );
    // The runs say something only if something happens in them.
    expect(changes).toBeGreaterThan(500);
  });
});
