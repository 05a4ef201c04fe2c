import { afterAll, describe, expect, it } from 'vitest';
import { drainTogether } from '../support/drain-together.js';
import {
  activate,
  aRecordEvent,
  batchClusters,
  profilesOf,
  shuffled,
  trainedPeople,
} from '../support/matching-world.js';
import { partitionShares } from '../support/partition-shares.js';
import { createWorld, MINUTE_MS, type World } from '../support/world.js';

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
    await world.engine.worker.stop();
    const workers = [await world.another(), await world.another()].map(({ worker }) => worker);
    for (const worker of workers) await worker.join();
    for (const worker of workers) await worker.runOnce();
    expect(await partitionShares(world.db)).toEqual([8, 8]);

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
});
