import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { drainTogether } from '../support/drain-together.js';
import { loseSessions } from '../support/lose-sessions.js';
import { partitionShares } from '../support/partition-shares.js';
import { readFeed, readState, withoutEntries } from '../support/pipeline-state.js';
import { acceptLog, defineSome, pick, randomFrom, randomLog } from '../support/random-log.js';
import { anIdentify, aTrack, createWorld, DAY_MS, START_MS, type World } from '../support/world.js';

/** Who entered when depends on how far each worker is. */
async function stateOf({ db, engine, clock }: World) {
  return withoutEntries(await readState(db, await engine.definitions.current(), clock.now()));
}

describe('two workers', () => {
  let world: World;
  let second: Engine;

  beforeEach(async () => {
    world = await createWorld(START_MS, { limits: { maxBatchEvents: 5 } });
    second = await world.engineOn(await world.test.connect({ entities: [SourceEntity], applicationName: 'second' }));
  });

  afterEach(async () => {
    await world.close();
  });

  const bothDrain = () => drainTogether([world.engine.worker, second.worker]);

  const shares = () => partitionShares(world.db);

  /** The first worker notices the second one at its next look, which it takes every two seconds. */
  async function settle(expected: readonly number[]): Promise<void> {
    for (;;) {
      await bothDrain();
      if ((await shares()).join() === expected.join()) return;
      await setImmediate();
    }
  }

  const killSecond = () => loseSessions(world.db, 'second');

  it('share the partitions', async () => {
    await settle([8, 8]);
    await second.worker.stop();
    await settle([16]);
  });

  it('miss nothing where the anchors of one profile are in the hands of both', async () => {
    await world.defineSegment('keen', 'count("view", "1h") >= 2');
    await settle([8, 8]);
    const people = Array.from({ length: 60 }, (_, i) => ({ user_id: `u${String(i)}`, anonymous_id: `a${String(i)}` }));
    await world.accept(people.map((who) => anIdentify(who)));
    await bothDrain();
    await world.accept([
      ...people.map(({ user_id }) => aTrack('view', { user_id })),
      ...people.map(({ anonymous_id }) => aTrack('view', { anonymous_id })),
    ]);
    await bothDrain();
    const feed = await world.feed();
    expect(feed.map((change) => change.kind)).toEqual(people.map(() => 'enter'));
    expect(new Set(feed.map((change) => change.profileId)).size).toBe(people.length);
    expect(feed.map((change) => change.seq)).toEqual(people.map((_, i) => i + 1));
  });

  it('merge the same people from both sides and end where one worker ends', async () => {
    await defineSome(world);
    await settle([8, 8]);
    const log = randomLog(randomFrom(31), {
      steps: 60,
      maxEventsPerStep: 20,
      advancesMs: [0, 1, 1_000],
      historicalShare: 0,
      people: 12,
    });
    const random = randomFrom(32);
    const ties = Array.from({ length: 40 }, () => {
      const person = String(Math.floor(random() * 12));
      const ids = { user_id: `user-${person}`, anonymous_id: `cookie-${person}-${pick(random, ['0', '1', '2'])}` };
      return anIdentify(ids, {}, { timestampMs: START_MS });
    });
    await acceptLog(world, log, (step) => (step % 3 === 0 ? bothDrain() : Promise.resolve()));
    await world.accept(ties);
    await bothDrain();
    world.clock.advance(DAY_MS);
    await bothDrain();
    const state = await stateOf(world);
    await readFeed(world.db);

    const alone = await createWorld();
    try {
      await defineSome(alone);
      await acceptLog(alone, log);
      await alone.accept(ties);
      await alone.drain();
      alone.clock.advance(DAY_MS);
      await alone.drain();
      expect(state).toEqual(await stateOf(alone));
    } finally {
      await alone.close();
    }
    const strays = await world.db.query(
      `SELECT i.ns, i.value FROM identifiers i LEFT JOIN profiles p ON p.id = i.profile_id
       WHERE p.id IS NULL OR p.merged_into IS NOT NULL`,
    );
    expect(strays).toEqual([]);
  });

  it('take over from each other where one loses its sessions, again and again', async () => {
    await defineSome(world);
    await settle([8, 8]);
    const log = randomLog(randomFrom(41), {
      steps: 60,
      maxEventsPerStep: 10,
      advancesMs: [0],
      historicalShare: 0.2,
      people: 10,
    });
    await acceptLog(world, log, async (step) => {
      if (step % 6 !== 5) return;
      const draining = bothDrain();
      await killSecond();
      await draining;
    });
    world.clock.advance(DAY_MS);
    await bothDrain();
    const state = await stateOf(world);

    const alone = await createWorld();
    try {
      await defineSome(alone);
      await acceptLog(alone, log);
      await alone.drain();
      alone.clock.advance(DAY_MS);
      await alone.drain();
      expect(state).toEqual(await stateOf(alone));
    } finally {
      await alone.close();
    }
  });

  it('one goes on with all the work after the other is gone without a word', async () => {
    await world.defineSegment('visited', 'performed("visit")');
    await settle([8, 8]);
    await world.accept(Array.from({ length: 100 }, (_, i) => aTrack('visit', { anonymous_id: `a${String(i)}` })));
    await killSecond();
    while ((await world.feed()).length < 100) await world.drain();
    expect(await shares()).toEqual([16]);
    expect(await readFeed(world.db)).toHaveLength(100);
  });

  it('agree on definitions that one of them changes while the other works', async () => {
    await settle([8, 8]);
    const visits = (from: number) =>
      Array.from({ length: 40 }, (_, i) => aTrack('visit', { anonymous_id: `a${String(from + i)}` }));
    for (let round = 0; round < 8; round++) {
      await world.accept(visits(round * 20));
      const draining = bothDrain();
      await world.defineSegment(
        'frequent',
        `count("visit", "30d") >= 1 && count("visit", "${String(round + 1)}h") < 5`,
      );
      await draining;
      world.clock.advance(10);
    }
    await bothDrain();
    world.clock.advance(1);
    await bothDrain();
    const [members] = await world.db.query<{ n: number }>('SELECT count(*)::int4 AS n FROM memberships');
    expect(members).toEqual({ n: 180 });
    const stale = await world.db.query(
      'SELECT part FROM partitions WHERE swept_version < (SELECT definitions_version FROM installation)',
    );
    expect(stale).toEqual([]);
  });
});
