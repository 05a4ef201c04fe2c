import { afterEach, describe, expect, it } from 'vitest';
import type { IncomingEvent } from '../../src/events/event.model.js';
import { RetentionReader } from '../../src/events/retention.reader.js';
import { hashId } from '../../src/platform/ids.js';
import { DEFAULT_TRAIT_RULE } from '../../src/profiles/trait-rule.model.js';
import { SourceService } from '../../src/sources/source.service.js';
import { SourceStore } from '../../src/sources/source.store.js';
import { aFeature } from '../support/a-feature.js';
import { aPurpose } from '../support/a-purpose.js';
import { findTexts } from '../support/find-texts.js';
import { knownOf, strays } from '../support/retraction-builders.js';
import { defineSome, pick, randomFrom, randomLog } from '../support/random-log.js';
import { anIdentify, aTrack, createWorld, DAY_MS, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

const SOME = { maxPositions: 7, maxEvents: 3 };

async function newWorld(): Promise<World> {
  const world = await createWorld(START_MS, { limits: { maxRetentionStep: SOME, maxRetractionEvents: 40 } });
  worlds.push(world);
  await world.accept([], { source: 'web' });
  await world.accept([], { source: 'crm' });
  return world;
}

const sourcesOf = ({ db, clock }: World): SourceService => new SourceService(new SourceStore(db.dataSource), clock);

/** As a worker that looks once a minute. */
async function sweep(world: World): Promise<void> {
  world.clock.advance(MINUTE_MS);
  await world.drain();
}

const logged = async ({ db }: World): Promise<string[]> => {
  const rows = await db.query<{ key: string; day: number }>(
    `SELECT s.key, ((occurred_at - $1) / $2)::int AS day FROM event_log e JOIN sources s ON s.id = e.source_id ORDER BY pos`,
    [START_MS, DAY_MS],
  );
  return rows.map(({ key, day }) => `${key} ${String(day)}`);
};

/** Who has looked at something, and has not said that they want no mail, is in `mailed`. */
async function mailedUnlessDenied({ engine }: World): Promise<void> {
  await engine.services.purposes.apply([aPurpose('mail', { default: 'granted' })]);
  const segment = { key: 'mailed', name: '', description: '', tags: [], purposes: ['mail'] };
  await engine.services.segments.upsert({ ...segment, name: 'mailed', expression: 'performed("view")' });
  await engine.services.segments.activate('mailed');
}

const traitsOf = async ({ db }: World, userId: string): Promise<string> => {
  const id = hashId('user_id', userId);
  const rows = await db.query<{ traits: Buffer }>('SELECT traits FROM anchor_states WHERE anchor_id = $1', [id]);
  return rows.map(({ traits }) => traits.toString()).join();
};

const progressOf = async (world: World) => [...(await new RetentionReader(world.db).progress([1, 2])).values()];

describe('the retention of a source', () => {
  it('removes its events and dead letters that are older, and leaves what came of them and all others', async () => {
    const world = await newWorld();
    await world.defineFeatures([
      aFeature('views', { events: ['view'] }),
      aFeature('views_5d', { events: ['view'], windowMs: 5 * DAY_MS }),
    ]);
    await world.drain();
    for (let day = 0; day < 20; day++) {
      await world.accept([anIdentify({ user_id: 'ann' }, { day }), aTrack('view', { user_id: 'ann' })], {
        source: 'web',
      });
      await world.accept([aTrack('view', { user_id: 'ann' }), { type: 'track' } as IncomingEvent], { source: 'crm' });
      await world.drain();
      world.clock.advance(DAY_MS);
    }
    const before = await knownOf(world);
    await sourcesOf(world).update('web', { retentionMs: 10 * DAY_MS });
    await sweep(world);
    const after = await logged(world);
    expect(after.filter((each) => each.startsWith('crm'))).toHaveLength(20);
    expect([...new Set(after.filter((each) => each.startsWith('web')))]).toEqual(
      Array.from({ length: 9 }, (_, i) => `web ${String(i + 11)}`),
    );
    expect(await knownOf(world)).toEqual(before);
    expect(await progressOf(world)).toMatchObject([{ removedEvents: 22, removedLetters: 0, progress: null }]);

    await sourcesOf(world).update('crm', { retentionMs: 15 * DAY_MS });
    await sweep(world);
    expect((await progressOf(world))[1]).toMatchObject({ removedEvents: 6, removedLetters: 6 });
    // The next pass is six hours later.
    world.clock.advance(DAY_MS);
    await world.drain();
    expect(await progressOf(world)).toMatchObject([{ removedEvents: 24 }, { removedEvents: 7, removedLetters: 7 }]);
  });

  it('leaves words on purposes and traits of removed events when a purpose is declared or the rule of a trait changes', async () => {
    const world = await newWorld();
    await mailedUnlessDenied(world);
    await world.accept([
      anIdentify({ user_id: 'ann' }, { name: 'Ann', plan: 'pro' }),
      aTrack('refuse', { user_id: 'ann' }, { context: { consent: { purposes: { mail: 'denied' } } } }),
    ]);
    world.clock.advance(20 * DAY_MS);
    await world.accept([anIdentify({ user_id: 'ann' }, { plan: 'free' }), aTrack('view', { user_id: 'ann' })]);
    await world.drain();
    await sourcesOf(world).update('web', { retentionMs: 10 * DAY_MS });
    await sweep(world);
    const before = await traitsOf(world, 'ann');
    expect(before).toContain('"denied"');
    const { purposes, traits } = world.engine.services;
    await purposes.apply([aPurpose('mail', { default: 'granted' }), aPurpose('ads')]);
    await world.drain();
    expect(await traitsOf(world, 'ann')).toBe(before);
    await traits.apply([
      { name: 'plan', description: '', edge: false, rule: { ...DEFAULT_TRAIT_RULE, survivorship: 'max' } },
    ]);
    await world.drain();
    expect(await traitsOf(world, 'ann')).toContain('"Ann"');
    expect((await world.feed()).map(({ kind, segment }) => `${kind} ${segment}`)).toEqual([]);
  });

  it('that is strict takes no word on a purpose back, also of those of whom nothing else is left', async () => {
    const world = await newWorld();
    await mailedUnlessDenied(world);
    const denied = { context: { consent: { purposes: { mail: 'denied' } } } };
    for (const user_id of ['ann', 'bob']) await world.accept([aTrack('refuse', { user_id }, denied)]);
    world.clock.advance(20 * DAY_MS);
    await world.accept([aTrack('view', { user_id: 'ann' }, { messageId: 'taken-back' })]);
    await world.drain();
    await sourcesOf(world).update('web', { retentionMs: 10 * DAY_MS, retentionStrict: true });
    await sweep(world);
    expect(await logged(world)).toEqual(['web 20']);
    await world.engine.retractions.takeBackMessages({ id: 1, key: 'web' }, ['taken-back']);
    await world.drain();
    expect(await logged(world)).toEqual([]);
    for (const user of ['ann', 'bob']) expect(await traitsOf(world, user)).toContain('"denied"');
    await world.accept([aTrack('view', { user_id: 'ann' }), aTrack('view', { user_id: 'bob' })]);
    await world.drain();
    expect(await world.feed()).toEqual([]);
    expect(await strays(world.db)).toEqual([]);
  });

  it.each([false, true])(
    'leaves a denial that a grant followed, once the grant is taken back (strict: %s)',
    async (strict) => {
      const world = await newWorld();
      await mailedUnlessDenied(world);
      const says = (word: string) => ({ context: { consent: { purposes: { mail: word } } } });
      // Of ann a denial stays that is newer, and is taken back as well.
      await world.accept([aTrack('refuse', { user_id: 'ann' }, says('denied'))]);
      await world.accept([aTrack('refuse', { user_id: 'bob' }, says('denied'))]);
      world.clock.advance(20 * DAY_MS);
      const later = [
        aTrack('refuse', { user_id: 'ann' }, { ...says('denied'), messageId: 'again' }),
        aTrack('agree', { user_id: 'bob' }, { ...says('granted'), messageId: 'agreed' }),
      ];
      await world.accept([...later, ...['ann', 'bob'].map((user_id) => aTrack('view', { user_id }))]);
      await world.drain();
      await sourcesOf(world).update('web', { retentionMs: 10 * DAY_MS, retentionStrict: strict });
      await sweep(world);
      expect(await logged(world)).toHaveLength(4);
      // Folded anew by another mapping, nothing is forgotten either.
      await world.engine.services.purposes.apply([aPurpose('mail', { default: 'granted' }), aPurpose('ads')]);
      await world.drain();
      expect(await traitsOf(world, 'bob')).toContain('"granted"');
      await world.engine.retractions.takeBackMessages({ id: 1, key: 'web' }, ['again', 'agreed']);
      await world.drain();
      for (const user of ['ann', 'bob']) expect(await traitsOf(world, user)).toContain('"denied"');
      await world.accept(['ann', 'bob'].map((user_id) => aTrack('view', { user_id })));
      await world.drain();
      expect((await world.feed()).map(({ kind, segment }) => `${kind} ${segment}`)).toEqual([
        'enter mailed',
        'leave mailed',
      ]);
      expect(await strays(world.db)).toEqual([]);
    },
  );

  it('leaves whoever shares an identifier with somebody who is erased', async () => {
    const world = await newWorld();
    const home = 'home-51@example.org';
    await world.accept([
      ...['bob', 'ann'].map((user_id) => anIdentify({ user_id }, { name: user_id })),
      anIdentify({ user_id: 'ann', email: home }),
      anIdentify({ user_id: 'bob', email: home }, { mail: home }),
    ]);
    world.clock.advance(20 * DAY_MS);
    await world.accept([aTrack('view', { user_id: 'ann' })]);
    await world.drain();
    await sourcesOf(world).update('web', { retentionMs: 10 * DAY_MS });
    await sweep(world);
    const identifier = { ns: 'user_id', value: 'ann' };
    await world.engine.erasures.request({ identifier }, { reason: '', actor: 'test' });
    await world.drain();
    expect(await world.db.query('SELECT value FROM identifiers')).toEqual([{ value: 'bob' }]);
    expect(await traitsOf(world, 'bob')).toMatch(/"bob"/);
    expect(await findTexts(world.db, [home])).toEqual([]);
    expect(await strays(world.db)).toEqual([]);
  });

  it.each([301, 302, 303, 304])('that is strict leaves what there were without those events (log %i)', async (seed) => {
    const random = randomFrom(seed);
    const log = randomLog(random, {
      steps: 40,
      maxEventsPerStep: 6,
      advancesMs: [0, MINUTE_MS, HOUR_MS, 6 * HOUR_MS],
      historicalShare: 0.3,
      people: 5,
    }).map((step) => ({ ...step, source: pick(random, ['web', 'crm']) }));
    const [world, never] = [await newWorld(), await newWorld()];
    let endMs = 0;
    for (const { advanceMs } of log) endMs += advanceMs;
    const retentionMs = 2 * DAY_MS;
    const cutoffMs = START_MS + endMs + MINUTE_MS - retentionMs;
    await defineSome(world);
    await defineSome(never);
    for (const [i, { advanceMs, historical, events, source }] of log.entries()) {
      for (const each of [world, never]) each.clock.advance(advanceMs);
      const nowMs = never.clock.now();
      const kept = events.filter(
        (event) => source !== 'web' || Math.min(event.timestampMs ?? nowMs, nowMs) >= cutoffMs,
      );
      await world.accept(events, { historical, source });
      await never.accept(kept, { historical, source });
      if (i % 5 === 0) await world.drain();
    }
    await world.drain();
    await sourcesOf(world).update('web', { retentionMs, retentionStrict: true });
    await sweep(world);
    await sweep(never);
    expect((await progressOf(world))[0]?.removedEvents).toBeGreaterThan(10);
    expect(await logged(world)).toEqual(await logged(never));
    expect(await strays(world.db)).toEqual([]);
    expect(await knownOf(world)).toEqual(await knownOf(never));
  });

  it('goes on where a worker left it, with several of them', async () => {
    const world = await newWorld();
    for (let i = 0; i < 60; i++) await world.accept([aTrack('view', { user_id: `u${String(i % 7)}` })]);
    await world.drain();
    world.clock.advance(3 * DAY_MS);
    await sourcesOf(world).update('web', { retentionMs: DAY_MS });
    for (let run = 0; run < 4; run++) await world.engine.worker.runOnce();
    const half = (await progressOf(world))[0];
    expect(half?.progress).not.toBeNull();
    await world.engine.worker.stop();
    const other = await world.another();
    while (await other.worker.runOnce());
    expect((await progressOf(world))[0]).toMatchObject({ removedEvents: 60, progress: null });
    expect(await logged(world)).toEqual([]);
  });

  it('lets nothing in that is older, says so, and keeps nothing of it', async () => {
    const world = await newWorld();
    const source = await sourcesOf(world).update('web', { retentionMs: 10 * DAY_MS });
    const at = (days: number) => ({ timestampMs: world.clock.now() - days * DAY_MS });
    const events = [
      aTrack('view', { email: 'canary@example.com' }, at(11)),
      aTrack('view', { email: 'canary@example.com' }, at(9)),
      aTrack('view', { email: 'canary@example.com' }),
    ];
    const results = await world.engine.accept.accept(source, events, { historical: true });
    expect(results).toMatchObject([
      { status: 'refused', code: 'PAST_RETENTION' },
      { status: 'accepted' },
      { status: 'accepted' },
    ]);
    const letters = await world.db.query<{ code: string; text: string }>(
      `SELECT code, dead_letters::text || convert_from(substr(payload, 2), 'UTF8') AS text FROM dead_letters`,
    );
    expect(letters.map(({ code }) => code)).toEqual(['PAST_RETENTION']);
    expect(letters[0]?.text).not.toContain('canary');
  });

  it('is from a day to a hundred years', async () => {
    const world = await newWorld();
    await expect(sourcesOf(world).update('web', { retentionMs: HOUR_MS })).rejects.toMatchObject({
      code: 'BAD_REQUEST',
    });
  });
});
