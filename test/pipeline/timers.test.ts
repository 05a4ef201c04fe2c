import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine.js';
import { aFeature } from '../support/a-feature.js';
import { promoteTimedModel, TIMED_FEATURES, TIMED_MODEL } from '../support/timed-model.js';
import { aTrack, anIdentify, createWorld, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

const CART_AGE_MS = 5 * MINUTE_MS;

describe('timers', () => {
  let world: World;

  beforeEach(async () => {
    world = await createWorld(START_MS, { limits: { maxBatchTimers: 400 } });
    await world.accept([], { source: 'web' });
    await world.defineSegment('abandoned', 'since("cart") >= "5m" && count("buy", "24h") == 0');
    await world.drain();
  });

  afterEach(async () => {
    await world.close();
  });

  const cart = (i: number) => aTrack('cart', { anonymous_id: `a${String(i)}` });
  const enters = async () => (await world.feed()).map((change) => change.at - START_MS - CART_AGE_MS);

  /** A new worker in place of the old one, as after a restart. */
  async function restarted(from: Engine): Promise<Engine> {
    await from.worker.stop();
    return world.another({ maxBatchTimers: 3 });
  }

  it('fire at their due time and in its order, however long nobody looked', async () => {
    const order = [7, 3, 9, 1, 5, 0, 8, 2, 6, 4];
    for (const i of order) {
      await world.accept([aTrack('cart', { anonymous_id: `a${String(i)}` }, { timestampMs: START_MS - i * 1_000 })]);
    }
    await world.drain();
    world.clock.advance(HOUR_MS);
    await world.drain();
    expect(await enters()).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1, 0].map((i) => 0 - i * 1_000));
  });

  it('survive restarts and are never doubled', async () => {
    let engine = world.engine;
    for (let i = 0; i < 20; i++) {
      world.clock.advance(1_000);
      await world.accept([cart(i)]);
      await engine.worker.drain();
    }
    for (let i = 0; i < 8; i++) {
      world.clock.advance(MINUTE_MS);
      await engine.worker.runOnce();
      engine = await restarted(engine);
      await engine.worker.runOnce();
    }
    await engine.worker.drain();
    expect(await enters()).toEqual(Array.from({ length: 20 }, (_, i) => (i + 1) * 1_000));
    const timers = await world.db.query('SELECT FROM timers WHERE due_at <= $1', [world.clock.now()]);
    expect(timers).toEqual([]);
  });

  it('that are too early after a merge, as a restart finds them, do not renew a score before its time', async () => {
    const flips = async (restart: boolean): Promise<string[]> => {
      const own = await createWorld(START_MS);
      try {
        await own.accept([], { source: 'web' });
        const shared = { aggregate: 'last', events: ['seen'], windowMs: 5 * MINUTE_MS, type: 'double' } as const;
        await own.defineFeatures(
          TIMED_FEATURES.map(({ name }, i) => aFeature(name, { ...shared, value: `properties.x${String(i)}` })),
        );
        await promoteTimedModel(own);
        await own.defineSegment('third', `label("${TIMED_MODEL}") == "third"`);
        await own.drain();
        const properties = { x0: 6.7, x1: 3.1, x2: 5.6, x3: 2.4 };
        await own.accept([
          aTrack('seen', { anonymous_id: 'a' }, { properties }),
          aTrack('home', { anonymous_id: 'b' }),
        ]);
        await own.drain();
        own.clock.advance(200_000);
        await own.accept(['a', 'b'].map((who) => anIdentify({ anonymous_id: who, user_id: 'u' })));
        await own.drain();
        const engine = restart ? await own.engineOn(own.db) : own.engine;
        if (restart) await own.engine.worker.stop();
        for (let i = 0; i < 40; i++) {
          own.clock.advance(10_000);
          await engine.worker.drain();
        }
        return (await own.feed()).map((c) => `${c.kind} ${String(c.at - START_MS)} ${c.cause.kind}`);
      } finally {
        await own.close();
      }
    };
    // The values leave their window at a whole hop, 22:20.
    const expected = ['enter 1 event', 'leave 400000 timer'];
    expect(await flips(false)).toEqual(expected);
    expect(await flips(true)).toEqual(expected);
  });

  it('fire all, in batches, where thousands are due at once', async () => {
    await world.accept(Array.from({ length: 3_000 }, (_, i) => cart(i)));
    await world.drain();
    world.batches.length = 0;
    world.clock.advance(CART_AGE_MS);
    await world.drain();
    const feed = await world.feed();
    expect(feed).toHaveLength(3_000);
    expect(new Set(feed.map((change) => change.profileId)).size).toBe(3_000);
    expect(new Set(feed.map((change) => change.at))).toEqual(new Set([START_MS + CART_AGE_MS]));
    expect(Math.max(...world.batches.map((batch) => batch.timers))).toBe(400);
  });

  it('wait for events that were accepted before and are still in the log', async () => {
    const engine = await world.another({ maxBatchEvents: 2 });
    await world.engine.worker.stop();
    await world.accept([cart(1), cart(2)]);
    await engine.worker.drain();
    world.clock.advance(MINUTE_MS);
    await world.accept(Array.from({ length: 9 }, (_, i) => aTrack('view', { anonymous_id: `b${String(i)}` })));
    await world.accept([aTrack('buy', { anonymous_id: 'a1' })]);
    world.clock.advance(HOUR_MS);
    for (let round = 0; round < 4; round++) {
      await engine.worker.runOnce();
      expect(await enters()).toEqual([]);
    }
    await engine.worker.drain();
    expect(await enters()).toEqual([0]);
  });

  it('fire although events keep coming', async () => {
    const engine = await world.another({ maxBatchEvents: 1 });
    await world.engine.worker.stop();
    await world.accept([cart(1)]);
    await engine.worker.drain();
    world.clock.advance(HOUR_MS);
    for (let round = 0; round < 6; round++) {
      world.clock.advance(1_000);
      await world.accept([0, 1].map((i) => aTrack('view', { anonymous_id: `b${String(2 * round + i)}` })));
      await engine.worker.runOnce();
    }
    expect(await enters()).toEqual([0]);
  });

  it('let definitions change although events keep coming', async () => {
    const engine = await world.another();
    await world.engine.worker.stop();
    await world.accept([aTrack('view', { anonymous_id: 'a1' })]);
    await engine.worker.drain();
    await world.defineSegment('viewers', 'count("view", "30d") >= 1');
    for (let round = 0; round < 700; round++) {
      world.clock.advance(1_000);
      await world.accept([aTrack('home', { anonymous_id: `b${String(round % 10)}` })]);
      await engine.worker.runOnce();
      if ((await world.feed()).length > 0) break;
    }
    expect((await world.feed()).map((change) => change.segment)).toEqual(['viewers']);
  });

  it('say that an edit was the cause where a segment was activated, changed or archived', async () => {
    await world.accept([cart(1), aTrack('view', { anonymous_id: 'a2' })]);
    await world.drain();
    const edit = async (work: () => Promise<unknown>) => {
      world.clock.advance(1_000);
      await work();
      await world.drain();
      world.clock.advance(1);
      await world.drain();
    };
    await edit(() => world.defineSegment('viewers', 'performed("view")'));
    await edit(() => world.defineSegment('viewers', 'performed("view") || performed("cart")'));
    await edit(() => world.engine.services.segments.archive('viewers'));
    world.clock.advance(CART_AGE_MS);
    await world.drain();
    expect((await world.feed()).map((c) => [c.segment, c.kind, c.cause.kind, c.at - START_MS])).toEqual([
      ['viewers', 'enter', 'edit', 1_001],
      ['viewers', 'enter', 'edit', 2_002],
      ['viewers', 'leave', 'edit', 3_003],
      ['viewers', 'leave', 'edit', 3_003],
      ['abandoned', 'enter', 'timer', CART_AGE_MS],
    ]);
  });

  it('that are overdue when definitions change fire at their own time, and not as edits', async () => {
    await world.accept([cart(1)]);
    await world.drain();
    await world.engine.worker.stop();
    world.clock.advance(HOUR_MS);
    await world.defineSegment('never_bought', '!performed("buy") && since("cart") >= "10m"');
    const engine = await world.another();
    await engine.worker.drain();
    world.clock.advance(1);
    await engine.worker.drain();
    const [first] = await world.feed();
    expect([first?.segment, first?.cause.kind, (first?.at ?? 0) - START_MS]).toEqual([
      'abandoned',
      'timer',
      CART_AGE_MS,
    ]);
    expect(await world.feed()).toHaveLength(2);
  });
});
