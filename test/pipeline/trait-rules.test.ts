import { afterEach, describe, expect, it } from 'vitest';
import { DEFAULT_TRAIT_RULE, type TraitRule } from '../../src/profiles/trait-rule.model.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { loseSessions } from '../support/lose-sessions.js';
import { readState, withoutEntries } from '../support/pipeline-state.js';
import { acceptLog, defineSome, randomFrom, randomLog, type LogStep } from '../support/random-log.js';
import { anIdentify, aTrack, createWorld, DAY_MS, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

async function newWorld(): Promise<World> {
  const world = await createWorld(START_MS, { limits: { maxRefoldAnchors: 3, maxBatchEvents: 20 } });
  worlds.push(world);
  await world.accept([], { source: 'web' });
  await defineSome(world);
  return world;
}

const logOf = (seed: number): LogStep[] =>
  randomLog(randomFrom(seed), {
    steps: 60,
    maxEventsPerStep: 6,
    advancesMs: [0, 1, MINUTE_MS, HOUR_MS],
    historicalShare: 0.3,
    people: 5,
  }).map((step) => ({
    ...step,
    events: step.events.map((event, i) =>
      i % 4 === 1 && event.type === 'identify' ? { ...event, context: { provenance: 'declared' } } : event,
    ),
  }));

async function setRules(world: World, rules: Readonly<Record<string, Partial<TraitRule>>>): Promise<void> {
  await world.engine.services.traits.apply(
    Object.entries(rules).map(([name, rule]) => ({
      name,
      description: '',
      edge: false,
      rule: { ...DEFAULT_TRAIT_RULE, ...rule },
    })),
    { prune: true },
  );
}

const RULES: Readonly<Record<string, Partial<TraitRule>>> = {
  plan: { survivorship: 'most_frequent', precedence: 'time' },
  city: { survivorship: 'union' },
  sku: { answers: [{ event: 'buy', property: 'sku', where: { sku: 's1' } }] },
};

/** What is known once everything is done and some time has passed. */
async function settled(world: World) {
  world.clock.advance(DAY_MS);
  await world.drain();
  world.clock.advance(1);
  await world.drain();
  return withoutEntries(await stateOf(world));
}

async function stateOf(world: World) {
  return readState(world.db, await world.engine.definitions.current(), world.clock.now());
}

async function ruledFirst(log: readonly LogStep[]) {
  const world = await newWorld();
  await setRules(world, RULES);
  await acceptLog(world, log, () => world.drain());
  return settled(world);
}

describe('rules of traits that change after the events', () => {
  it('give what they would have given from the start', async () => {
    const log = logOf(161);
    const world = await newWorld();
    await acceptLog(world, log, () => world.drain());
    const before = await stateOf(world);
    await setRules(world, RULES);
    const expected = await ruledFirst(log);
    expect(await settled(world)).toEqual(expected);
    expect(before.traits).not.toEqual(expected.traits);
    expect(await world.db.query('SELECT names, finished_at IS NULL AS "isOpen" FROM trait_rule_changes')).toEqual([
      { names: null, isOpen: false },
    ]);
  });

  it('do so also while events keep coming, and while they change again', async () => {
    const log = logOf(162);
    const world = await newWorld();
    await acceptLog(world, log, async (index) => {
      if (index === 20) await setRules(world, { plan: { survivorship: 'min' }, city: { survivorship: 'longest' } });
      if (index === 30) await setRules(world, RULES);
      await world.engine.worker.runOnce();
    });
    expect(await settled(world)).toEqual(await ruledFirst(log));
  });

  it('do so also where each worker is lost in the middle and another goes on', async () => {
    const log = logOf(163);
    const world = await newWorld();
    await acceptLog(world, log, () => world.drain());
    await world.engine.worker.stop();
    await setRules(world, RULES);
    for (let worker = 0; worker < 8; worker++) {
      const db = await world.test.connect({ entities: [SourceEntity], applicationName: 'doomed' });
      const engine = await world.engineOn(db, { maxRefoldAnchors: 1 });
      for (let round = 0; round < 2 + (worker % 4); round++) await engine.worker.runOnce();
      await loseSessions(world.db, 'doomed');
    }
    const last = await world.another();
    expect(await settled({ ...world, engine: last, drain: () => last.worker.drain() })).toEqual(await ruledFirst(log));
  });

  it('are undone without a trace', async () => {
    const log = logOf(164);
    const world = await newWorld();
    await acceptLog(world, log, () => world.drain());
    const before = await settled(world);
    await setRules(world, RULES);
    await world.drain();
    await setRules(world, {});
    await world.drain();
    const after = await settled(world);
    expect(after.traits).toEqual(before.traits);
  });

  it('tell of the segments that they change as an edit does', async () => {
    const world = await newWorld();
    await world.defineSegment('pros', 'traits.level == 3');
    await world.accept([anIdentify({ user_id: 'ann' }, { level: 3 })]);
    world.clock.advance(MINUTE_MS);
    await world.accept([anIdentify({ user_id: 'ann' }, { level: 1 })]);
    await world.drain();
    const changes = async () =>
      (await world.feed())
        .filter(({ segment }) => segment === 'pros')
        .map(({ kind, cause }) => `${kind} by ${cause.kind}`);
    expect(await changes()).toEqual(['enter by event', 'leave by event']);
    await setRules(world, { level: { survivorship: 'max' } });
    await world.drain();
    expect(await changes()).toEqual(['enter by event', 'leave by event', 'enter by edit']);
  });
});

describe('values of another type than declared', () => {
  it('are counted by trait and what became of them, and the event is accepted', async () => {
    const world = await newWorld();
    await setRules(world, {
      age: { type: 'number', onConflict: 'coerce' },
      born: { type: 'date-time', onConflict: 'refuse' },
    });
    await world.accept([
      anIdentify({ user_id: 'ann' }, { age: '41', born: 'long ago' }),
      anIdentify({ user_id: 'ann' }, { age: 'old', born: '1984-01-01T00:00:00Z' }),
      aTrack('view', { user_id: 'ann' }),
    ]);
    await world.drain();
    const rows = await world.db.query('SELECT name, kept, coerced, refused FROM trait_conflicts ORDER BY name');
    expect(rows).toEqual([
      { name: 'age', kept: 0, coerced: 1, refused: 1 },
      { name: 'born', kept: 0, coerced: 0, refused: 1 },
    ]);
    const { traits } = await settled(world);
    expect(Object.values(traits)).toMatchObject([{ age: { value: 41 }, born: { value: '1984-01-01T00:00:00Z' } }]);
  });
});
