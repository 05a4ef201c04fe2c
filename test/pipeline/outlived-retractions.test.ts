import { afterEach, describe, expect, it } from 'vitest';
import { MAX_RETRACTION_FAILURES } from '../../src/events/retraction.model.js';
import { checkRetractions } from '../../src/monitoring/doctor.js';
import { LoadReader } from '../../src/sources/load.reader.js';
import { SourceService } from '../../src/sources/source.service.js';
import { SourceStore } from '../../src/sources/source.store.js';
import { applyRules, ASKER, blockedWorld, OPEN, putInForce, TILL_IS_BLOCKED } from '../support/blocked-world.js';
import { findTexts } from '../support/find-texts.js';
import { aLoad, knownOf, loadIdOf, strays } from '../support/retraction-builders.js';
import { settleGenerics } from '../support/settle-generics.js';
import { aTrack, anIdentify, DAY_MS, MINUTE_MS, type World } from '../support/world.js';

/* Events are taken back where a retention has removed others. */

const worlds: World[] = [];
const LOOK_MS = 1_000;

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

async function newWorld(...options: Parameters<typeof blockedWorld>): Promise<World> {
  const world = await blockedWorld(...options);
  worlds.push(world);
  await applyRules(world, OPEN);
  return world;
}

/** A retention removes all that was sent so far. */
async function removeAll(world: World): Promise<void> {
  await world.drain();
  world.clock.advance(20 * DAY_MS);
  const sources = new SourceService(new SourceStore(world.db.dataSource), world.clock);
  await sources.update('web', { retentionMs: 10 * DAY_MS });
  world.clock.advance(MINUTE_MS);
  await world.drain();
  expect(await world.db.query('SELECT FROM source_retention WHERE removed_events > 0')).toHaveLength(1);
  expect(await world.db.query('SELECT FROM event_log')).toEqual([]);
}

/** Events that hang on the till, whether it counts or not. */
async function onTill({ db }: World): Promise<number> {
  const [row] = await db.query<{ n: number }>(
    `SELECT count(*)::int AS n FROM event_log WHERE anchor_id IN (
       SELECT id FROM identifiers WHERE value = 'till' UNION SELECT value_id FROM generic_values WHERE value = 'till')`,
  );
  return row?.n ?? 0;
}

async function workUntil(world: World, isSo: () => Promise<boolean>): Promise<void> {
  for (let i = 0; !(await isSo()); i++) {
    expect(i).toBeLessThan(300);
    if (!(await world.engine.worker.runOnce())) world.clock.advance(LOOK_MS);
  }
}

const atTill = (email: string, traits: Record<string, string>) => anIdentify({ user_id: 'till', email }, traits);
const person = (i: number): string => `p${String(i)}@example.org`;

