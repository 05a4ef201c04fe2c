import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { SourceService } from '../../src/sources/source.service.js';
import { SourceStore } from '../../src/sources/source.store.js';
import { readFeed, readState, withoutEntries } from '../support/pipeline-state.js';
import { aFeature } from '../support/a-feature.js';
import { acceptLog, randomFrom, randomLog, SOME_FEATURES, type LogStep } from '../support/random-log.js';
import { aTrack, createWorld, DAY_MS, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

async function newWorld(): Promise<World> {
  const world = await createWorld(START_MS, { limits: { maxBackfillEvents: 5 } });
  worlds.push(world);
  return world;
}

function createSource(world: World, key: string): Promise<unknown> {
  return new SourceService(new SourceStore(world.db.dataSource), world.clock).create({ key, kind: 'http' });
}

async function unsweptPartitions(world: World): Promise<number> {
  const [row] = await world.db.query<{ n: number }>(
    'SELECT count(*) AS n FROM partitions WHERE swept_version < (SELECT definitions_version FROM installation)',
  );
  return row?.n ?? -1;
}

const timersFired = (world: World): number => world.batches.reduce((sum, { timers }) => sum + timers, 0);

const FEATURES = [...SOME_FEATURES, aFeature('shop_buys', { events: ['buy'], source: 'shop' })];

async function define(world: World): Promise<void> {
  await world.defineFeatures(FEATURES);
  await world.defineSegment('buyers', 'f.shop_buys >= 1');
  await world.defineSegment('keen', 'count("view", "1h") >= 2');
}

describe('a new source', () => {
  it('has no profile evaluated anew', async () => {
    const world = await newWorld();
    await world.accept([aTrack('view', { anonymous_id: 'a1' }), aTrack('buy', { anonymous_id: 'a2' })]);
    await define(world);
    await world.drain();
    world.clock.advance(1);
    await world.drain();
    const before = { fired: timersFired(world), version: (await world.engine.definitions.current()).version };
    expect(await unsweptPartitions(world)).toBe(0);

    await createSource(world, 'shop');
    expect(await unsweptPartitions(world)).toBe(0);
    await world.drain();
    world.clock.advance(1);
    await world.drain();
    expect(timersFired(world)).toBe(before.fired);
    const { sourceKeys, version } = await world.engine.definitions.current();
    expect([...sourceKeys.values()]).toContain('shop');
    expect(version).toBe(before.version + 1);

    await world.accept([aTrack('buy', { anonymous_id: 'a1' })], { source: 'shop' });
    await world.drain();
    expect((await world.feed()).map((change) => change.segment)).toEqual(['buyers']);
  });

  it('leaves what a change of definitions before it has yet to sweep', async () => {
    const world = await newWorld();
    await world.accept([aTrack('view', { anonymous_id: 'a1' }), aTrack('view', { anonymous_id: 'a1' })]);
    await world.drain();
    await world.defineSegment('viewers', 'performed("view")');
    await createSource(world, 'shop');
    expect(await unsweptPartitions(world)).toBeGreaterThan(0);
    await world.drain();
    world.clock.advance(1);
    await world.drain();
    expect((await world.feed()).map((change) => change.segment)).toEqual(['viewers']);
    expect(await unsweptPartitions(world)).toBe(0);
  });

  it('and a worker wait for each other, never crosswise', async () => {
    const world = await newWorld();
    await world.accept([aTrack('view', { anonymous_id: 'a1' })]);
    await world.drain();
    const parts = await world.db.query<{ part: number }>('SELECT part FROM partitions ORDER BY part DESC');
    // A worker meets the rows in the order in which they lie in their table: here from the last to the first.
    for (const { part } of parts) {
      await world.db.execute('UPDATE partitions SET epoch = epoch WHERE part = $1', [part]);
    }
    const middle = parts[Math.floor(parts.length / 2)]?.part;
    await world.accept([aTrack('view', { anonymous_id: 'a2' })]);

    const waiting = async (): Promise<number> => {
      const [row] = await world.db.query<{ n: number }>(
        `SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      return row?.n ?? 0;
    };
    const until = async (n: number): Promise<void> => {
      while ((await waiting()) < n) await turn();
    };
    const [round, creation] = await world.db
      .transaction(async (tx) => {
        await tx.query('SELECT FROM partitions WHERE part = $1 FOR UPDATE', [middle]);
        const working = world.engine.worker.runOnce();
        await until(1);
        const creating = createSource(world, 'shop');
        await until(2);
        return [working, creating] as const;
      })
      .then((both) => Promise.allSettled(both));
    expect([round, creation]).toMatchObject([{ status: 'fulfilled' }, { status: 'fulfilled' }]);
    await world.db.query('SELECT pg_stat_force_next_flush()');
    const [row] = await world.db.query<{ n: number }>(
      'SELECT deadlocks AS n FROM pg_stat_database WHERE datname = current_database()',
    );
    expect(row?.n).toBe(0);
  });

  const logOf = (seed: number): LogStep[] =>
    randomLog(randomFrom(seed), {
      steps: 40,
      maxEventsPerStep: 5,
      advancesMs: [0, 1, MINUTE_MS, HOUR_MS],
      historicalShare: 0.2,
      people: 4,
    });

  /** Sources `web` and `shop`, and others that matter to nobody, come at these steps; the definitions at step 12. */
  async function run(seed: number, shopAt: number, othersAt: readonly number[]) {
    const world = await newWorld();
    await world.accept([], { source: 'web' });
    const random = randomFrom(seed + 1_000);
    for (const [index, step] of logOf(seed).entries()) {
      if (index === shopAt) await createSource(world, 'shop');
      if (othersAt.includes(index)) await createSource(world, `other_${String(index)}`);
      if (index === 12) await define(world);
      await acceptLog(world, [step]);
      if (index >= 15) {
        const bought = aTrack(
          'buy',
          { anonymous_id: `cookie-${String(index % 4)}-0` },
          { messageId: `s${String(index)}` },
        );
        await world.accept([bought], { source: 'shop' });
      }
      if (random() < 0.6) await world.engine.worker.runOnce();
    }
    world.clock.advance(DAY_MS);
    await world.drain();
    world.clock.advance(1);
    await world.drain();
    const definitions = await world.engine.definitions.current();
    const { states: _, ...state } = withoutEntries(await readState(world.db, definitions, world.clock.now()));
    return { state, changes: (await readFeed(world.db)).length > 0 };
  }

  it.each([71, 72, 73])(
    'changes no result, whenever it comes: before the definitions, in a backfill, between events (log %i)',
    async (seed) => {
      const expected = await run(seed, 0, []);
      expect(expected.changes).toBe(true);
      expect(await run(seed, 13, [11, 13, 20, 33])).toEqual(expected);
      expect(await run(seed, 15, [1, 14, 16, 17, 39])).toEqual(expected);
    },
  );
});
