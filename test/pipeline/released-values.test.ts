import { afterEach, describe, expect, it } from 'vitest';
import type { IncomingEvent } from '../../src/events/event.model.js';
import { checkSharedValues } from '../../src/monitoring/doctor.js';
import { aFeature } from '../support/a-feature.js';
import { besideComponents } from '../support/beside-components.js';
import {
  applyRules,
  ASKER,
  blockedWorld,
  knownTogether,
  OPEN,
  putInForce,
  TILL_IS_BLOCKED,
  valuesOf,
} from '../support/blocked-world.js';
import { findTexts } from '../support/find-texts.js';
import { SOME_FEATURES } from '../support/random-log.js';
import { aLoad, loadIdOf, strays } from '../support/retraction-builders.js';
import { settleGenerics } from '../support/settle-generics.js';
import { aTrack, anIdentify, DAY_MS, HOUR_MS, type World } from '../support/world.js';

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

async function newWorld(...options: Parameters<typeof blockedWorld>): Promise<World> {
  const world = await blockedWorld(...options);
  worlds.push(world);
  return world;
}

/** Works until the database says so. */
async function workUntil(world: World, condition: string): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if ((await world.db.query(`SELECT FROM installation WHERE ${condition}`)).length > 0) return;
    if (!(await world.engine.worker.runOnce())) world.clock.advance(1_000);
  }
  throw new Error(`it never came to that: ${condition}`);
}

