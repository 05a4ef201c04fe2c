import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { IncomingEvent } from '../../src/events/event.model.js';
import { readState, withoutEntries } from '../support/pipeline-state.js';
import { aFeature } from '../support/a-feature.js';
import { anIdentify, aTrack, createWorld, DAY_MS, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

/*
 * Two people are taken for one, because a cookie was seen with an account. Later it turns out that the cookie had been
 * with another account before that, and no profile may hold two: what was joined falls apart again.
 */

const COOKIE = { anonymous_id: 'cookie' };
const ACCOUNT = { user_id: 'account' };

describe('a merge that later evidence undoes', () => {
  let world: World;

  beforeEach(async () => {
    world = await newWorld();
  });

  afterEach(async () => {
    await world.close();
  });

  async function newWorld(): Promise<World> {
    const created = await createWorld();
    await created.defineFeatures([
      aFeature('views', { events: ['view'], windowMs: HOUR_MS }),
      aFeature('spend', { aggregate: 'sum', events: ['buy'], value: 'properties.total', type: 'double' }),
    ]);
    await created.defineSegment('keen', 'count("view", "1h") >= 2');
    await created.defineSegment('no_cart', '!performed("cart")');
    await created.defineSegment('spender', 'f.spend >= 30');
    await created.defineSegment('pro', 'traits.plan == "pro"');
    await created.drain();
    return created;
  }

  async function step(events: readonly IncomingEvent[], on: World = world): Promise<void> {
    on.clock.advance(MINUTE_MS);
    await on.accept(events);
    await on.drain();
  }

  const before = () => [
    aTrack('view', COOKIE),
    aTrack('buy', COOKIE, { properties: { total: 20 } }),
    aTrack('view', ACCOUNT),
    aTrack('cart', ACCOUNT),
    anIdentify(ACCOUNT, { plan: 'pro' }),
    aTrack('buy', ACCOUNT, { properties: { total: 15 } }),
  ];
  const joined = () => [anIdentify({ ...COOKIE, ...ACCOUNT })];
  /** Ten minutes before everything else, but told of last. */
  const revealed = () => [anIdentify({ ...COOKIE, user_id: 'other' }, {}, { timestampMs: START_MS - 10 * MINUTE_MS })];

  const changes = async (after: number) =>
    (await world.feed())
      .filter((change) => change.seq > after)
      .map((c) => `${names.get(c.profileId) ?? '?'} ${c.kind} ${c.segment} ${c.cause.kind}`)
      .sort();
  const names = new Map<string, string>();

  async function nameProfiles(): Promise<void> {
    const rows = await world.db.query<{ id: string; value: string }>(
      'SELECT p.id, i.value FROM profiles p JOIN identifiers i ON i.id = p.founding_id',
    );
    names.clear();
    for (const { id, value } of rows) names.set(id, value);
  }

  it('emits exactly the changes that it implies, both ways', async () => {
    await step(before());
    await nameProfiles();
    const start = (await world.feed()).length;
    expect(await changes(0)).toEqual([
      'account enter no_cart event',
      'account enter pro event',
      'account leave no_cart event',
      'cookie enter no_cart event',
    ]);
    await step(joined());
    const merged = (await world.feed()).length;
    // The cookie was first: its profile stands, and has seen a cart now.
    expect(await changes(start)).toEqual([
      'account leave pro merge',
      'cookie enter keen merge',
      'cookie enter pro merge',
      'cookie enter spender merge',
      'cookie leave no_cart merge',
    ]);
    await step(revealed());
    expect(await changes(merged)).toEqual([
      'account enter pro unmerge',
      'cookie enter no_cart unmerge',
      'cookie leave keen unmerge',
      'cookie leave pro unmerge',
      'cookie leave spender unmerge',
    ]);
  });

  it('restores every id, feature and membership', async () => {
    const ids = () => world.db.query('SELECT id, founding_id FROM profiles WHERE merged_into IS NULL ORDER BY id');
    const [first, second] = [before(), revealed()];
    await step(first);
    const idsBefore = await ids();
    await step(joined());
    expect(await ids()).toHaveLength(1);
    await step(second);
    expect(await ids()).toEqual(idsBefore);

    // As if the account had never been seen with the cookie.
    const never = await newWorld();
    try {
      await step(first, never);
      await step([anIdentify(ACCOUNT)], never);
      await step(second, never);
      world.clock.advance(DAY_MS);
      never.clock.advance(DAY_MS);
      await world.drain();
      await never.drain();
      const state = async (of: World) =>
        withoutEntries(
          await readState(of.db, await of.engine.definitions.current(), of.clock.now() - DAY_MS + MINUTE_MS),
        );
      expect(await state(world)).toEqual(await state(never));
    } finally {
      await never.close();
    }
  });

  it('leaves the timers of the parts as if they had never been one', async () => {
    await step(before());
    await step(joined());
    await step(revealed());
    await nameProfiles();
    const start = (await world.feed()).length;
    await step([aTrack('view', COOKIE)]);
    world.clock.advance(DAY_MS);
    await world.drain();
    const feed = (await world.feed()).filter((change) => change.seq > start);
    expect(feed.map((c) => [names.get(c.profileId), c.kind, c.segment, c.cause.kind, c.at - START_MS])).toEqual([
      ['cookie', 'enter', 'keen', 'event', 4 * MINUTE_MS + 1],
      ['cookie', 'leave', 'keen', 'timer', MINUTE_MS + HOUR_MS],
    ]);
  });

  it('can be merged and undone again and again without a trace', async () => {
    await step(before());
    const accounts = Array.from({ length: 6 }, (_, i) => `other-${String(i)}`);
    await step(joined());
    for (const [i, user_id] of accounts.entries()) {
      const earlier = { timestampMs: START_MS - (i + 1) * HOUR_MS };
      await step([anIdentify({ ...COOKIE, user_id }, {}, earlier)]);
    }
    const living = await world.db.query<{ n: number }>(
      'SELECT count(*)::int4 AS n FROM profiles WHERE merged_into IS NULL',
    );
    // The account, and the cookie with whichever other account had it first; the rest stand alone.
    expect(living).toEqual([{ n: accounts.length + 1 }]);
    const [row] = await world.db.query<{ ids: number }>(
      `SELECT count(*)::int4 AS ids FROM identifiers
       WHERE profile_id = (SELECT profile_id FROM identifiers WHERE value = 'cookie')`,
    );
    expect(row).toEqual({ ids: 2 });
  });
});

describe('an identifier that no profile could take in', () => {
  it.each([
    ['in memory', false],
    ['read anew', true],
  ])(
    'is a profile of its own, in no segment until its first event, and then in all that are true (%s)',
    async (_, anew) => {
      const world = await createWorld();
      try {
        await world.defineSegment('never_bought', '!performed("buy")');
        await world.defineSegment('viewers', 'performed("view")');
        await world.drain();
        const email = 'someone@example.com';
        await world.accept([anIdentify({ user_id: 'first', email })]);
        await world.drain();
        // The address is the first account's: neither it nor what came with it goes to the second one.
        await world.accept([anIdentify({ user_id: 'second', email, anonymous_id: 'new' })]);
        await world.drain();
        expect((await world.feed()).map((change) => change.segment)).toEqual(['never_bought', 'never_bought']);
        const engine = anew ? await world.another() : world.engine;
        if (anew) await world.engine.worker.stop();
        await world.accept([aTrack('view', { anonymous_id: 'new' })]);
        await engine.worker.drain();
        expect((await world.feed()).slice(2).map((c) => `${c.kind} ${c.segment}`)).toEqual([
          'enter never_bought',
          'enter viewers',
        ]);
      } finally {
        await world.close();
      }
    },
  );
});
