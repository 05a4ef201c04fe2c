import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine.js';
import { LANE_PAUSE_MS } from '../../src/identity/contested-component.model.js';
import { activateByTown } from '../support/matching-world.js';
import { anIdentify, aTrack, createWorld, MINUTE_MS, START_MS, type World } from '../support/world.js';

const OFFICE = 'desk@shop.example';
const [SMALL, LARGE] = [5, 100];

let world: World;

beforeEach(async () => {
  world = await createWorld(START_MS, { limits: { maxReplayRows: SMALL } });
  await world.accept([], { source: 'web' });
  await activateByTown(world);
  await settle();
});

afterEach(() => world.close());

/** Until nothing is left to be resolved or compared. */
async function settle({ worker }: Engine = world.engine): Promise<void> {
  for (let i = 0; i < 20; i++) {
    world.clock.advance(MINUTE_MS + LANE_PAUSE_MS);
    await worker.drain();
  }
}

/** Cookies that share an address, until there is too much of it to be replayed between two events. */
async function share(cookies: number): Promise<void> {
  for (let i = 0; i < cookies; i++) {
    const cookie = `c${String(i)}`;
    const ids = { email: OFFICE, anonymous_id: cookie };
    await world.accept([anIdentify(ids, { name: 'ann', town: 'hull' }, { messageId: `of ${cookie}` })]);
    await settle();
  }
}

const count = async (table: string): Promise<number> =>
  (await world.db.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table}`))[0]?.n ?? NaN;

describe('a component with too much evidence to be compared', () => {
  it('is compared no more, and one whose members change is neither read nor locked as a whole', async () => {
    await share(1);
    expect(await count('matching_records')).toBe(1);
    await share(SMALL + 2);
    expect(await count('contested_components')).toBe(1);
    expect(await count('matching_records')).toBe(0);
    expect(await count('matching_work')).toBe(0);
    // What another worker holds of it holds up nothing.
    await world.db.transaction(async (tx) => {
      await tx.query(`SELECT FROM identifiers WHERE value = 'c1' FOR UPDATE`);
      await world.accept([anIdentify({ email: OFFICE }, { name: 'bob', town: 'york' })]);
      await settle();
    });
    expect(await count('matching_work')).toBe(0);
    expect(await count('matching_records')).toBe(0);
  });

  it.each(['by the way', 'by a revision'])('is compared once it is resolved %s with room enough', async (how) => {
    await world.accept([anIdentify({ user_id: 'u1' }, { name: 'ann', town: 'hull' })]);
    await share(SMALL + 2);
    expect(await count('matching_records')).toBe(1);
    const other = await world.another({ maxReplayRows: LARGE });
    await world.engine.worker.stop();
    if (how === 'by the way') await world.accept([aTrack('view', { email: OFFICE, anonymous_id: 'one more' })]);
    else await other.identity.revisions.request({ kind: 'rules', input: {} }, { actor: 'a test', reason: '' });
    await settle(other);
    expect(await count('contested_components')).toBe(0);
    expect(await count('matching_records')).toBe(2);
    const people = await world.db.query<{ n: number }>(
      `SELECT count(DISTINCT profile_id)::int AS n FROM identifiers WHERE value IN ('u1', '${OFFICE}')`,
    );
    expect(people).toEqual([{ n: 1 }]);
  });

  it('is compared once enough of it was taken back', async () => {
    await share(SMALL + 2);
    expect(await count('matching_records')).toBe(0);
    const loaded = Array.from({ length: 4 }, (_, i) => `c${String(SMALL + 1 - i)}`);
    const taken = await world.engine.retractions.takeBackMessages(
      { id: 1, key: 'web' },
      loaded.map((cookie) => `of ${cookie}`),
    );
    await settle();
    expect(await world.engine.retractions.done(taken.id)).toMatchObject({ removed: loaded.length });
    expect(await count('contested_components')).toBe(0);
    expect(await count('matching_records')).toBe(1);
  });
});
