import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SeenNames1700000001000 } from '../../migrations/1700000001000-seen-names.js';
import { SeenNameReader } from '../../src/events/seen-name.reader.js';
import { SeenNameStore } from '../../src/events/seen-name.store.js';
import { MAX_SEEN_NAMES } from '../../src/events/seen-names.model.js';
import type { Queryable } from '../../src/platform/postgres.js';
import { aTrack, anIdentify, createWorld, type World } from '../support/world.js';

let world: World;

beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

const who = { anonymous_id: 'a1' };

/** The database, with statements that go this way. */
function through(run: Queryable['run']): Queryable {
  return { query: world.db.query.bind(world.db), execute: world.db.execute.bind(world.db), run };
}

async function seen(): Promise<Record<string, string[]>> {
  const { events } = await new SeenNameReader(world.db).all();
  return Object.fromEntries([...events].sort().map(([event, fields]) => [event, [...fields].sort()]));
}

const EVENTS = [
  aTrack('purchase', who, { properties: { total: 5, lines: [{ sku: 'x' }], 'not a path': 1 } }),
  aTrack('purchase', who, { properties: { coupon: 'SPRING' } }),
  anIdentify(who, { plan: 'pro', address: { city: 'Leeds' } }),
  { ...anIdentify(who), type: 'page' as const, name: 'Home', properties: { path: '/' } },
  aTrack('caf\u00e9 \0', who),
];

const NAMES = {
  'caf\u00e9 \ufffd': [],
  identify: ['traits.address', 'traits.plan'],
  page: ['properties.name', 'properties.path'],
  purchase: ['properties.coupon', 'properties.lines', 'properties.total'],
};

describe('the names of events', () => {
  it('are known with the fields at their top once an event is accepted, in every process', async () => {
    expect(await seen()).toEqual({});
    await world.accept(EVENTS);
    expect(await seen()).toEqual(NAMES);
    const another = await world.another();
    const results = await another.accept.accept(
      { id: 1, key: 'web' },
      [aTrack('refund', who), aTrack('purchase', who)],
      {
        historical: false,
      },
    );
    expect(results.map(({ status }) => status)).toEqual(['accepted', 'accepted']);
    expect(await seen()).toEqual({ ...NAMES, refund: [] });
  });

  it('of refused events are not', async () => {
    await world.accept([aTrack('nobody_did_this', {})]);
    expect(await seen()).toEqual({});
  });

  it('are written once, however many events carry them', async () => {
    let statements = 0;
    const store = new SeenNameStore(
      through((statement) => {
        statements++;
        return world.db.run(statement);
      }),
    );
    for (const event of EVENTS) store.note(event);
    await store.save();
    for (const event of EVENTS) store.note(event);
    expect(store.hasUnsaved).toBe(false);
    expect(statements).toBe(1);
  });

  it('are written by the next event that carries them where writing failed', async () => {
    let isBroken = true;
    const store = new SeenNameStore(
      through((statement) => (isBroken ? Promise.reject(new Error('broken')) : world.db.run(statement))),
    );
    store.note(aTrack('purchase', who));
    await expect(store.save()).rejects.toThrow('broken');
    isBroken = false;
    store.note(aTrack('purchase', who));
    await store.save();
    expect(await seen()).toEqual({ purchase: [] });
  });

  it('are kept up to a bound, and that it was reached is known', async () => {
    const store = new SeenNameStore(world.db);
    for (let i = 0; i < MAX_SEEN_NAMES; i++) store.note(aTrack(`e${String(i)}`, who));
    await store.save();
    expect((await new SeenNameReader(world.db).all()).isComplete).toBe(true);
    for (const name of ['one more', 'and more']) store.note(aTrack(name, who));
    await store.save();
    const { events, isComplete } = await new SeenNameReader(world.db).all();
    expect(isComplete).toBe(false);
    expect(events.size).toBe(MAX_SEEN_NAMES + 1);
  });

  it('are taken from the log where they were not kept before', async () => {
    await world.accept(EVENTS);
    const runner = world.db.dataSource.createQueryRunner();
    try {
      const migration = new SeenNames1700000001000();
      await migration.down(runner);
      await migration.up(runner);
    } finally {
      await runner.release();
    }
    expect(await seen()).toEqual(NAMES);
  });
});
