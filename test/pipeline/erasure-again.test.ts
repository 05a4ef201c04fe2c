import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AnchoredPayload } from '../../src/events/event-seal.model.js';
import { checkErasures } from '../../src/monitoring/check-erasures.js';
import { hashId } from '../../src/platform/ids.js';
import { ErasureStore } from '../../src/privacy/erasure.store.js';
import { readErasureWait } from '../../src/privacy/erasure-wait.reader.js';
import { findTexts } from '../support/find-texts.js';
import { openCopies } from '../support/open-copies.js';
import { aTrack, anIdentify, createWorld, MINUTE_MS, START_MS, type World } from '../support/world.js';

const EVE = { user_id: 'canary-user-71', email: 'canary.mail.71@example.org', anonymous_id: 'canary-cookie-71' };
const SECRETS = [...Object.values(EVE), 'canary-page-71', 'canary-letter-71'];
const who = (ns: keyof typeof EVE) => ({ identifier: { ns, value: EVE[ns] } });
const asked = { actor: 'test', reason: 'asked' };

describe('an erasure that was given up and is asked for again', () => {
  let world: World;

  beforeEach(async () => {
    world = await createWorld(START_MS, { sealed: true, limits: { maxRetractionEvents: 1 } });
    await world.accept([], { source: 'web' });
    for (const [ns, value] of Object.entries(EVE)) {
      world.clock.advance(MINUTE_MS);
      await world.accept([aTrack('view', { [ns]: value }, { properties: { page: 'canary-page-71' } })]);
    }
    await world.accept([anIdentify(EVE), aTrack('view', { user_id: 'bo' })]);
    await world.drain();
  });
  afterEach(() => world.close());

  async function giveUp(): Promise<void> {
    await world.db.query(
      `UPDATE retractions SET status = 'failed', reason = 'INTERNAL: of a test' WHERE status = 'running'`,
    );
    for (let i = 0; i < 50; i++) await world.engine.worker.runOnce();
    expect(await world.db.query(`SELECT status FROM erasures`)).toEqual([{ status: 'failed' }]);
    world.clock.advance(MINUTE_MS);
  }

  it('leaves no list of what she was known by', async () => {
    await world.engine.erasures.request(who('user_id'), asked);
    while ((await world.db.query('SELECT FROM retractions')).length === 0) await world.engine.worker.runOnce();
    await giveUp();
    const again = await world.engine.erasures.request(who('user_id'), asked);
    await world.drain();
    expect(await world.engine.erasures.find(again.id)).toMatchObject({ status: 'logical' });
    expect(await findTexts(world.db, SECRETS)).toEqual([]);
  });

  it('is of all that she was known by, and not of what is left alone', async () => {
    const copies = await world.db.query<AnchoredPayload>('SELECT anchor_id, payload FROM event_log');
    await world.engine.erasures.request(who('user_id'), asked);
    const known = () =>
      world.db.query<{ ns: keyof typeof EVE }>(`SELECT ns FROM identifiers WHERE value LIKE 'canary%'`);
    while ((await known()).length === 3) await world.engine.worker.runOnce();
    const left = await known();
    expect(left.length).toBeGreaterThan(0);
    await giveUp();
    const [first] = left;
    const again = await world.engine.erasures.request(who(first?.ns ?? 'email'), asked);
    await world.drain();
    expect(await world.engine.erasures.find(again.id)).toMatchObject({ status: 'logical' });
    if (world.keyDatabase === null) throw new Error('a sealed world has keys');
    const readable = (await openCopies(world.keyDatabase, world.secret, copies)).join();
    expect(readable).toContain('"bo"');
    expect(Object.values(EVE).filter((value) => readable.includes(value))).toEqual([]);
  });

  it('can be asked for where nothing of her is left but what failed', async () => {
    await world.engine.erasures.request(who('user_id'), asked);
    const known = () => world.db.query(`SELECT FROM identifiers WHERE value LIKE 'canary%'`);
    while ((await known()).length > 0) await world.engine.worker.runOnce();
    if ((await world.db.query(`SELECT FROM retractions WHERE status = 'running'`)).length === 0)
      throw new Error('done');
    await giveUp();
    await world.engine.erasures.unsuppress({ ns: 'email', value: EVE.email });
    const again = await world.engine.erasures.request(who('user_id'), asked);
    expect(again).toMatchObject({ status: 'waiting' });
    await world.drain();
    expect(await world.engine.erasures.find(again.id)).toMatchObject({ status: 'logical' });
    expect(await checkErasures(world.db)).toMatchObject({ outcome: 'ok' });
    // What was taken off the list is on it again: else there were nothing to take off.
    await expect(world.engine.erasures.unsuppress({ ns: 'email', value: EVE.email })).resolves.toBeUndefined();
  });

  it('is one, however many ask at once by whatever she was known by, and until it is done', async () => {
    await world.engine.erasures.request(who('user_id'), asked);
    const known = () => world.db.query(`SELECT FROM identifiers WHERE value LIKE 'canary%'`);
    while ((await known()).length > 0) await world.engine.worker.runOnce();
    await giveUp();
    const store = new ErasureStore();
    expect(await store.countFailing(world.db)).toEqual({ failing: 0, givenUp: 1 });
    const again = await Promise.all(
      [1, 2]
        .flatMap(() => [who('user_id'), who('email'), who('anonymous_id')])
        .map(async (whom) => {
          const { id, status } = await world.engine.erasures.request(whom, asked);
          return { id, status };
        }),
    );
    expect(new Set(again.map(({ id }) => id)).size).toBe(1);
    expect(again[0]).toMatchObject({ status: 'waiting' });
    expect(await store.countFailing(world.db)).toEqual({ failing: 0, givenUp: 0 });
    while ((await world.db.query(`SELECT FROM erasures WHERE status = 'running'`)).length === 0) {
      await world.engine.worker.runOnce();
    }
    // No profile has it any more, and there is nothing left to give up.
    expect(await world.engine.erasures.request(who('email'), asked)).toMatchObject({ id: again[0]?.id });
    await world.drain();
    expect(await world.db.query('SELECT status FROM erasures ORDER BY requested_at')).toEqual([
      { status: 'failed' },
      { status: 'logical' },
    ]);
    await expect(world.engine.erasures.request(who('email'), asked)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('says that it waits for a worker where the one that held the log was killed', async () => {
    const { id } = await world.engine.erasures.request(who('user_id'), asked);
    expect(await readErasureWait(world.db, id)).toBe('its turn among the work beside the batches');
    // As it is after `kill -9`: what stands there is the id of a worker that has no session any more.
    await world.db.query('UPDATE partitions SET holder = 2147483647');
    expect(await readErasureWait(world.db, id)).toMatch(/^a worker: none runs/);
  });

  it('ends once a damaged event of somebody else is back, by what she was known by', async () => {
    await world.accept([anIdentify({ user_id: 'bo', email: EVE.email })]);
    await world.drain();
    const ofBo = `anchor_id = '${hashId('user_id', 'bo')}'`;
    await world.db.query(
      `CREATE TABLE backup AS SELECT pos, payload FROM event_log WHERE ${ofBo} ORDER BY pos LIMIT 1`,
    );
    await world.db.query(
      `UPDATE event_log e SET payload = set_byte(e.payload, 40, 255 - get_byte(e.payload, 40)) FROM backup b WHERE b.pos = e.pos`,
    );
    await world.engine.erasures.request(who('user_id'), asked);
    const isFailed = async () => (await world.db.query(`SELECT FROM erasures WHERE status = 'failed'`)).length > 0;
    for (let i = 0; i < 200 && !(await isFailed()); i++) {
      await world.engine.worker.drain();
      world.clock.advance(10_000);
    }
    expect(await world.db.query(`SELECT status FROM erasures`)).toEqual([{ status: 'failed' }]);
    await world.db.query('UPDATE event_log e SET payload = b.payload FROM backup b WHERE b.pos = e.pos');
    await world.db.query('DROP TABLE backup');
    const again = await world.engine.erasures.request(who('user_id'), asked);
    await world.drain();
    expect(await world.engine.erasures.find(again.id)).toMatchObject({ status: 'logical' });
    expect(await findTexts(world.db, SECRETS)).toEqual([]);
    expect(await checkErasures(world.db)).toMatchObject({ outcome: 'ok' });
  });
});
