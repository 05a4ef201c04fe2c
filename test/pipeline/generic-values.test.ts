import { afterEach, describe, expect, it } from 'vitest';
import type { IncomingEvent } from '../../src/events/event.model.js';
import { aFeature } from '../support/a-feature.js';
import { besideComponents } from '../support/beside-components.js';
import { GENERIC_BOUND } from '../../src/identity/generic-value.model.js';
import { parseIdentityRules } from '../../src/identity/parse-identity-rules.js';
import { defineSome, randomFrom, SOME_FEATURES, shuffled } from '../support/random-log.js';
import { aLoad, knownOf, strays } from '../support/retraction-builders.js';
import { settleGenerics } from '../support/settle-generics.js';
import { aTrack, anIdentify, createWorld, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

const OFFICE = { email: 'office@shop.example' };
const PEOPLE = GENERIC_BOUND + 3;
const office = { ns: 'email', value: OFFICE.email };
const who = { actor: 'a test', reason: 'they called' };

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

async function newWorld(options: Parameters<typeof createWorld>[1] = {}): Promise<World> {
  const world = await createWorld(START_MS, options);
  worlds.push(world);
  await world.accept([], { source: 'web' });
  await defineSome(world);
  world.clock.advance(HOUR_MS);
  return world;
}

const at = (minutes: number): Partial<IncomingEvent> => ({ timestampMs: START_MS + minutes * 1_000 });

/** People of an office: accounts and cookies beside its address, and what came by the address alone. */
function sent(people: number, from = 0): IncomingEvent[] {
  const events: IncomingEvent[] = [];
  for (let i = from; i < from + people; i++) {
    const more = { ...at(i), messageId: `a${String(i)}` };
    events.push(anIdentify({ user_id: `u${String(i)}`, ...OFFICE }, { plan: i % 2 === 0 ? 'pro' : 'free' }, more));
    if (i % 10 > 2) continue;
    events.push(aTrack('view', { ...OFFICE, anonymous_id: `c${String(i)}` }, { ...at(i), messageId: `b${String(i)}` }));
    events.push(aTrack('buy', OFFICE, { ...at(i), messageId: `d${String(i)}`, properties: { total: 2 } }));
    events.push(aTrack('view', { ...OFFICE, user_id: `u${String(i)}` }, { ...at(i + 1), messageId: `e${String(i)}` }));
  }
  return events;
}

/** The same as if nobody had sent the address beside anything else. */
const withoutOffice = (events: readonly IncomingEvent[]): IncomingEvent[] =>
  events.map((event) => {
    const identifiers = event.identifiers.filter(({ ns }) => ns !== 'email');
    return identifiers.length === 0 ? event : { ...event, identifiers };
  });

const facts = ({
  profiles,
  traits,
  features,
  states,
  memberships,
  components,
}: Awaited<ReturnType<typeof knownOf>>) => ({
  profiles,
  traits,
  features,
  states,
  memberships,
  components,
});

/** At one instant. */
async function knownTogether(...some: World[]) {
  const until = Math.max(...some.map(({ clock }) => clock.now()));
  for (const world of some) {
    world.clock.advance(until - world.clock.now());
    await settleGenerics(world);
  }
  return Promise.all(some.map(async (world) => facts(await knownOf(world))));
}

const generic = (world: World) =>
  world.db.query<{ value: string; isGeneric: boolean; neighbours: number }>(
    'SELECT value, is_generic AS "isGeneric", neighbours FROM generic_values',
  );

describe('a value that is seen with many people', () => {
  it('counts as if nobody had sent it, in whatever order it came', async () => {
    const events = sent(PEOPLE);
    const [a, b, without] = [await newWorld(), await newWorld(), await newWorld()];
    await a.accept(events);
    await settleGenerics(a);
    expect(await generic(a)).toEqual([{ value: OFFICE.email, isGeneric: true, neighbours: PEOPLE }]);
    for (const [i, event] of shuffled(randomFrom(3), events).entries()) {
      await b.accept([event]);
      if (i % 40 === 0) await settleGenerics(b);
    }
    await settleGenerics(b);
    await without.accept(withoutOffice(events));
    const [ofA, ofB, ofNone] = await knownTogether(a, b, without);
    expect(ofA).toEqual(ofNone);
    expect(ofB).toEqual(ofNone);
    for (const world of [a, b]) expect(await strays(world.db)).toEqual([]);
    // Who comes now is apart from the start.
    await a.accept([aTrack('view', { ...OFFICE, anonymous_id: 'new' }, { messageId: 'n' })]);
    await a.drain();
    expect((await knownOf(a)).profiles).toContain('anonymous_id:new');
  });

  it('is none up to the bound, nor once so much was taken back', async () => {
    const world = await newWorld();
    await world.accept(sent(GENERIC_BOUND));
    await settleGenerics(world);
    expect((await generic(world)).filter(({ isGeneric }) => isGeneric)).toEqual([]);
    const loadId = await aLoad(world.db, 'more');
    await world.engine.accept.accept({ id: 1, key: 'web' }, sent(3, GENERIC_BOUND), {
      loadId,
      historical: false,
    });
    await settleGenerics(world);
    expect((await generic(world)).filter(({ isGeneric }) => isGeneric)).toHaveLength(1);
    await world.engine.retractions.takeBackLoad(loadId);
    await settleGenerics(world);
    expect((await generic(world)).filter(({ isGeneric }) => isGeneric)).toEqual([]);
    const never = await newWorld();
    await never.accept(sent(GENERIC_BOUND));
    const [after, before] = await knownTogether(world, never);
    expect(after).toEqual(before);
    expect(await strays(world.db)).toEqual([]);
  });

  it('is none once somebody says so, until that is taken back', async () => {
    const [world, kept] = [await newWorld(), await newWorld()];
    await kept.engine.identity.generics.keep(office, who);
    for (const each of [world, kept]) {
      await each.accept(sent(PEOPLE));
      await settleGenerics(each);
    }
    const joined = (await knownOf(kept)).profiles.find((names) => names.includes(OFFICE.email));
    expect(joined).toContain('user_id:u0');
    const [apart] = await knownTogether(world);
    await world.engine.identity.generics.keep(office, who);
    await settleGenerics(world);
    const [now, always] = await knownTogether(world, kept);
    expect(now).toEqual(always);
    await world.engine.identity.generics.clear(office, who);
    await settleGenerics(world);
    const again = facts(await knownOf(world));
    expect(again.profiles).toEqual(apart?.profiles);
    expect(again.states).toEqual(apart?.states);
    await expect(world.engine.identity.generics.clear(office, who)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await strays(world.db)).toEqual([]);
  });

  it('is found, and is none any more, once other rules say what is unique', async () => {
    const cards = (limit: number) =>
      parseIdentityRules(`identity: { namespaces: { card: { limit: ${String(limit)} } } }`, 'identity.yaml').rules;
    const apply = async (world: World, limit: number): Promise<void> => {
      await world.engine.services.identityRules.apply(cards(limit), { by: 'a test', isDryRun: false, reresolve: who });
      await settleGenerics(world);
    };
    const events = Array.from({ length: PEOPLE }, (_, i) =>
      aTrack('view', { card: `c${String(i)}`, ...OFFICE }, { ...at(i), messageId: `m${String(i)}` }),
    );
    const [tightened, tight] = [await newWorld(), await newWorld()];
    await apply(tightened, 900);
    await apply(tight, 1);
    for (const world of [tightened, tight]) {
      await world.accept(events);
      await settleGenerics(world);
    }
    const office = (await knownOf(tightened)).profiles;
    expect(office).toHaveLength(1);
    const preview = (limit: number) =>
      tightened.engine.identity.rulesPreviews.preview(cards(limit), { place: null, maxExamined: 1_000 });
    const apart = { identifiersMoved: PEOPLE - 1, identifiersGone: 1, valuesUncounted: 1 };
    expect(await preview(1)).toMatchObject({
      ...apart,
      profilesSplit: 1,
      profilesAdded: PEOPLE - 1,
      profilesMerged: 0,
    });
    await apply(tightened, 1);
    expect(await generic(tightened)).toEqual([{ value: OFFICE.email, isGeneric: true, neighbours: PEOPLE }]);
    const again = { identifiersMoved: PEOPLE - 1, identifiersGone: 0, valuesUncounted: 0 };
    expect(await preview(900)).toMatchObject({
      ...again,
      profilesSplit: 0,
      profilesAdded: 0,
      profilesMerged: PEOPLE - 1,
    });
    const [now, always] = await knownTogether(tightened, tight);
    expect(now).toEqual(always);
    await apply(tightened, 900);
    expect(await generic(tightened)).toMatchObject([{ isGeneric: false }]);
    expect((await knownOf(tightened)).profiles).toEqual(office);
    expect(await strays(tightened.db)).toEqual([]);
  });

  it('lets decisions by hand go first while it waits for a backfill, but for those about whom its events name', async () => {
    const [held, calm] = [await newWorld({ limits: { maxBackfillEvents: 1 } }), await newWorld()];
    const merge = async (world: World, ...identifiers: { ns: string; value: string }[]) =>
      (await world.engine.identity.revisions.request({ kind: 'merge', input: { identifiers } }, who)).id;
    const [ada, bo, cookie] = [
      { ns: 'user_id', value: 'ada' },
      { ns: 'user_id', value: 'bo' },
      { ns: 'anonymous_id', value: 'c0' },
    ];
    const apart = ['ada', 'bo'].map((user_id) => aTrack('view', { user_id }, { messageId: user_id, ...at(1) }));
    const events = [...sent(PEOPLE), ...apart];
    const more = [...SOME_FEATURES, aFeature('views_ever', { events: ['view'] })];
    await merge(calm, ada, bo);
    await merge(calm, bo, cookie);
    await settleGenerics(calm);
    await calm.accept(events);
    await calm.defineFeatures(more);

    await held.accept(events);
    const isMoving = async (): Promise<boolean> =>
      (await held.db.query(`SELECT FROM identity_revisions WHERE kind = 'generic' AND status = 'running'`)).length > 0;
    for (let i = 0; !(await isMoving()); i++) {
      expect(i).toBeLessThan(100);
      held.clock.advance(MINUTE_MS);
      await held.engine.worker.runOnce();
    }
    const profileOf = async ({ value }: { value: string }) =>
      (await held.db.query<{ id: string }>('SELECT profile_id AS id FROM identifiers WHERE value = $1', [value]))[0]
        ?.id;
    const before = await profileOf(cookie);
    await held.defineFeatures(more);
    const [first, second] = [await merge(held, ada, bo), await merge(held, bo, cookie)];
    const find = (id: string) => held.engine.identity.revisions.get(id);
    for (let i = 0; (await find(first)).status !== 'done'; i++) {
      expect(i).toBeLessThan(20);
      await held.engine.worker.runOnce();
    }
    // Now and again, as long as the backfill takes.
    for (let i = 0; i < 10; i++) {
      held.clock.advance(MINUTE_MS);
      await held.engine.worker.runOnce();
      expect(await isMoving()).toBe(true);
      expect(await find(second)).toMatchObject({ status: 'waiting', failures: 0 });
    }
    expect((await held.engine.definitions.current()).complete).toBe(false);
    expect(await profileOf(cookie)).toBe(before);
    const [late, always] = await knownTogether(held, calm);
    expect(late).toEqual(always);
    expect(await find(second)).toMatchObject({ status: 'done', result: { linksAdded: 1 } });
    expect(await strays(held.db)).toEqual([]);
  });

  it('is gone on with by another process, and what was accepted by one that had not heard of it finds its place', async () => {
    const world = await newWorld({ sealed: true });
    const late = await world.another();
    await late.definitions.current();
    await world.accept(sent(PEOPLE));
    // Up to the point where it is decided, and nothing is moved yet.
    for (let i = 0; (await generic(world)).length === 0; i++) {
      expect(i).toBeLessThan(100);
      world.clock.advance(MINUTE_MS);
      await world.engine.worker.runOnce();
    }
    await world.engine.worker.stop();
    const another = await world.another();
    await settleGenerics(world, another);
    await late.accept.accept(
      { id: 1, key: 'web' },
      [aTrack('view', { ...OFFICE, anonymous_id: 'unheard' }, { messageId: 'late', ...at(1) })],
      { historical: false },
    );
    const [row] = await world.db.query<{ ns: string }>(
      'SELECT i.ns FROM event_log e JOIN identifiers i ON i.id = e.anchor_id WHERE e.pos = (SELECT max(pos) FROM event_log)',
    );
    expect(row?.ns).toBe('email');
    await settleGenerics(world, another);
    const without = await newWorld();
    const unheard = aTrack('view', { anonymous_id: 'unheard' }, { messageId: 'late', ...at(1) });
    await without.accept([...withoutOffice(sent(PEOPLE)), unheard]);
    const until = Math.max(world.clock.now(), without.clock.now());
    for (const [each, engine] of [
      [world, another],
      [without, without.engine],
    ] as const) {
      each.clock.advance(until - each.clock.now());
      await settleGenerics(each, engine);
    }
    expect(facts(await knownOf(world))).toEqual(facts(await knownOf(without)));

    // Another, and before it is moved somebody says that the value is none.
    await late.accept.accept(
      { id: 1, key: 'web' },
      [aTrack('view', { ...OFFICE, anonymous_id: 'last' }, { messageId: 'last', ...at(1) })],
      { historical: false },
    );
    await world.engine.identity.generics.keep(office, who);
    for (let i = 0; (await generic(world)).some(({ isGeneric }) => isGeneric); i++) {
      expect(i).toBeLessThan(100);
      if (!(await another.worker.runOnce())) world.clock.advance(MINUTE_MS);
      expect(await besideComponents(world.db)).toEqual([]);
    }
    await settleGenerics(world, another);
    const joined = (await knownOf(world)).profiles.find((names) => names.includes(OFFICE.email));
    expect(joined).toContain('anonymous_id:last');
    expect(await strays(world.db)).toEqual([]);
  });
});
