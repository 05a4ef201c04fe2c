import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ApiDefinitions } from '../../src/api/api-definitions.model.js';
import { DefinitionsWatch } from '../../src/api/definitions-watch.js';
import { TimerStore } from '../../src/segments/timer.store.js';
import { aFeature } from '../support/a-feature.js';
import { aTrack, createWorld, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

const LEAST_ID = '00000000-0000-0000-0000-000000000000';

let world: World;
let watch: DefinitionsWatch;

beforeEach(async () => {
  world = await createWorld(START_MS);
  await world.accept([aTrack('view', { user_id: 'ann' }), aTrack('view', { user_id: 'bob' })]);
  await world.drain();
  watch = new DefinitionsWatch({
    db: world.db,
    source: {
      current: () => Promise.resolve({ features: { definitions: [] } } as unknown as ApiDefinitions),
      invalidate: () => undefined,
    },
    onError: (error) => {
      throw error as Error;
    },
  });
});

afterEach(() => world.close());

async function isSwept(): Promise<boolean> {
  await watch.refresh();
  return watch.swept;
}

it('everybody is evaluated with new definitions once the timers of the sweep have fired, not when they are set', async () => {
  expect(await isSwept()).toBe(true);
  await world.defineFeatures([aFeature('views')]);
  expect(await isSwept()).toBe(false);
  await world.drain();
  const [row] = await world.db.query<{ isSet: boolean }>(
    'SELECT min(swept_version) = (SELECT definitions_version FROM installation) AS "isSet" FROM partitions',
  );
  expect(row).toEqual({ isSet: true });
  expect(await isSwept()).toBe(false);
  world.clock.advance(1_000);
  await world.drain();
  expect(await isSwept()).toBe(true);
});

it('a timer that was due before the sweep is waited for, too', async () => {
  await world.defineSegment('keen', 'count("view", "1h") >= 1');
  await world.drain();
  world.clock.advance(MINUTE_MS);
  await world.drain();
  expect(await isSwept()).toBe(true);
  world.clock.advance(2 * HOUR_MS);
  const dueBefore = await world.db.query('SELECT profile_id, due_at, sweep FROM timers ORDER BY 1');
  expect(dueBefore).toHaveLength(2);
  const parts = await world.db.query<{ part: number }>('SELECT part FROM partitions');
  await world.db.transaction(async (tx) => {
    for (const { part } of parts) {
      const timers = new TimerStore();
      const ids = await timers.lockRange(tx, { part, afterId: LEAST_ID, limit: 10 });
      await timers.sweep(tx, ids, { part, dueAt: world.clock.now() + 1, sweep: 1 });
    }
  });
  expect(await world.db.query('SELECT profile_id, due_at, sweep FROM timers ORDER BY 1')).toEqual(dueBefore);
  expect(await isSwept()).toBe(false);
  await world.drain();
  expect(await isSwept()).toBe(true);
});
