import { afterEach, describe, expect, it } from 'vitest';
import { EventHistoryReader } from '../../src/events/event-history.reader.js';
import type { IncomingEvent } from '../../src/events/event.model.js';
import type { ConsentAsOf, KnownAsOf, LabelRow } from '../../src/features/training-set.model.js';
import { TrainingSetService } from '../../src/features/training-set.service.js';
import { IdentityHistoryReader } from '../../src/identity/identity-history.reader.js';
import { DEFAULT_IDENTITY_RULES } from '../../src/identity/identity-rules.model.js';
import { SourceService } from '../../src/sources/source.service.js';
import { SourceStore } from '../../src/sources/source.store.js';
import { aFeature } from '../support/a-feature.js';
import { aPurpose } from '../support/a-purpose.js';
import { aTrack, createWorld, DAY_MS, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

/** Whoever says nothing allows `ads`, which the feature `seen` needs; `all` needs nothing. */
async function newWorld(): Promise<World> {
  const world = await createWorld();
  worlds.push(world);
  await world.engine.services.purposes.apply([aPurpose('ads', { default: 'granted' })]);
  const view = { description: '', source: null };
  await world.engine.services.features.apply({
    views: [
      { ...view, name: 'open', features: [aFeature('all', { view: 'open', events: ['view'] })] },
      { ...view, name: 'gated', features: [aFeature('seen', { view: 'gated', events: ['view'] })], purposes: ['ads'] },
    ],
    services: [],
  });
  return world;
}

const says = (who: Record<string, string>, ads: boolean): IncomingEvent =>
  aTrack('choose', who, { context: { consent: { purposes: { ads } } } });

interface As {
  readonly knownAsOf?: KnownAsOf;
  readonly consentAsOf?: ConsentAsOf;
}

async function rowsOf({ db, clock, engine }: World, userId: string, timesMs: readonly number[], as: As = {}) {
  const events = new EventHistoryReader();
  const identity = new IdentityHistoryReader({ rules: DEFAULT_IDENTITY_RULES, events });
  const sets = new TrainingSetService({ db, clock, policy: engine.policy, events, identity });
  const labels = timesMs.map((timeMs): LabelRow => ({ ns: 'user_id', value: userId, timeMs, cells: [] }));
  const { rows } = await sets.exportTrainingSet({ labels, features: ['all', 'seen'], ...as });
  const told: string[] = [];
  for await (const { status, values } of rows)
    told.push([status, ...values.map(({ value }) => (value === null ? '' : JSON.stringify(value)))].join(' '));
  return told;
}

async function keepFor(world: World, retentionMs: number): Promise<void> {
  await new SourceService(new SourceStore(world.db.dataSource), world.clock).update('web', { retentionMs });
  world.clock.advance(MINUTE_MS);
  await world.drain();
}

const countOfLog = async ({ db }: World): Promise<number> => (await db.query('SELECT FROM event_log')).length;

describe('a training set of people who withdrew a consent', () => {
  it('has nothing of them at times when they still allowed it, unless what was served then is asked for', async () => {
    const world = await newWorld();
    const ann = { user_id: 'ann' };
    await world.accept([aTrack('view', ann), aTrack('view', { user_id: 'bob' })]);
    world.clock.advance(HOUR_MS);
    await world.accept([says(ann, false)]);
    await world.drain();
    const before = [START_MS, world.clock.now() - 1];
    const times = [...before, world.clock.now()];
    for (const knownAsOf of ['now', 'event-time', START_MS] as const) {
      expect(await rowsOf(world, 'ann', times, { knownAsOf })).toEqual(times.map(() => 'WITHHELD 1 '));
      expect(await rowsOf(world, 'bob', times, { knownAsOf })).toEqual(times.map(() => 'FOUND 1 1'));
    }
    const then = ['FOUND 1 1', 'FOUND 1 1', 'WITHHELD 1 '];
    expect(await rowsOf(world, 'ann', times, { consentAsOf: 'time' })).toEqual(then);
    expect(await rowsOf(world, 'ann', times, { knownAsOf: 'event-time', consentAsOf: 'time' })).toEqual(then);
    world.clock.advance(HOUR_MS);
    await world.accept([says(ann, true)]);
    await world.drain();
    expect(await rowsOf(world, 'ann', times)).toEqual(then);
  });

  it('has nothing of those whose denial a retention removed from the log', async () => {
    const world = await newWorld();
    const [ann, eve] = [{ user_id: 'ann' }, { user_id: 'eve' }];
    await world.accept([says(ann, false), says(eve, false)]);
    const deniedMs = world.clock.now();
    world.clock.advance(20 * DAY_MS);
    await world.accept([aTrack('view', ann)]);
    await world.drain();
    await keepFor(world, 10 * DAY_MS);
    expect(await countOfLog(world)).toBe(1);
    const times = [deniedMs - 1, deniedMs, world.clock.now()];
    expect(await rowsOf(world, 'ann', times)).toEqual(['WITHHELD 0 ', 'WITHHELD 0 ', 'WITHHELD 1 ']);
    expect(await rowsOf(world, 'eve', times)).toEqual(['WITHHELD 0 ', 'WITHHELD 0 ', 'WITHHELD 0 ']);
    for (const knownAsOf of ['now', 'event-time', world.clock.now()] as const) {
      const as = { knownAsOf, consentAsOf: 'time' } as const;
      expect((await rowsOf(world, 'ann', times, as)).slice(1)).toEqual(['WITHHELD 0 ', 'WITHHELD 1 ']);
    }
    expect(await rowsOf(world, 'ann', times, { consentAsOf: 'time' })).toContain('FOUND 0 0');
    expect((await rowsOf(world, 'eve', times, { consentAsOf: 'time' })).at(-1)).toBe('WITHHELD 0 ');
    await world.accept([says(ann, true)]);
    await world.drain();
    // The denial is in neither the log nor what the anchor holds, and counts as of then all the same.
    expect(await rowsOf(world, 'ann', [deniedMs, world.clock.now()])).toEqual(['WITHHELD 0 ', 'FOUND 1 1']);
  });

  it('has nothing of times at which they were one person with somebody who withdrew since', async () => {
    const world = await newWorld();
    const [ann, visitor] = [{ user_id: 'ann' }, { anonymous_id: 'visitor' }];
    await world.accept([aTrack('view', { ...ann, ...visitor }), aTrack('view', visitor)]);
    await world.drain();
    const joinedMs = world.clock.now();
    world.clock.advance(HOUR_MS);
    const [row] = await world.db.query<{ id: string }>(`SELECT profile_id AS id FROM identifiers WHERE ns = 'user_id'`);
    const { revisions } = world.engine.identity;
    const identifiers = [{ ns: 'anonymous_id', value: 'visitor' }];
    const input = { profile: row?.id ?? '', identifiers };
    await revisions.request({ kind: 'unmerge', input }, { actor: 'test', reason: '' });
    await world.drain();
    await world.accept([says(visitor, false)]);
    await world.drain();
    const times = [joinedMs, world.clock.now()];
    expect(await rowsOf(world, 'ann', times)).toEqual(['FOUND 1 1', 'FOUND 1 1']);
    expect(await rowsOf(world, 'ann', times, { knownAsOf: 'event-time' })).toEqual(['WITHHELD 2 ', 'FOUND 1 1']);
  });
});
