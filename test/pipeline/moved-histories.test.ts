import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine.js';
import type { EngineLimits } from '../../src/engine-limits.js';
import type { IncomingEvent } from '../../src/events/event.model.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { afterLongReads } from '../support/after-long-reads.js';
import {
  applyRules,
  blockedWorld,
  knownTogether,
  OPEN,
  putInForce,
  TILL_IS_BLOCKED,
  valuesOf,
} from '../support/blocked-world.js';
import { storedAndFolded } from '../support/folded-log.js';
import { partitionShares } from '../support/partition-shares.js';
import { aLoad, loadIdOf, strays } from '../support/retraction-builders.js';
import { aTrack, START_MS, type World } from '../support/world.js';

const PEOPLE = Array.from({ length: 8 }, (_, i) => `p${String(i)}@example.org`);
const LOAD = 'mistaken';

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

async function newWorld(limits: Partial<EngineLimits>): Promise<World> {
  const world = await blockedWorld(limits);
  worlds.push(world);
  // There is nobody yet whom they could part.
  await putInForce(world, OPEN, false);
  return world;
}

const accept = (world: World, events: readonly IncomingEvent[], load: object = {}) =>
  world.engine.accept.accept({ id: 1, key: 'web' }, events, { historical: false, ...load });

/** Who has events that hang on a till, and others of which some are mistaken. */
async function aTill(world: World): Promise<void> {
  const ofEach = (of: string, more: Readonly<Record<string, string>> = {}) =>
    PEOPLE.map((email) => aTrack('view', { ...more, email }, { messageId: `${of} ${email}` }));
  await accept(world, [...ofEach('till', { user_id: 'till' }), ...ofEach('own')]);
  await accept(world, ofEach(LOAD), { loadId: await aLoad(world.db, LOAD) });
  await world.drain();
}

const news = (n: number): IncomingEvent[] =>
  PEOPLE.map((email) => aTrack('view', { email }, { messageId: `news ${String(n)} ${email}`, timestampMs: START_MS }));

/** Carries out what is asked for by one worker, and has another one do something each time that the first has read. */
async function carriedOut(world: World, meanwhile: ((other: Engine) => Promise<unknown>)[]): Promise<Engine> {
  const limits = { leaseRefreshMs: 0 };
  const connect = () => world.test.connect({ entities: [SourceEntity] });
  const other = await world.engineOn(await connect(), limits);
  const onRead = async (): Promise<void> => {
    await meanwhile.shift()?.(other);
  };
  const mover = await world.engineOn(afterLongReads(await connect(), onRead), limits);
  await world.engine.worker.stop();
  // The one that has all of them keeps the first.
  while ((await partitionShares(world.db)).join() !== '16') await mover.worker.runOnce();
  while ((await partitionShares(world.db)).join() !== '8,8') {
    for (const { worker } of [mover, other]) await worker.runOnce();
  }
  await putInForce(world, TILL_IS_BLOCKED, true);
  for (let i = 0; meanwhile.length > 0; i++) {
    expect(i).toBeLessThan(100);
    if (!(await mover.worker.runOnce())) world.clock.advance(1_000);
  }
  await other.worker.stop();
  return mover;
}

/** Of a load what hangs on anchors of this worker. */
async function takeBackShare({ db, clock }: World, { retractions, worker }: Engine, load: string): Promise<void> {
  const removed = async (): Promise<number> =>
    (await db.query<{ n: number }>('SELECT coalesce(sum(removed), 0)::int8 AS n FROM retractions'))[0]?.n ?? 0;
  const before = await removed();
  await retractions.takeBackLoad(loadIdOf(load));
  for (let i = 0; (await removed()) === before; i++) {
    expect(i).toBeLessThan(200);
    if (!(await worker.runOnce())) clock.advance(1_000);
  }
}

async function compare(busy: World, engine: Engine, calm: World): Promise<void> {
  const [moved, expected] = await knownTogether({ ...busy, engine }, calm);
  expect(moved).toEqual(expected);
  const { stored, folded } = await storedAndFolded(busy);
  expect(stored).toEqual(folded);
  expect(await strays(busy.db)).toEqual([]);
  expect(await valuesOf(busy)).toMatchObject([{ value: 'till', isGeneric: true, isMoving: false }]);
  const [hung] = await busy.db.query<{ n: number }>(
    `SELECT count(*) AS n FROM event_log e JOIN identifiers i ON i.id = e.anchor_id WHERE i.value = 'till'`,
  );
  expect(hung?.n).toBe(0);
}

describe('events that are moved', () => {
  let busy: World;
  let calm: World;

  beforeEach(async () => {
    [busy, calm] = await Promise.all([newWorld({}), newWorld({})]);
    await Promise.all([busy, calm].map(aTill));
  });

  it('are moved with what another worker applies, and without what it takes back, between reading and writing', async () => {
    const applied = async (): Promise<number> =>
      (await busy.db.query<{ n: number }>('SELECT max(applied_pos) AS n FROM partitions'))[0]?.n ?? 0;
    const mover = await carriedOut(busy, [
      // Void, since something is taken back; the second time only something is applied.
      async (other) => {
        await takeBackShare(busy, other, LOAD);
      },
      async ({ worker }) => {
        const before = await applied();
        await accept(busy, news(1));
        await worker.runOnce();
        expect(await applied()).toBeGreaterThan(before);
      },
    ]);
    await applyRules(calm, TILL_IS_BLOCKED);
    await calm.engine.retractions.takeBackLoad(loadIdOf(LOAD));
    await accept(calm, news(1));
    await compare(busy, mover, calm);
  });

  it('are moved with nobody else at work where events are taken back each time that they were read', async () => {
    const loads = ['l0', 'l1', 'l2'];
    for (const world of [busy, calm]) {
      for (const [i, load] of loads.entries()) {
        await accept(world, news(i), { loadId: await aLoad(world.db, load) });
      }
      await world.drain();
    }
    const mover = await carriedOut(
      busy,
      loads.map((load) => (other) => takeBackShare(busy, other, load)),
    );
    await applyRules(calm, TILL_IS_BLOCKED);
    for (const load of loads) await calm.engine.retractions.takeBackLoad(loadIdOf(load));
    await compare(busy, mover, calm);
  });
});