describe('taking events back once a retention has removed others', () => {
  it('leaves nothing of an erased person on a value from which their events were not moved yet', async () => {
    const world = await newWorld({ maxReanchoredEvents: 1 });
    await world.accept([aTrack('view', { email: 'old@example.org' })]);
    await removeAll(world);
    const hers = () => atTill('canary@example.org', { nick: 'zilpha' });
    await world.accept([
      aTrack('view', { email: 'canary@example.org' }),
      ...[atTill(person(0), { motto: 'plain' }), hers(), hers()],
      ...Array.from({ length: 6 }, (_, i) => atTill(person(i + 1), { motto: 'plain' })),
    ]);
    await world.drain();
    const all = await onTill(world);
    expect(await findTexts(world.db, ['zilpha'])).not.toEqual([]);
    await putInForce(world, TILL_IS_BLOCKED, true);
    await workUntil(world, async () => (await onTill(world)) < all);
    expect(await onTill(world)).toBeGreaterThan(0);
    const { id } = await world.engine.erasures.request(
      { identifier: { ns: 'email', value: 'canary@example.org' } },
      ASKER,
    );
    await settleGenerics(world);
    world.clock.advance(LOOK_MS);
    await world.drain();
    expect(await world.engine.erasures.find(id)).toMatchObject({ status: 'logical', events: 3 });
    expect(await findTexts(world.db, ['canary', 'zilpha'])).toEqual([]);
    expect((await knownOf(world)).traits[`email:${person(0)}`]).toMatchObject({ motto: { value: 'plain' } });
    expect(await strays(world.db)).toEqual([]);
  });

  it('leaves what came of the others where a load is reverted', async () => {
    const world = await newWorld();
    const ann = { email: 'a@example.org', user_id: 'ann' };
    await world.accept([anIdentify(ann, { name: 'Ann' }), aTrack('view', ann), aTrack('view', ann)]);
    await removeAll(world);
    const before = await knownOf(world);
    const loadId = await aLoad(world.db, 'mistaken');
    const loaded = [anIdentify({ user_id: 'ann' }, { plan: 'pro' }), aTrack('view', { user_id: 'ann' })];
    await world.engine.accept.accept({ id: 1, key: 'web' }, loaded, { historical: false, loadId });
    await world.drain();
    const mistaken = await knownOf(world);
    for (const what of ['traits', 'features'] as const) expect(mistaken[what]).not.toEqual(before[what]);
    await world.engine.retractions.takeBackLoad(loadIdOf('mistaken'));
    await settleGenerics(world);
    expect(await world.db.query('SELECT FROM event_log')).toEqual([]);
    const after = await knownOf(world);
    expect(after.profiles).toEqual(before.profiles);
    expect(after.traits).toEqual(before.traits);
    expect(Object.values(after.traits)).toMatchObject([{ name: { value: 'Ann' } }]);
    const seen = ({ features }: typeof after) => Object.values(features).map((all) => all['seen']?.value);
    expect([before, mistaken, after].map(seen)).toEqual([[3], [5], [3]]);
    expect(await strays(world.db)).toEqual([]);
  });

  it('takes back nothing of whom a damaged event is of, says what to do, and goes on once that is done', async () => {
    const world = await newWorld();
    const [ann, bob] = [{ user_id: 'ann' }, { user_id: 'bob' }];
    await world.accept([anIdentify(ann, { name: 'Ann' }), anIdentify(bob, { name: 'Bob' })]);
    await removeAll(world);
    const before = await knownOf(world);
    const loadId = await aLoad(world.db, 'mistaken');
    const loaded = [ann, bob].flatMap((who) => [anIdentify(who, { plan: 'pro' }), aTrack('view', who)]);
    await world.engine.accept.accept({ id: 1, key: 'web' }, loaded, { historical: false, loadId });
    await world.drain();
    const [damaged] = await world.db.query<{ pos: number; part: number; payload: Buffer }>(
      `SELECT pos, part, payload FROM event_log WHERE anchor_id = (SELECT id FROM identifiers WHERE value = 'ann')
       ORDER BY pos LIMIT 1`,
    );
    const setPayload = (payload: Buffer | undefined) =>
      world.db.query('UPDATE event_log SET payload = $2 WHERE pos = $1', [damaged?.pos, payload]);
    await setPayload(Buffer.from([0, 7]));
    const { retractions } = world.engine;
    const { id } = await retractions.takeBackLoad(loadIdOf('mistaken'));
    for (let i = 0; i <= MAX_RETRACTION_FAILURES; i++) {
      await world.drain();
      world.clock.advance(MINUTE_MS);
    }
    await expect(retractions.done(id)).rejects.toMatchObject({ code: 'CONFLICT' });
    const place = `(event_log.pos ${String(damaged?.pos)}, partition ${String(damaged?.part)})`;
    const [{ detail }, { revertFailure }] = [
      await checkRetractions(world.db),
      (await new LoadReader(world.db).find(loadId)) ?? {},
    ];
    expect(revertFailure).toBe(
      `INTERNAL: event payload is not JSON in an event that is to be taken back, and what came of it cannot be told from what came of events that a retention removed ${place}; put the row back from a backup, then ask for it again`,
    );
    expect(detail).toContain(revertFailure);
    const halfway = (await knownOf(world)).traits;
    expect(halfway['user_id:ann']).toMatchObject({ name: { value: 'Ann' }, plan: { value: 'pro' } });
    expect(halfway['user_id:bob']).toEqual(before.traits['user_id:bob']);

    await setPayload(damaged?.payload);
    await retractions.takeBackLoad(loadIdOf('mistaken'));
    await world.drain();
    expect(await retractions.done(id)).toMatchObject({ status: 'done', removed: 4, reason: null });
    expect((await knownOf(world)).traits).toEqual(before.traits);
    expect(await strays(world.db)).toEqual([]);
  });
});