describe('values that are blocked no more', () => {
  it('count again once all was moved away from them, also where somebody is erased before that', async () => {
    const world = await newWorld({ maxReanchoredEvents: 2 });
    await applyRules(world, OPEN);
    await world.accept(
      ['a', 'b', 'c', 'd', 'e', 'f'].map((name) =>
        anIdentify({ user_id: 'till', email: `${name}@example.org` }, { name }, { messageId: name }),
      ),
    );
    await world.drain();
    await putInForce(world, TILL_IS_BLOCKED, true);
    const onTill = `(SELECT count(*) FROM event_log l JOIN generic_values g ON g.value_id = l.anchor_id WHERE g.is_blocked)`;
    await workUntil(world, `EXISTS (SELECT FROM generic_values WHERE is_blocked) AND ${onTill} BETWEEN 1 AND 4`);
    const [moved] = await world.db.query<{ ns: string; value: string }>(
      `SELECT i.ns, i.value FROM event_log l JOIN identifiers i ON i.id = l.anchor_id WHERE i.ns = 'email' ORDER BY 2 LIMIT 1`,
    );
    if (moved === undefined) throw new Error('nothing was moved');
    // Of a person whose event was moved: until that is gone, nothing else moves.
    const { id } = await world.engine.erasures.request({ identifier: moved }, ASKER);
    await putInForce(world, OPEN, true);
    const isDone = async (): Promise<boolean> =>
      (await world.db.query(`SELECT FROM identity_revisions WHERE status IN ('waiting', 'running')`)).length === 0;
    for (let i = 0; !(await isDone()); i++) {
      expect(i).toBeLessThan(200);
      if (!(await world.engine.worker.runOnce())) world.clock.advance(1_000);
      expect(await besideComponents(world.db)).toEqual([]);
    }
    await settleGenerics(world);

    expect(await world.engine.erasures.find(id)).toMatchObject({ status: 'logical', events: 1, rewritten: 0 });
    expect(await valuesOf(world)).toEqual([{ value: 'till', isGeneric: false, isBlocked: false, isMoving: false }]);
    const [late] = await knownTogether(world);
    expect(late?.components).toHaveLength(1);
    expect(late?.profiles.join(' ').match(/email:/g)).toHaveLength(5);
    expect(late?.profiles.join(' ')).not.toContain(moved.value);
    expect(await strays(world.db)).toEqual([]);
  });

  it('take no event from somebody who is being erased', async () => {
    const world = await newWorld({}, { sealed: true });
    await applyRules(world, OPEN);
    await world.accept([
      anIdentify({ user_id: 'till', email: 'canary@example.org' }, { motto: 'canary-motto' }),
      anIdentify({ user_id: 'till', email: 'bo@example.org' }, { motto: 'hers' }),
      aTrack('view', { user_id: 'till', email: 'canary@example.org' }, { properties: { page: 'canary-page' } }),
    ]);
    await world.drain();
    await applyRules(world, TILL_IS_BLOCKED);
    const { id } = await world.engine.erasures.request(
      { identifier: { ns: 'email', value: 'canary@example.org' } },
      ASKER,
    );
    // All that she is known by is collected, and nothing of it is gone.
    await workUntil(world, `EXISTS (SELECT FROM retractions WHERE status = 'running' AND removed = 0)`);
    await putInForce(world, OPEN, true);
    await settleGenerics(world);

    expect(await world.engine.erasures.find(id)).toMatchObject({ status: 'logical', events: 2, rewritten: 0 });
    expect(await findTexts(world.db, ['canary'])).toEqual([]);
    expect(await world.db.query('SELECT FROM event_log')).toHaveLength(1);
    expect(await world.db.query('SELECT value FROM identifiers ORDER BY value')).toEqual([
      { value: 'bo@example.org' },
      { value: 'till' },
    ]);
    expect(await strays(world.db)).toEqual([]);
  });

  it('find events that came late also where a load was taken back from the same anchor meanwhile', async () => {
    const [busy, calm] = [await newWorld(), await newWorld()];
    const named = (messageId: string) => aTrack('view', { user_id: 'till', email: 'a@example.org' }, { messageId });
    for (const world of [busy, calm]) {
      await applyRules(world, OPEN);
      await world.accept([named('m1')]);
      await world.drain();
      const loadId = await aLoad(world.db, 'mistaken');
      const mistaken = [aTrack('buy', { email: 'a@example.org' }, { messageId: 'm2' })];
      await world.engine.accept.accept({ id: 1, key: 'web' }, mistaken, { historical: false, loadId });
      await world.drain();
      if (world === busy) await applyRules(world, TILL_IS_BLOCKED);
    }
    const unaware = await busy.another();
    const acceptAt = ({ accept }: World['engine'], event: IncomingEvent) =>
      accept.accept({ id: 1, key: 'web' }, [event], { historical: false });
    await putInForce(busy, OPEN, false);
    // It knows the rules from here on, and what counts for nobody by those before.
    for (const engine of [unaware, calm.engine]) {
      await acceptAt(engine, aTrack('view', { email: 'else@example.org' }, { messageId: 'm0' }));
    }
    await busy.engine.identity.revisions.request({ kind: 'rules', input: {} }, ASKER);
    await settleGenerics(busy);
    // Accepted by a process that has not heard of it; noted, and not moved yet, when the load is taken back.
    for (const engine of [unaware, calm.engine]) await acceptAt(engine, named('m3'));
    await workUntil(busy, 'EXISTS (SELECT FROM generic_values WHERE is_moving)');
    for (const { engine } of [busy, calm]) await engine.retractions.takeBackLoad(loadIdOf('mistaken'));
    const [late, never] = await knownTogether(busy, calm);
    expect(late).toEqual(never);
    expect(await strays(busy.db)).toEqual([]);
    expect((await valuesOf(busy)).map(({ isMoving }) => isMoving)).toEqual([false]);
  });

  it('are moved with events counted once also where a feature is being backfilled', async () => {
    const [busy, calm] = [await newWorld({ maxBackfillEvents: 2 }), await newWorld()];
    const more = [...SOME_FEATURES, aFeature('views_ever', { events: ['view'] })];
    for (const world of [busy, calm]) {
      await applyRules(world, OPEN);
      await world.accept(
        ['a', 'b', 'a', 'b', 'a'].map((name, i) =>
          aTrack('view', { user_id: 'till', email: `${name}@example.org` }, { messageId: `m${String(i)}` }),
        ),
      );
      await world.drain();
    }
    await putInForce(busy, TILL_IS_BLOCKED, true);
    await busy.defineFeatures(more);
    await applyRules(calm, TILL_IS_BLOCKED);
    await calm.defineFeatures(more);
    const [late, never] = await knownTogether(busy, calm);
    expect(never?.features['email:a@example.org']?.['views_ever']?.value).toBe(3);
    expect(late).toEqual(never);
  });

  it('are forgotten a day after all that names them is where it belongs, and not before', async () => {
    const world = await newWorld();
    await applyRules(world, OPEN);
    const named = (messageId: string) => aTrack('view', { user_id: 'till', email: 'a@example.org' }, { messageId });
    await world.accept([named('m1'), named('m2')]);
    await world.drain();
    for (const rules of [TILL_IS_BLOCKED, OPEN]) await applyRules(world, rules);
    world.clock.advance(DAY_MS - HOUR_MS);
    await world.drain();
    expect(await valuesOf(world)).toEqual([{ value: 'till', isGeneric: false, isBlocked: false, isMoving: false }]);
    expect(await checkSharedValues(world.db)).toMatchObject({ outcome: 'ok', detail: '0 count for nobody, 1 did' });
    expect(await checkSharedValues(world.db, 0)).toMatchObject({ outcome: 'warning' });
    world.clock.advance(2 * HOUR_MS);
    await world.drain();
    expect(await valuesOf(world)).toEqual([]);
    await world.accept([named('m3')]);
    await world.drain();
    expect((await knownTogether(world))[0]?.profiles).toEqual(['email:a@example.org user_id:till']);
    expect(await strays(world.db)).toEqual([]);
  });

  it('are known for that day also where it took longer than one until all was moved', async () => {
    const world = await newWorld();
    await applyRules(world, OPEN);
    await world.accept([aTrack('view', { user_id: 'till', email: 'a@example.org' })]);
    await world.drain();
    await applyRules(world, TILL_IS_BLOCKED);
    await putInForce(world, OPEN, true);
    await workUntil(world, 'EXISTS (SELECT FROM generic_values WHERE is_moving)');
    world.clock.advance(2 * DAY_MS);
    await settleGenerics(world);
    world.clock.advance(DAY_MS - HOUR_MS);
    await world.drain();
    expect(await valuesOf(world)).toEqual([{ value: 'till', isGeneric: false, isBlocked: false, isMoving: false }]);
    world.clock.advance(2 * HOUR_MS);
    await world.drain();
    expect(await valuesOf(world)).toEqual([]);
  });
});
