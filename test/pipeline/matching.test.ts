import { afterEach, describe, expect, it } from 'vitest';
import { checkChores } from '../../src/monitoring/check-chores.js';
import {
  activate,
  activateByTown,
  batchClusters,
  profilesOf,
  settle,
  shuffled,
  stream,
  trainedPeople,
} from '../support/matching-world.js';
import { anIdentify, createWorld, type World } from '../support/world.js';

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

async function newWorld(options: Parameters<typeof createWorld>[1] = {}): Promise<World> {
  const world = await createWorld(undefined, options);
  worlds.push(world);
  await world.accept([], { source: 'web' });
  await world.drain();
  return world;
}

describe('a model that is applied to profiles', () => {
  it.each([
    ['fake_1000.csv.gz', 'unique_id', ['unique_id', 'cluster'], 23],
    ['febrl3.csv.gz', 'rec_id', ['rec_id', 'soc_sec_id'], 600],
  ])(
    'makes of %s, streamed in any order, what a linkage of the file makes of it',
    async (file, id, without, chunk) => {
      const { records, model } = await trainedPeople(file, id, without);
      const world = await newWorld();
      // What was there before is compared first, the rest as it comes.
      const [before, after] = [shuffled(records, 7).slice(0, 300), shuffled(records, 7).slice(300)];
      await stream(world, before, () => 300);
      await activate(world, model);
      await settle(world);
      await stream(world, after, () => chunk);
      expect(await profilesOf(world)).toEqual(await batchClusters(model, records));
    },
    240_000,
  );

  it('draws nobody into the erasure of a person whom it compares them with', async () => {
    const world = await newWorld();
    const profileOf = async (value: string): Promise<string> => {
      const found = await world.db.query<{ id: string }>('SELECT profile_id AS id FROM identifiers WHERE value = $1', [
        value,
      ]);
      return found[0]?.id ?? '';
    };
    const same = { name: 'Jo Park', town: 'York' };
    await activateByTown(world);
    await world.accept([anIdentify({ user_id: 'hers' }, same)]);
    await settle(world);
    const profileId = await profileOf('hers');
    const { id } = await world.engine.erasures.request({ profileId }, { reason: '', actor: 'test' });
    // Events are on their way: it has to wait.
    await world.db.query('UPDATE erasures SET barrier_pos = barrier_pos + 1000');
    await world.accept([anIdentify({ user_id: 'somebody else' }, same)]);
    await settle(world);
    expect(await world.engine.erasures.find(id)).toMatchObject({ status: 'waiting' });
    expect(await world.db.query('SELECT FROM matching_link_work')).toHaveLength(1);
    const other = await profileOf('somebody else');
    expect(other).not.toBe(profileId);
    await world.db.query('UPDATE erasures SET barrier_pos = barrier_pos - 1000');
    await settle(world);
    expect(await world.engine.erasures.find(id)).toMatchObject({ status: 'logical', events: 1 });
    expect([await profileOf('hers'), await profileOf('somebody else')]).toEqual(['', other]);
    expect(await world.db.query('SELECT FROM matching_link_work')).toEqual([]);
    // The model goes on with those who are left.
    await world.accept([anIdentify({ user_id: 'a third' }, same)]);
    await settle(world);
    expect(await profileOf('a third')).toBe(other);
  });

  it('is told where comparing fails, tries again with pauses, and goes on once what was in the way is gone', async () => {
    const told: string[] = [];
    const world = await newWorld({
      observers: { choreFailed: (chore, _, failures) => told.push(`${chore} ${String(failures)}`) },
    });
    await activateByTown(world);
    const same = { name: 'Jo Park', town: 'York' };
    await world.accept(['one', 'two'].map((id) => anIdentify({ user_id: id }, same)));
    const profiles = async (): Promise<number> =>
      (await world.db.query('SELECT FROM identifiers GROUP BY profile_id')).length;
    const doctor = () => checkChores(world.db, world.clock.now());
    await world.db.query('ALTER TABLE matching_pairs ADD CONSTRAINT in_the_way CHECK (false)');
    for (let i = 0; i < 4; i++) await settle(world);
    expect(told).toEqual(['matching 1', 'matching 2', 'matching 3', 'matching 4']);
    const { outcome, detail } = await doctor();
    expect([outcome, detail.split(' since')[0]]).toEqual(['warning', 'matching, 4 times']);
    // Nothing else waits for it.
    await world.accept([anIdentify({ user_id: 'three' }, { name: 'Al', town: 'York' })]);
    await world.drain();
    expect(await profiles()).toBe(3);

    await world.db.query('ALTER TABLE matching_pairs DROP CONSTRAINT in_the_way');
    await settle(world);
    expect(await profiles()).toBe(2);
    expect(await doctor()).toMatchObject({ outcome: 'ok' });
  });
});
