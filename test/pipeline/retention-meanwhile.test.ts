import { afterEach, expect, it } from 'vitest';
import type { Engine } from '../../src/engine.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { SourceService } from '../../src/sources/source.service.js';
import { SourceStore } from '../../src/sources/source.store.js';
import { aPurpose } from '../support/a-purpose.js';
import { applyRules, blockedWorld, OPEN, putInForce, TILL_IS_BLOCKED } from '../support/blocked-world.js';
import { gatedDatabase, type Gate } from '../support/gated-database.js';
import { partitionShares } from '../support/partition-shares.js';
import { settleGenerics } from '../support/settle-generics.js';
import { aTrack, DAY_MS, type World } from '../support/world.js';

let world: World | null = null;

afterEach(() => world?.close());

const PEOPLE = ['ann', 'bob', 'cleo'].map((name) => `${name}@example.org`);
const LOOK_MS = 1_000;

async function workUntil({ clock }: World, { worker }: Engine, isDone: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (await isDone()) return;
    if (!(await worker.runOnce())) clock.advance(LOOK_MS);
  }
  throw new Error('it never came to that');
}

/** Works until it stands at the gate; the round that it is in. */
async function workTo(own: World, engine: Engine, { close, reached }: Gate): Promise<{ round: Promise<void> }> {
  let isThere = false;
  close();
  const there = reached.then(() => {
    isThere = true;
  });
  const round = workUntil(own, engine, () => Promise.resolve(isThere));
  await Promise.race([there, round]);
  expect(isThere).toBe(true);
  return { round };
}

/** Until something waits for a lock of another, or this is settled. */
async function untilBlocked({ db }: World, running: Promise<unknown>): Promise<void> {
  let isSettled = false;
  const settle = (): void => {
    isSettled = true;
  };
  running.then(settle, settle);
  while (!isSettled) {
    const [blocked] = await db.query(
      'SELECT FROM pg_stat_activity WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0 LIMIT 1',
    );
    if (blocked !== undefined) return;
  }
}

it('a word on a purpose goes where its event was moved, also if a retention comes upon the event meanwhile', async () => {
  const own = (world = await blockedWorld());
  const { db, clock } = own;
  await own.engine.services.purposes.apply([aPurpose('mail', { default: 'granted' })]);
  const removing = gatedDatabase(await own.test.connect({ entities: [SourceEntity] }), /FROM source_retention r JOIN/);
  const moving = gatedDatabase(
    await own.test.connect({ entities: [SourceEntity] }),
    /^UPDATE event_log l SET anchor_id/,
  );
  const [mover, remover] = [await own.engineOn(moving.db), await own.engineOn(removing.db)];
  await applyRules(own, OPEN);
  const said = { context: { consent: { purposes: { mail: 'denied' } } } };
  await own.accept(PEOPLE.map((email) => aTrack('refuse', { user_id: 'till', email }, said)));
  await own.drain();
  await own.engine.worker.stop();
  // In this order: the holder of the first partition moves events.
  for (const { worker } of [mover, remover]) await worker.join();
  for (const { worker } of [mover, remover]) await worker.runOnce();
  expect(await partitionShares(db)).toEqual([8, 8]);
  clock.advance(3 * DAY_MS);
  await putInForce(own, TILL_IS_BLOCKED, true);
  const isBlocked = async () => (await db.query('SELECT FROM generic_values WHERE is_blocked')).length > 0;
  await workUntil(own, mover, isBlocked);

  // The mover looked for retentions lately, and does not again before its step.
  await new SourceService(new SourceStore(db.dataSource), clock).update('web', { retentionMs: DAY_MS });
  const removed = await workTo(own, remover, removing.gate);
  const moved = await workTo(own, mover, moving.gate);
  expect(await db.query('SELECT FROM event_log')).toHaveLength(PEOPLE.length);
  removing.gate.open();
  await untilBlocked(own, removed.round);
  moving.gate.open();
  await Promise.all([moved.round, removed.round]);
  await settleGenerics(own, mover);
  clock.advance(60_000);
  await settleGenerics(own, remover);

  expect(await db.query('SELECT FROM event_log')).toEqual([]);
  const words = await db.query<{ value: string }>(
    'SELECT i.value FROM removed_words w JOIN identifiers i ON i.id = w.anchor_id WHERE w.is_denial ORDER BY i.value',
  );
  expect(words.map(({ value }) => value)).toEqual(PEOPLE);
  const holders = await db.query<{ value: string }>(
    `SELECT i.value FROM anchor_states a JOIN identifiers i ON i.id = a.anchor_id
     WHERE position('"denied"'::bytea IN a.traits) > 0 ORDER BY i.value`,
  );
  expect(holders.map(({ value }) => value)).toEqual(PEOPLE);
});
