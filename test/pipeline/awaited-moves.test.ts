import { afterEach, describe, expect, it } from 'vitest';
import type { IncomingEvent } from '../../src/events/event.model.js';
import { GENERIC_BOUND } from '../../src/identity/generic-value.model.js';
import { knownTogether } from '../support/blocked-world.js';
import { defineSome } from '../support/random-log.js';
import { aLoad, loadIdOf, strays } from '../support/retraction-builders.js';
import { settleGenerics } from '../support/settle-generics.js';
import { aTrack, anIdentify, createWorld, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

const OFFICE = { email: 'office@shop.example' };
const PEOPLE = GENERIC_BOUND + 3;
const VISITORS = 12;
const WHO = { actor: 'a test', reason: 'they called' };

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

async function newWorld(limits: Parameters<typeof createWorld>[1] = {}): Promise<World> {
  const world = await createWorld(START_MS, limits);
  worlds.push(world);
  await world.accept([], { source: 'web' });
  await defineSome(world);
  world.clock.advance(HOUR_MS);
  return world;
}

const at = (minutes: number, messageId: string): Partial<IncomingEvent> => ({
  timestampMs: START_MS + minutes * MINUTE_MS,
  messageId,
});

/** Accounts beside the address of an office, and visitors who are never seen without it, two of them together. */
const ofOffice = (): IncomingEvent[] => [
  ...Array.from({ length: VISITORS }, (_, i) =>
    aTrack('view', { ...OFFICE, anonymous_id: `c${String(i)}` }, at(i, `c${String(i)}`)),
  ),
  aTrack('view', { ...OFFICE, anonymous_id: 'c0', device_id: 'd0' }, at(20, 'd0')),
  ...Array.from({ length: PEOPLE }, (_, i) =>
    anIdentify({ user_id: `u${String(i)}`, ...OFFICE }, { plan: 'pro' }, at(i, `u${String(i)}`)),
  ),
];

/** Profiles of the visitors, by their cookies. */
async function visitors({ db }: World): Promise<Map<string, string>> {
  const rows = await db.query<{ value: string; id: string }>(
    `SELECT value, profile_id AS id FROM identifiers WHERE ns IN ('anonymous_id', 'device_id') ORDER BY value`,
  );
  return new Map(rows.map(({ value, id }) => [value, id]));
}

const isMoving = async ({ db }: World): Promise<boolean> =>
  (await db.query(`SELECT FROM identity_revisions WHERE kind = 'generic' AND status = 'running'`)).length > 0;

/** Runs the worker for as long as it is so; what is seen after each step. */
async function runWhile(
  world: World,
  holds: () => Promise<boolean>,
  look: () => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  for (let i = 0; await holds(); i++) {
    expect(i).toBeLessThan(200);
    if (!(await world.engine.worker.runOnce())) world.clock.advance(MINUTE_MS);
    await look();
  }
}

describe('whoever only events name that are about to be moved', () => {
  it('is there after each step, under one id from the first on', async () => {
    const [slow, calm] = [await newWorld({ limits: { maxReanchoredEvents: 2 } }), await newWorld()];
    for (const world of [slow, calm]) await world.accept(ofOffice());
    await runWhile(slow, async () => !(await isMoving(slow)));
    const together = await visitors(slow);
    const own = new Map<string, Set<string>>();
    let steps = 0;
    await runWhile(
      slow,
      () => isMoving(slow),
      async () => {
        steps++;
        const now = await visitors(slow);
        expect([...now.keys()]).toEqual([...together.keys()]);
        for (const [value, id] of now) own.set(value, (own.get(value) ?? new Set()).add(id));
      },
    );
    expect(steps).toBeGreaterThan(4);
    for (const [value, ids] of own) {
      ids.delete(together.get(value) ?? '');
      expect([value, ids.size]).toEqual([value, Math.min(ids.size, 1)]);
    }
    const [moved, expected] = await knownTogether(slow, calm);
    expect(moved).toEqual(expected);
    expect(await strays(slow.db)).toEqual([]);
  });

  it('is there while that waits, and others of the component have events taken back', async () => {
    const [held, calm] = [await newWorld(), await newWorld()];
    const mistaken = [aTrack('view', { user_id: 'u1', ...OFFICE }, at(30, 'mistaken'))];
    for (const world of [held, calm]) {
      await world.accept(ofOffice());
      const loadId = await aLoad(world.db, 'mistaken');
      await world.engine.accept.accept({ id: 1, key: 'web' }, mistaken, { historical: false, loadId });
    }
    await runWhile(held, async () => !(await isMoving(held)));
    const before = await visitors(held);
    await settleGenerics(calm);
    // Nothing is moved while this one is being erased, who shares a profile with nobody.
    const leaving = { ns: 'user_id', value: `u${String(PEOPLE - 1)}` };
    for (const { engine } of [held, calm]) {
      await engine.erasures.request({ identifier: leaving }, WHO);
      await engine.retractions.takeBackLoad(loadIdOf('mistaken'));
    }
    const isTakingBack = async (): Promise<boolean> =>
      (await held.db.query(`SELECT FROM retractions WHERE load_id IS NOT NULL AND status = 'running'`)).length > 0;
    await runWhile(held, isTakingBack);
    expect(await isMoving(held)).toBe(true);
    const after = await visitors(held);
    expect([...after.keys()]).toEqual([...before.keys()]);
    const [moved, expected] = await knownTogether(held, calm);
    expect(moved).toEqual(expected);
    const settled = await visitors(held);
    expect(settled).toEqual(after);
    expect(await strays(held.db)).toEqual([]);
  });
});
