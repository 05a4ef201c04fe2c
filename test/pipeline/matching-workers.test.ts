import { afterAll, describe, expect, it } from 'vitest';
import { IdentityLinkStore } from '../../src/identity/identity-link.store.js';
import { IdentityStore } from '../../src/identity/identity.store.js';
import { lockLinkedComponents } from '../../src/identity/lock-components.js';
import { drainTogether } from '../support/drain-together.js';
import {
  activate,
  activateByTown,
  aRecordEvent,
  batchClusters,
  profilesOf,
  shuffled,
  trainedPeople,
} from '../support/matching-world.js';
import { partitionShares } from '../support/partition-shares.js';
import { aLoad, loadIdOf } from '../support/retraction-builders.js';
import { anIdentify, createWorld, MINUTE_MS, type World } from '../support/world.js';

const CHUNK = 25;

describe('two workers, of which one links people by a model while both apply events', () => {
  const worlds: World[] = [];
  afterAll(() => Promise.all(worlds.map((world) => world.close())));

  it('come to what a linkage of all records at once says', async () => {
    const { records, model } = await trainedPeople('fake_1000.csv.gz', 'unique_id', ['unique_id', 'cluster']);
    const chosen = shuffled(records, 5).slice(0, 10 * CHUNK);
    const world = await createWorld();
    worlds.push(world);
    await world.accept([], { source: 'web' });
    const columns = model.columns?.flatMap(({ from }) => from) ?? [];
    await activate(world, model, Object.fromEntries(columns.map((name) => [name, { kind: 'trait', name }])));
    await world.drain();
    const [workers] = await twoWorkers(world);

    for (let i = 0; i < chosen.length; i += CHUNK) {
      const next = chosen.slice(i, i + CHUNK).map(aRecordEvent);
      // Accepted and applied while those before are still compared and linked.
      await Promise.all([drainTogether(workers), world.accept(next)]);
      world.clock.advance(MINUTE_MS);
    }
    for (let i = 0; i < 2; i++) {
      await drainTogether(workers);
      world.clock.advance(MINUTE_MS);
    }
    const linked = await world.db.query(`SELECT FROM identity_revisions WHERE kind = 'model' AND status = 'done'`);
    expect(linked.length).toBeGreaterThan(1);
    expect(await profilesOf(world)).toEqual(await batchClusters(model, chosen));
  }, 120_000);

  it('take a link back of which one end is gone', async () => {
    const world = await createWorld();
    worlds.push(world);
    await world.accept([], { source: 'web' });
    await activateByTown(world);
    await world.drain();
    const [workers, engine] = await twoWorkers(world);
    const jo = (email: string) => anIdentify({ email }, { name: 'Jo', town: 'York' });
    await world.accept([jo('a@example.org')]);
    const loadId = await aLoad(world.db, 'mistaken');
    const mistaken = { historical: false, loadId };
    await engine.accept.accept({ id: 1, key: 'web' }, [jo('b@example.org')], mistaken);
    await settleTogether(world, workers);
    expect(await linksOf(world)).toEqual([{ isRemoved: false }]);
    // Whoever changes it locks both, unless these are more than are locked one by one.
    const linked = await world.db.query<{ id: string }>('SELECT id FROM identifiers');
    const stores = { store: new IdentityStore(), links: new IdentityLinkStore() };
    const locked = (most?: number) =>
      world.db.transaction((tx) => lockLinkedComponents(tx, stores, [linked[0]?.id ?? ''], most));
    expect([...((await locked(2)) ?? [])].sort()).toEqual(linked.map(({ id }) => id).sort());
    expect(await locked(1)).toBeNull();

    await engine.retractions.takeBackLoad(loadIdOf('mistaken'));
    await settleTogether(world, workers);
    expect(await world.db.query('SELECT value FROM identifiers')).toEqual([{ value: 'a@example.org' }]);
    expect(await linksOf(world)).toEqual([{ isRemoved: true }]);
    expect(await world.db.query('SELECT FROM matching_link_work')).toEqual([]);
    // Others are linked as before.
    await world.accept([jo('c@example.org')]);
    await settleTogether(world, workers);
    expect(await linksOf(world)).toEqual([{ isRemoved: true }, { isRemoved: false }]);
  });
});

/** In place of the one that the world has; each holds half of the partitions. */
async function twoWorkers(world: World) {
  await world.engine.worker.stop();
  const engines = [await world.another(), await world.another()] as const;
  const workers = engines.map(({ worker }) => worker);
  for (const worker of workers) await worker.join();
  for (const worker of workers) await worker.runOnce();
  expect(await partitionShares(world.db)).toEqual([8, 8]);
  return [workers, engines[0]] as const;
}

async function settleTogether(world: World, workers: Parameters<typeof drainTogether>[0]): Promise<void> {
  for (let i = 0; i < 4; i++) {
    await drainTogether(workers);
    world.clock.advance(MINUTE_MS);
  }
}

const linksOf = (world: World) =>
  world.db.query('SELECT removed_at IS NOT NULL AS "isRemoved" FROM identity_links ORDER BY removed_at IS NULL');
