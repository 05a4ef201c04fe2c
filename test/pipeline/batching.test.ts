import { afterEach, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine.js';
import { byProfile, readFeed, readState, withoutEntries } from '../support/pipeline-state.js';
import { acceptLog, randomFrom, randomLog, shuffled, type LogStep } from '../support/random-log.js';
import { defineScored } from '../support/timed-model.js';
import { aTrack, createWorld, DAY_MS, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

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
  await defineScored(world);
  return world;
}

async function outcome(world: World, { worker }: Engine = world.engine) {
  world.clock.advance(DAY_MS);
  await worker.drain();
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
    expect(expected.feed.filter((line) => /second .* timer/.test(line)).length).toBeGreaterThan(5);
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

  it.each(SEEDS)('does so where the process is replaced at random moments (log %i)', async (seed) => {
    const log = randomLog(randomFrom(seed + 200), {
      steps: 150,
      maxEventsPerStep: 2,
      advancesMs: [1_000, MINUTE_MS, 2 * MINUTE_MS, 3 * MINUTE_MS],
      historicalShare: 0.2,
      people: 3,
    });
    const expected = await applied(log, 1000);
    const random = randomFrom(seed + 300);
    const world = await newWorld(1000);
    let engine = world.engine;
    let restarts = 0;
    await acceptLog(world, log, async () => {
      if (random() < 0.6) await engine.worker.drain();
      if (random() < 0.2) {
        await engine.worker.stop();
        engine = await world.engineOn(world.db, { maxBatchEvents: random() < 0.5 ? 3 : 1000 });
        restarts++;
      }
      // Timers fire between the events, too.
      if (random() < 0.3) await engine.worker.drain();
    });
    await engine.worker.drain();
    expect(restarts).toBeGreaterThan(10);
    const { state, feed } = await outcome(world, engine);
    expect(state).toEqual(expected.state);
    expect(byProfile(feed)).toEqual(byProfile(expected.feed));
  });

  it('gives the same `since` where a batch ends within an instant of acceptance of loaded history', async () => {
    const sinces = async (maxBatchEvents: number) => {
      const world = await createWorld(START_MS, { limits: { maxBatchEvents } });
      worlds.push(world);
      await world.accept([], { source: 'web' });
      await world.defineSegment('in', 'performed("login") && (!performed("logout") || last("login") > last("logout"))');
      await world.drain();
      const load = (name: string, agoMs: number) =>
        aTrack(name, { anonymous_id: 'a' }, { timestampMs: START_MS - agoMs });
      await world.accept([load('login', 9_000)], { historical: true });
      await world.drain();
      world.clock.advance(HOUR_MS);
      await world.accept([load('logout', 2_000), load('login', 1_000)], { historical: true });
      await world.drain();
      return (await world.db.query<{ since: number }>('SELECT since FROM memberships')).map((row) => row.since);
    };
    expect(await sinces(1000)).toEqual([START_MS + HOUR_MS + 1]);
    expect(await sinces(1)).toEqual([START_MS + HOUR_MS + 1]);
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
    expect(withoutEntries(state)).toEqual(withoutEntries(expected.state));
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
      return withoutEntries((await outcome(world)).state);
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
