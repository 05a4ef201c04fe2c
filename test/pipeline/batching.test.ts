import { afterEach, describe, expect, it } from 'vitest';
import { byProfile, readFeed, readState } from '../support/pipeline-state.js';
import { acceptLog, defineSome, randomFrom, randomLog, shuffled, type LogStep } from '../support/random-log.js';
import { createWorld, DAY_MS, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

const SEEDS = [1, 2, 3];

const logOf = (seed: number, historicalShare = 0.3): LogStep[] =>
  randomLog(randomFrom(seed), {
    steps: 60,
    maxEventsPerStep: 8,
    advancesMs: [0, 1, 1_000, MINUTE_MS, 5 * MINUTE_MS, HOUR_MS],
    historicalShare,
    people: 5,
  });

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

async function newWorld(maxBatchEvents: number, caches = {}): Promise<World> {
  const world = await createWorld(START_MS, { limits: { maxBatchEvents, ...caches } });
  worlds.push(world);
  await defineSome(world);
  return world;
}

async function outcome(world: World) {
  world.clock.advance(DAY_MS);
  await world.drain();
  const definitions = await world.engine.definitions.current();
  return { state: await readState(world.db, definitions, world.clock.now()), feed: await readFeed(world.db) };
}

async function applied(log: readonly LogStep[], maxBatchEvents: number, caches = {}) {
  const world = await newWorld(maxBatchEvents, caches);
  await acceptLog(world, log);
  await world.drain();
  return outcome(world);
}

describe('the same log, applied in other batches', () => {
  it.each(SEEDS)('gives the same profiles, traits, features, memberships and feed (log %i)', async (seed) => {
    const log = logOf(seed);
    const expected = await applied(log, 1000);
    expect(expected.feed.length).toBeGreaterThan(50);
    expect(expected.feed.some((line) => line.includes(' merge '))).toBe(true);
    expect(await applied(log, 7)).toEqual(expected);
    expect(await applied(log, 1)).toEqual(expected);
  });

  it('does so where hardly anything stays in memory', async () => {
    const log = logOf(4);
    const expected = await applied(log, 1000);
    expect(await applied(log, 5, { maxCachedProfiles: 1, maxCachedIdentifiers: 2 })).toEqual(expected);
  });

  it('does so where the worker keeps up', async () => {
    const log = logOf(5);
    const expected = await applied(log, 1000);
    const world = await newWorld(1000);
    await acceptLog(world, log, () => world.drain());
    const { state, feed } = await outcome(world);
    expect(state).toEqual(expected.state);
    expect(byProfile(feed)).toEqual(byProfile(expected.feed));
  });

  it('gives the same but for the feed with two workers that share the partitions', async () => {
    const log = logOf(6);
    const expected = await applied(log, 1000);
    const world = await newWorld(7);
    await acceptLog(world, log);
    const second = await world.another({ maxBatchEvents: 13 });
    await drainAll(world, second);
    world.clock.advance(DAY_MS);
    await drainAll(world, second);
    const definitions = await world.engine.definitions.current();
    const state = await readState(world.db, definitions, world.clock.now());
    expect(state).toEqual(expected.state);
  });
});

describe('the same events, accepted in another order', () => {
  it.each(SEEDS)('give the same profiles, traits, features and memberships (log %i)', async (seed) => {
    const log = logOf(seed, 0);
    const end = log.reduce((sum, step) => sum + step.advanceMs, START_MS);
    const events = log.flatMap((step) => step.events);
    const acceptedAtOnce = async (order: typeof events, maxBatchEvents: number) => {
      const world = await newWorld(maxBatchEvents);
      world.clock.set(end);
      for (let i = 0; i < order.length; i += 50) await world.accept(order.slice(i, i + 50));
      await world.drain();
      return (await outcome(world)).state;
    };
    const expected = await acceptedAtOnce(events, 1000);
    expect(await acceptedAtOnce(shuffled(randomFrom(seed), events), 1000)).toEqual(expected);
    expect(await acceptedAtOnce(shuffled(randomFrom(seed + 100), events), 11)).toEqual(expected);
  });
});

/** Both workers at once, in turns, until neither has anything left to do. */
async function drainAll(world: World, second: World['engine']): Promise<void> {
  for (let idle = 0; idle < 2;) {
    const done = await Promise.all([world.engine.worker.runOnce(), second.worker.runOnce()]);
    idle = done.some(Boolean) ? 0 : idle + 1;
  }
}
