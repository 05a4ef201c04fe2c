import { afterEach, describe, expect, it } from 'vitest';
import type { Uuid } from '../../src/platform/ids.js';
import { SearchFieldReader } from '../../src/profiles/search-field.reader.js';
import { instantOfKey, searchKeys } from '../../src/profiles/search-key.model.js';
import { decodeTraits } from '../../src/profiles/trait-codec.js';
import { mergeTraits } from '../../src/profiles/traits.model.js';
import type { Traits } from '../../src/profiles/trait.model.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { loseSessions } from '../support/lose-sessions.js';
import { acceptLog, randomFrom, randomLog, type LogStep } from '../support/random-log.js';
import { anIdentify, aTrack, createWorld, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

async function newWorld(): Promise<World> {
  const world = await createWorld(START_MS, { limits: { maxIndexedProfiles: 2, maxBatchEvents: 10 } });
  worlds.push(world);
  await world.accept([], { source: 'web' });
  return world;
}

const logOf = (seed: number): LogStep[] =>
  randomLog(randomFrom(seed), {
    steps: 60,
    maxEventsPerStep: 6,
    advancesMs: [0, 1, MINUTE_MS, HOUR_MS],
    historicalShare: 0.3,
    people: 5,
  });

async function declare(world: World, ...names: readonly string[]): Promise<void> {
  const traits = names.map((name) => ({ name, description: '', edge: false, searchable: true }));
  await world.engine.services.traits.apply(traits, { prune: true });
}

/** The rows of traits, as they are. */
async function indexed({ db }: Pick<World, 'db'>): Promise<string[]> {
  const rows = await db.query<{ profileId: Uuid; name: string; key: Buffer }>(
    `SELECT s.profile_id AS "profileId", f.name, s.key FROM profile_search s JOIN search_fields f ON f.id = s.field_id
     WHERE f.name <> '$updated'`,
  );
  return rows.map(({ profileId, name, key }) => `${profileId} ${name} ${key.toString('hex')}`).sort();
}

/** The same as they have to be: of each living profile what its anchors hold. */
async function expected({ db }: Pick<World, 'db'>, ...names: readonly string[]): Promise<string[]> {
  const rows = await db.query<{ profileId: Uuid; traits: Buffer }>(
    `SELECT i.profile_id AS "profileId", a.traits FROM identifiers i JOIN anchor_states a ON a.anchor_id = i.id`,
  );
  const byProfile = new Map<Uuid, Traits[]>();
  for (const { profileId, traits } of rows) {
    byProfile.set(profileId, [...(byProfile.get(profileId) ?? []), decodeTraits(traits)]);
  }
  const keys = [...byProfile].flatMap(([profileId, all]) => {
    const traits = mergeTraits(all);
    return names.flatMap((name) =>
      searchKeys(traits.get(name)?.value).map((key) => `${profileId} ${name} ${key.toString('hex')}`),
    );
  });
  return [...new Set(keys)].sort();
}

async function updatedOf({ db }: World, userId: string): Promise<number | null> {
  const [row] = await db.query<{ key: Buffer }>(
    `SELECT s.key FROM profile_search s JOIN search_fields f ON f.id = s.field_id AND f.name = '$updated'
     JOIN identifiers i ON i.profile_id = s.profile_id WHERE i.value = $1`,
    [userId],
  );
  return row === undefined ? null : instantOfKey(row.key);
}

describe('the index of searchable traits', () => {
  it('is what the anchors hold after any log of merges, splits and late events', async () => {
    const world = await newWorld();
    await declare(world, 'plan');
    const batches = randomFrom(7);
    await acceptLog(world, logOf(171), async (index) => {
      if (index === 30) await declare(world, 'plan', 'city');
      if (batches() < 0.5) await world.engine.worker.runOnce();
    });
    await world.drain();
    expect((await expected(world, 'plan', 'city')).length).toBeGreaterThan(5);
    expect(await indexed(world)).toEqual(await expected(world, 'plan', 'city'));
  });

  it('is built of who was there before, by workers that are lost in the middle, and says how far that is', async () => {
    const world = await newWorld();
    await acceptLog(world, logOf(172), () => world.drain());
    expect(await indexed(world)).toEqual([]);
    await world.engine.worker.stop();
    await declare(world, 'plan', 'city');
    const reader = new SearchFieldReader(world.db);
    for (let worker = 0; worker < 8; worker++) {
      const db = await world.test.connect({ entities: [SourceEntity], applicationName: 'doomed' });
      const engine = await world.engineOn(db, { maxIndexedProfiles: 1 });
      for (let round = 0; round < 16 + worker; round++) await engine.worker.runOnce();
      await loseSessions(world.db, 'doomed');
      if (worker === 0) expect((await reader.standing()).get('plan')?.isReady).toBe(false);
    }
    const last = await world.another();
    await last.worker.drain();
    expect(await indexed(world)).toEqual(await expected(world, 'plan', 'city'));
    expect((await reader.standing()).get('plan')?.isReady).toBe(true);
    const [build] = await reader.builds(1);
    expect(build?.finishedAt).not.toBeNull();
    expect(build?.profilesDone).toBe(build?.profilesTotal);
  });

  it('loses what is searchable no more, and nothing of it stays', async () => {
    const world = await newWorld();
    await declare(world, 'plan', 'city');
    await acceptLog(world, logOf(173), () => world.drain());
    await declare(world, 'city');
    await world.drain();
    expect(await indexed(world)).toEqual(await expected(world, 'city'));
    await declare(world);
    await world.drain();
    expect(await world.db.query('SELECT FROM profile_search')).toEqual([]);
    expect(await world.db.query('SELECT FROM search_fields')).toEqual([]);
  });

  it('knows when what is known of somebody changed last, to five minutes', async () => {
    const world = await newWorld();
    await world.accept([anIdentify({ user_id: 'ann' }, { plan: 'pro' })]);
    await world.drain();
    world.clock.advance(HOUR_MS);
    await declare(world, 'plan');
    await world.drain();
    const hop = 5 * MINUTE_MS;
    const floor = (ms: number): number => Math.floor(ms / hop) * hop;
    expect(await updatedOf(world, 'ann')).toBe(floor(START_MS));
    await world.accept([anIdentify({ user_id: 'ann' }, { plan: 'free' }), anIdentify({ user_id: 'bob' })]);
    await world.drain();
    expect(await updatedOf(world, 'ann')).toBe(floor(world.clock.now()));
    expect(await updatedOf(world, 'bob')).toBe(floor(world.clock.now()));
    const before = world.clock.now();
    world.clock.advance(HOUR_MS);
    // No feature reads it and it has no traits: nothing of her changed.
    await world.accept([aTrack('view', { user_id: 'ann' })]);
    await world.drain();
    expect(await updatedOf(world, 'ann')).toBe(floor(before));
  });
});
