import { afterEach, describe, expect, it } from 'vitest';
import type { EngineLimits } from '../../src/engine-limits.js';
import { MAX_REPLAY_ROWS } from '../../src/identity/resolve-component.js';
import { LANE_PAUSE_MS } from '../../src/identity/contested-component.model.js';
import { acceptLog, defineSome, randomFrom, randomLog, shuffled } from '../support/random-log.js';
import { knownOf, strays } from '../support/retraction-builders.js';
import { aTrack, anIdentify, createWorld, DAY_MS, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

async function newWorld(limits: Partial<EngineLimits> = {}): Promise<World> {
  const world = await createWorld(START_MS, { limits });
  worlds.push(world);
  await world.accept([], { source: 'web' });
  return world;
}

/** Until nothing is left to be resolved by the way. */
async function settle(world: World, worker = world.engine.worker): Promise<void> {
  for (let i = 0; i < 50; i++) {
    await worker.drain();
    const [open] = await world.db.query('SELECT FROM contested_components WHERE news > resolved_news');
    if (open === undefined) return;
    world.clock.advance(100 * LANE_PAUSE_MS);
  }
  throw new Error('it is never done');
}

const contestedIn = (world: World) =>
  world.db.query<{ news: number; resolved: number; rows: number; groups: number; beyond: boolean }>(
    `SELECT news, resolved_news AS resolved, evidence_rows AS rows, groups, is_beyond AS beyond FROM contested_components`,
  );

const applied = async (world: World): Promise<boolean> => {
  const [row] = await world.db.query<{ isApplied: boolean }>(
    'SELECT (SELECT min(applied_pos) FROM partitions) = (SELECT pos FROM log_head) AS "isApplied"',
  );
  return row?.isApplied ?? false;
};

describe('a component with more evidence than is replayed between two events', () => {
  it.each([11, 12])('becomes what a replay of all of it gives, in whatever order it came (%i)', async (seed) => {
    const shape = {
      steps: 25,
      maxEventsPerStep: 6,
      advancesMs: [MINUTE_MS, HOUR_MS, DAY_MS],
      historicalShare: 0.2,
      people: 4,
    };
    const log = randomLog(randomFrom(seed), shape);
    const whole = await newWorld();
    const small = await newWorld({ maxReplayRows: 3 });
    for (const world of [whole, small]) await defineSome(world);
    await acceptLog(whole, log, () => whole.drain());
    await acceptLog(small, log, () => small.drain());
    expect((await contestedIn(small)).length).toBeGreaterThan(0);
    await settle(small);
    whole.clock.advance(small.clock.now() - whole.clock.now());
    await whole.drain();
    expect(await strays(small.db)).toEqual([]);
    expect(await knownOf(small)).toEqual(await knownOf(whole));
    // At once, in another order.
    const other = await newWorld({ maxReplayRows: 3 });
    await defineSome(other);
    other.clock.advance(small.clock.now() - other.clock.now());
    await other.accept(
      shuffled(
        randomFrom(seed + 100),
        log.flatMap(({ events }) => events),
      ),
    );
    await settle(other);
    expect((await knownOf(other)).profiles).toEqual((await knownOf(small)).profiles);
  });

  it('is gone on with by another process, and is contested no more once enough was taken back', async () => {
    const world = await newWorld({ maxReplayRows: 10 });
    const people = Array.from({ length: 30 }, (_, i) => i);
    for (const i of people) {
      await world.accept([anIdentify({ email: 'info@shop.example', anonymous_id: `c${String(i)}` })]);
      world.clock.advance(i % 2 === 0 ? MINUTE_MS : 8 * DAY_MS);
    }
    await world.drain();
    const other = await world.another({ maxReplayRows: 10 });
    await world.engine.worker.stop();
    await settle(world, other.worker);
    const whole = await newWorld();
    for (const i of people) {
      await whole.accept([anIdentify({ email: 'info@shop.example', anonymous_id: `c${String(i)}` })]);
      whole.clock.advance(i % 2 === 0 ? MINUTE_MS : 8 * DAY_MS);
    }
    await whole.drain();
    expect((await knownOf(world)).profiles).toEqual((await knownOf(whole)).profiles);
    expect(await contestedIn(world)).toMatchObject([{ rows: 30, groups: 1, beyond: false }]);
    // With a larger bound there is nothing to be resolved by the way.
    const larger = await world.another({ maxReplayRows: 100 });
    await other.worker.stop();
    await world.accept([anIdentify({ email: 'info@shop.example', anonymous_id: 'one more' })]);
    await settle(world, larger.worker);
    expect(await contestedIn(world)).toEqual([]);
  });

  it('of more than 10,000 rows is resolved while events go on being applied, one by one', async () => {
    const world = await newWorld();
    const cookies = 10_500;
    for (let from = 0; from < cookies; from += 500) {
      const batch = Array.from({ length: 500 }, (_, i) =>
        anIdentify({ email: 'info@shop.example', anonymous_id: `c${String(from + i)}` }),
      );
      await world.accept(batch);
      if (from + 500 <= MAX_REPLAY_ROWS) await world.drain();
      world.clock.advance(HOUR_MS);
    }
    await world.engine.worker.runOnce();
    let rounds = 0;
    for (; ; rounds++) {
      await world.accept([aTrack('view', { user_id: `u${String(rounds)}` })]);
      await world.engine.worker.runOnce();
      // Whatever is resolved meanwhile: what was accepted before the round is applied by it.
      expect(await applied(world)).toBe(true);
      const [row] = await contestedIn(world);
      if (row !== undefined && row.news === row.resolved) {
        expect(row.rows).toBe(cookies);
        break;
      }
      world.clock.advance(1_000);
      expect(rounds).toBeLessThan(2_000);
    }
    expect(rounds).toBeGreaterThan(50);
    // Newcomers of later weeks have room beside those of the first.
    world.clock.advance(8 * DAY_MS);
    await world.accept([anIdentify({ email: 'info@shop.example', anonymous_id: 'later' })]);
    await settle(world);
    const { profiles } = await knownOf(world);
    expect(profiles.find((names) => names.includes('info@shop.example'))).toContain('anonymous_id:later');
  });
});
