import { afterEach, describe, expect, it } from 'vitest';
import type { FeatureDefinition } from '../../src/features/feature.model.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { readState, withoutEntries } from '../support/pipeline-state.js';
import { aFeature } from '../support/a-feature.js';
import { storedAndFolded } from '../support/folded-log.js';
import { loseSessions } from '../support/lose-sessions.js';
import { acceptLog, defineSome, randomFrom, randomLog, SOME_FEATURES, type LogStep } from '../support/random-log.js';
import { aTrack, createWorld, DAY_MS, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

const logOf = (seed: number): LogStep[] =>
  randomLog(randomFrom(seed), {
    steps: 60,
    maxEventsPerStep: 6,
    advancesMs: [0, 1, MINUTE_MS, HOUR_MS],
    historicalShare: 0.3,
    people: 5,
  });

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

async function newWorld(): Promise<World> {
  const world = await createWorld(START_MS, { limits: { maxBackfillEvents: 3 } });
  worlds.push(world);
  await world.accept([], { source: 'web' });
  return world;
}

/** After a day, with everything done; `sinceMs` later than the log. */
async function settled(world: World) {
  world.clock.advance(DAY_MS);
  await world.drain();
  world.clock.advance(1);
  await world.drain();
  return withoutEntries(await readState(world.db, await world.engine.definitions.current(), world.clock.now()));
}

/** Features by key, that fade, and that read streams of others. */
const MORE_FEATURES = [
  aFeature('spend_by_sku', {
    ...{ aggregate: 'sum', value: 'properties.total', type: 'double_map', options: { by: 'properties.sku' } },
  }),
  aFeature('interest', {
    ...{ aggregate: 'affinity', value: 'properties.sku', type: 'double_map', options: { halfLifeMs: HOUR_MS } },
  }),
  aFeature('last_skus', { aggregate: 'last_n', value: 'properties.sku', limit: 3, type: 'string_list' }),
  aFeature('dearest_95', { aggregate: 'percentile', value: 'properties.total', type: 'double', options: { p: 0.95 } }),
  aFeature('views_per_cart', {
    aggregate: 'ratio',
    type: 'double',
    options: {
      numerator: aFeature('views_2d', { events: ['view'], windowMs: 2 * DAY_MS }),
      denominator: aFeature('carts_2d', { events: ['cart'], windowMs: 2 * DAY_MS }),
    },
  }),
];

async function definedFirst(log: readonly LogStep[], more: readonly FeatureDefinition[] = []) {
  const world = await newWorld();
  await defineSome(world);
  if (more.length > 0) await world.defineFeatures([...SOME_FEATURES, ...more]);
  await acceptLog(world, log, () => world.drain());
  return settled(world);
}

describe('the state of an anchor', () => {
  it.each([61, 62])('is what folding its events from the log gives, byte for byte (log %i)', async (seed) => {
    const world = await newWorld();
    await defineSome(world, MORE_FEATURES);
    await acceptLog(world, logOf(seed), () => world.drain());
    const { stored, folded } = await storedAndFolded(world);
    expect(stored.length).toBeGreaterThan(15);
    expect(stored).toEqual(folded);
  });
});

describe('features that are defined after the events', () => {
  it('are what they would have been', async () => {
    const log = logOf(63);
    const world = await newWorld();
    await acceptLog(world, log, () => world.drain());
    await defineSome(world);
    expect(await settled(world)).toEqual(await definedFirst(log));
  });

  it('are so also where some of the streams that they read are there already', async () => {
    const log = logOf(66);
    const world = await newWorld();
    await defineSome(world);
    await acceptLog(world, log, () => world.drain());
    await world.defineFeatures([...SOME_FEATURES, ...MORE_FEATURES]);
    expect(await settled(world)).toEqual(await definedFirst(log, MORE_FEATURES));
  });

  it('are so also while events keep coming, step by step with the backfill', async () => {
    const log = logOf(64);
    const world = await newWorld();
    await acceptLog(world, log, async (index) => {
      if (index === 30) await defineSome({ ...world, drain: () => Promise.resolve() });
      await world.engine.worker.runOnce();
    });
    expect(await settled(world)).toEqual(await definedFirst(log));
  });

  it('are so also where each worker is lost in the middle and another goes on', async () => {
    const log = logOf(65);
    const world = await newWorld();
    await acceptLog(world, log, () => world.drain());
    await world.engine.worker.stop();
    await defineSome({ ...world, drain: () => Promise.resolve() });
    for (let worker = 0; worker < 12; worker++) {
      const db = await world.test.connect({ entities: [SourceEntity], applicationName: 'doomed' });
      const engine = await world.engineOn(db, { maxBackfillEvents: 3 });
      for (let round = 0; round < 2 + (worker % 4); round++) await engine.worker.runOnce();
      await world.accept([aTrack('view', { anonymous_id: 'late' }, { messageId: `late-${String(worker)}` })]);
      await loseSessions(world.db, 'doomed');
    }
    const last = await world.another();
    const lateLog: LogStep = {
      advanceMs: 0,
      historical: false,
      events: Array.from({ length: 12 }, (_, i) =>
        aTrack('view', { anonymous_id: 'late' }, { messageId: `late-${String(i)}` }),
      ),
    };
    expect(await settled({ ...world, engine: last, drain: () => last.worker.drain() })).toEqual(
      await definedFirst([...log, lateLog]),
    );
  });

  it('do not count twice where they are dropped and defined again, nor miss what came between', async () => {
    const log = logOf(66);
    const world = await newWorld();
    await defineSome(world);
    const only = async (features: typeof SOME_FEATURES): Promise<void> => {
      await world.engine.services.features.apply(
        { views: [{ name: 'test', description: '', source: null, features }], services: [] },
        { prune: true },
      );
    };
    const inUse = new Set(['spend_1d', 'skus', 'views_2d', 'hours_since_buy']);
    await acceptLog(world, log, async (index) => {
      if (index % 20 === 5) await only(SOME_FEATURES.filter((feature) => inUse.has(feature.name)));
      if (index % 20 === 12) await only([aFeature('extra', { events: ['cart'] }), ...SOME_FEATURES]);
      if (index % 20 === 15) await only(SOME_FEATURES);
      if (index % 3 === 0) await world.engine.worker.runOnce();
    });
    const { states: _, ...state } = await settled(world);
    // Streams that come back have new ids, so the bytes differ.
    const { states: __, ...expected } = await definedFirst(log);
    expect(state).toEqual(expected);
  });
});

describe('features of a source', () => {
  it('count its events although the source is created after them', async () => {
    const world = await newWorld();
    await world.defineFeatures([aFeature('orders', { events: ['buy'], source: 'shop' })]);
    await world.defineSegment('buyers', 'f.orders >= 1');
    await world.drain();
    await world.accept([aTrack('buy', { anonymous_id: 'a1' })]);
    await world.accept([aTrack('buy', { anonymous_id: 'a2' })], { source: 'shop' });
    await world.drain();
    expect((await world.feed()).map((change) => [change.segment, change.cause])).toEqual([
      ['buyers', { kind: 'event', pos: 2 }],
    ]);
  });
});
