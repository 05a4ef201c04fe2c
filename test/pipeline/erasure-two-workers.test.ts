import { afterEach, expect, it } from 'vitest';
import { hashId, partitionOf } from '../../src/platform/ids.js';
import type { Database, TransactionOptions } from '../../src/platform/postgres.js';
import { ErasureStore } from '../../src/privacy/erasure.store.js';
import { SuppressionHash } from '../../src/privacy/suppression-list.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { drainTogether } from '../support/drain-together.js';
import { findTexts } from '../support/find-texts.js';
import { partitionShares } from '../support/partition-shares.js';
import { aTrack, anIdentify, createWorld, type World } from '../support/world.js';

let world: World;
afterEach(() => world.close());

/** Runs something once, before the next statement that stops all workers. */
function beforeHold(db: Database, run: () => Promise<void>): Database {
  const transaction = (work: (tx: never) => Promise<unknown>, options?: TransactionOptions) =>
    db.transaction(async (tx) => {
      const query = tx.query.bind(tx) as (text: string, values?: readonly unknown[]) => Promise<unknown>;
      const proxy: unknown = new Proxy(tx, {
        get: (target, name) => {
          if (name === 'query')
            return async (text: string, values?: readonly unknown[]) => {
              if (text.includes('LOCK TABLE partitions IN SHARE MODE')) await run();
              return query(text, values);
            };
          const value: unknown = Reflect.get(target, name, target);
          return typeof value === 'function' ? (value.bind(target) as unknown) : value;
        },
      });
      return work(proxy as never);
    }, options);
  return new Proxy(db, {
    get: (target, name) => {
      if (name === 'transaction') return transaction;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

it('is gone with what was on its way, also where two workers collect what she is known by', async () => {
  world = await createWorld();
  await world.accept([], { source: 'web' });
  let pending: (() => Promise<void>) | null = null;
  const reader = await world.engineOn(
    beforeHold(await world.test.connect({ entities: [SourceEntity] }), async () => {
      const run = pending;
      pending = null;
      await run?.();
    }),
  );
  const mover = await world.another();
  await world.engine.worker.stop();
  const both = [mover.worker, reader.worker];
  for (const worker of both) await worker.join();
  for (const worker of both) await worker.runOnce();
  expect(await partitionShares(world.db)).toEqual([8, 8]);
  const parts = await world.db.query<{ part: number }>(
    'SELECT part FROM partitions WHERE holder = (SELECT holder FROM partitions WHERE part = 0)',
  );
  const device = Array.from({ length: 100 }, (_, i) => `canary-device-${String(i)}`).find((value) =>
    parts.some(({ part }) => part === partitionOf(hashId('device_id', value), 16)),
  );

  await world.accept([
    anIdentify({ user_id: 'canary-user', anonymous_id: 'canary-cookie' }),
    aTrack('view', { user_id: 'bo' }),
  ]);
  await drainTogether(both);
  await world.accept([anIdentify({ user_id: 'canary-user', anonymous_id: 'canary-late' })]);
  const identifier = { ns: 'user_id', value: 'canary-user' };
  const { id } = await world.engine.erasures.request({ identifier }, { actor: 'test', reason: '' });
  await world.db.query('UPDATE erasures SET barrier_pos = barrier_pos + 1000');
  await drainTogether(both);
  await world.db.query('UPDATE erasures SET barrier_pos = barrier_pos - 1000');
  // Accepted while nobody knows yet that this cookie is to be refused; the mover has not applied it.
  await world.accept([anIdentify({ anonymous_id: 'canary-late', device_id: device ?? '' })]);

  const store = new ErasureStore();
  pending = async () => {
    // What the chore of the other worker does at the same time.
    await world.db.transaction(async (tx) => {
      await store.holdWorkers(tx);
      const [row] = await tx.query<{ id: string }>('SELECT profile_id AS id FROM identifiers WHERE id = $1', [
        hashId('user_id', 'canary-user'),
      ]);
      const found = await store.collect(tx, id, [row?.id ?? '']);
      expect(found).toMatchObject([{ value: 'canary-late' }]);
      await store.setBarrier(tx, id, await store.suppress(tx, new SuppressionHash(world.secret), found, 0));
    });
  };
  world.clock.advance(2_000);
  for (let i = 0; i < 20; i++) await reader.worker.runOnce();
  expect(pending).toBeNull();
  world.clock.advance(2_000);
  for (let i = 0; i < 5; i++) {
    await drainTogether(both);
    world.clock.advance(2_000);
  }
  expect(await world.engine.erasures.find(id)).toMatchObject({ status: 'logical' });
  expect(await findTexts(world.db, ['canary'])).toEqual([]);
});
