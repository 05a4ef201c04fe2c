import { afterEach, describe, expect, it } from 'vitest';
import { faultyDatabase, noFaults, type Faults } from '../support/faulty-database.js';
import { readFeed, readState } from '../support/pipeline-state.js';
import { acceptLog, defineSome, randomFrom, randomLog, type LogStep } from '../support/random-log.js';
import { createWorld, DAY_MS, HOUR_MS, MINUTE_MS, type World } from '../support/world.js';

const log: readonly LogStep[] = randomLog(randomFrom(11), {
  steps: 60,
  maxEventsPerStep: 5,
  advancesMs: [0, 1, MINUTE_MS, 5 * MINUTE_MS, HOUR_MS],
  historicalShare: 0.2,
  people: 4,
});

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

async function newWorld(): Promise<World> {
  const world = await createWorld();
  worlds.push(world);
  return world;
}

const hasFailed = (faults: Faults): boolean => faults.failAtStatement === null;

async function outcome(world: World) {
  const definitions = await world.engine.definitions.current();
  return { state: await readState(world.db, definitions, world.clock.now()), feed: await readFeed(world.db) };
}

async function undisturbed() {
  const world = await newWorld();
  await defineSome(world);
  await acceptLog(world, log, () => world.drain());
  world.clock.advance(DAY_MS);
  await world.drain();
  return outcome(world);
}

describe('a transaction that fails', () => {
  it('at any of its statements leaves nothing behind, and is done again', async () => {
    const world = await newWorld();
    const faults = noFaults();
    const engine = await world.engineOn(faultyDatabase(world.db, faults));
    await defineSome({ ...world, drain: () => engine.worker.drain() });
    let statement = 1;
    let failures = 0;
    await acceptLog(world, log, async () => {
      faults.failAtStatement = statement;
      await engine.worker.drain();
      // Beyond the last statement of whatever there was to do: from the first again.
      const failed = hasFailed(faults);
      if (failed) failures++;
      statement = failed ? statement + 1 : 1;
    });
    faults.failAtStatement = null;
    world.clock.advance(DAY_MS);
    await engine.worker.drain();
    expect(failures).toBeGreaterThan(40);
    expect(faults.maxStatements).toBeGreaterThan(10);
    expect(await outcome(world)).toEqual(await undisturbed());
  });

  it('in its COMMIT, which the server did, is not done twice', async () => {
    const world = await newWorld();
    const faults = noFaults();
    const engine = await world.engineOn(faultyDatabase(world.db, faults));
    await defineSome({ ...world, drain: () => engine.worker.drain() });
    await acceptLog(world, log, async () => {
      faults.loseNextCommit = true;
      await engine.worker.drain();
      expect(faults.loseNextCommit).toBe(false);
    });
    faults.loseNextCommit = true;
    world.clock.advance(DAY_MS);
    await engine.worker.drain();
    expect(await outcome(world)).toEqual(await undisturbed());
  });
});
