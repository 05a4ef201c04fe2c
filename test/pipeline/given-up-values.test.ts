import { afterEach, describe, expect, it } from 'vitest';
import { GENERIC_BOUND, GENERIC_RETRY_MS } from '../../src/identity/generic-value.model.js';
import { checkRevisions, checkSharedValues } from '../../src/monitoring/doctor.js';
import type { Database } from '../../src/platform/postgres.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { defineSome } from '../support/random-log.js';
import { strays } from '../support/retraction-builders.js';
import { settleGenerics } from '../support/settle-generics.js';
import { aTrack, anIdentify, createWorld, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

const OFFICE = { email: 'office@shop.example' };
const PEOPLE = GENERIC_BOUND + 3;
const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

const passedOver: { work: string; count: number; pos: number | undefined }[] = [];

async function newWorld(): Promise<World> {
  const world = await createWorld(START_MS, {
    observers: {
      rowsPassedOver: (work, { count, first }) => {
        passedOver.push({ work, count, pos: first?.pos });
      },
    },
  });
  worlds.push(world);
  await world.accept([], { source: 'web' });
  await defineSome(world);
  world.clock.advance(HOUR_MS);
  return world;
}

const each = <T>(make: (i: string) => T): T[] => Array.from({ length: PEOPLE }, (_, i) => make(String(i)));
const accounts = () => each((i) => anIdentify({ user_id: `u${i}`, ...OFFICE }, { plan: 'pro' }));
const cookies = () => each((i) => aTrack('view', { ...OFFICE, anonymous_id: `c${i}` }));

/** Until a value is known to be generic, and nothing is moved yet. */
async function untilMoving(world: World): Promise<void> {
  const isMoving = async (): Promise<boolean> =>
    (await world.db.query(`SELECT FROM identity_revisions WHERE kind = 'generic' AND status = 'running'`)).length > 0;
  for (let i = 0; !(await isMoving()); i++) {
    expect(i).toBeLessThan(100);
    world.clock.advance(MINUTE_MS);
    await world.engine.worker.runOnce();
  }
}

const onGeneric = (world: World) =>
  world.db.query<{ pos: number; payload: Buffer }>(
    `SELECT l.pos, l.payload FROM event_log l JOIN generic_values g ON g.value_id = l.anchor_id
     WHERE g.is_generic ORDER BY l.pos`,
  );
const profilesOf = (world: World, ns: string) =>
  world.db.query<{ value: string; id: string }>(
    'SELECT value, profile_id AS id FROM identifiers WHERE ns = $1 ORDER BY value',
    [ns],
  );
const setPayload = (world: World, pos: number | undefined, payload: Buffer | undefined) =>
  world.db.query('UPDATE event_log SET payload = $2 WHERE pos = $1', [pos, payload]);

describe('a generic value whose events cannot be moved', () => {
  it('keeps those whom they name for as long as that is, is told of, and is tried again', async () => {
    const world = await newWorld();
    await world.accept([...accounts(), ...cookies()]);
    await untilMoving(world);
    const last = (await onGeneric(world)).at(-1);
    // As a newer version would write it: nobody may go on as if it were not there.
    await setPayload(world, last?.pos, Buffer.from([0xff, 1, 2]));
    const before = await profilesOf(world, 'anonymous_id');
    expect(before).toHaveLength(PEOPLE);
    const revisions = () =>
      world.db.query<{ kind: string; status: string }>(
        'SELECT kind, status FROM identity_revisions ORDER BY created_at',
      );
    for (let i = 0; (await revisions())[0]?.status !== 'failed'; i++) {
      expect(i).toBeLessThan(20);
      world.clock.advance(MINUTE_MS);
      await world.engine.worker.drain();
    }
    const identifiers = ['u1', 'u2'].map((value) => ({ ns: 'user_id', value }));
    await world.engine.identity.revisions.request(
      { kind: 'merge', input: { identifiers } },
      { actor: 'a test', reason: '' },
    );
    for (let i = 0; i < 5; i++) {
      world.clock.advance(MINUTE_MS);
      await world.engine.worker.drain();
    }
    expect(await revisions()).toEqual([
      { kind: 'generic', status: 'failed' },
      { kind: 'merge', status: 'waiting' },
    ]);
    expect(await profilesOf(world, 'anonymous_id')).toEqual(before);
    expect(await checkSharedValues(world.db)).toMatchObject({ outcome: 'warning' });
    expect(await checkRevisions(world.db)).toMatchObject({ outcome: 'warning' });

    await setPayload(world, last?.pos, last?.payload);
    world.clock.advance(GENERIC_RETRY_MS);
    await settleGenerics(world);
    expect((await revisions()).map(({ status }) => status)).toEqual(['failed', 'done', 'done']);
    expect(await onGeneric(world)).toEqual([]);
    const valuesOf = (rows: typeof before) => rows.map(({ value }) => value);
    expect(valuesOf(await profilesOf(world, 'anonymous_id'))).toEqual(valuesOf(before));
    const [, , , ...others] = await profilesOf(world, 'user_id');
    expect(new Set(others.map(({ id }) => id)).size).toBeGreaterThan(PEOPLE - 5);
    expect(await strays(world.db)).toEqual([]);
    expect(await checkSharedValues(world.db)).toMatchObject({ outcome: 'ok' });
    expect(await checkRevisions(world.db)).toMatchObject({ outcome: 'ok' });
  });

  it('is parted from all that can be read, and from whom the damaged event named', async () => {
    const world = await newWorld();
    await world.accept([...accounts(), ...cookies()]);
    await untilMoving(world);
    const last = (await onGeneric(world)).at(-1);
    await setPayload(
      world,
      last?.pos,
      Buffer.concat([last?.payload.subarray(0, 1) ?? Buffer.alloc(0), Buffer.from('{')]),
    );
    passedOver.splice(0);
    await settleGenerics(world);
    expect(passedOver).toContainEqual({ work: 'moves', count: 1, pos: last?.pos });
    expect(await world.db.query('SELECT status FROM identity_revisions')).toEqual([{ status: 'done' }]);
    expect((await onGeneric(world)).map(({ pos }) => pos)).toEqual([last?.pos]);
    const parted = await profilesOf(world, 'anonymous_id');
    expect(new Set(parted.map(({ id }) => id)).size).toBe(PEOPLE);
    const identifiers = [
      { ns: 'user_id', value: 'u1' },
      { ns: 'anonymous_id', value: `c${String(PEOPLE - 1)}` },
    ];
    await world.engine.identity.revisions.request(
      { kind: 'merge', input: { identifiers } },
      { actor: 'a test', reason: '' },
    );
    await settleGenerics(world);
    expect(await profilesOf(world, 'anonymous_id')).toHaveLength(PEOPLE);
    expect(await strays(world.db)).toEqual([]);
  });

  it('is looked at again by the next process, wherever in a look one dies, and where nobody was told', async () => {
    const world = await newWorld();
    const deaths = [
      { text: 'INSERT INTO identity_revisions', isDone: false },
      { text: 'INSERT INTO identity_revisions', isDone: true },
      { text: 'SET is_stale = false', isDone: false },
      { text: 'SET is_stale = false', isDone: true },
    ];
    const lates = await Promise.all([...deaths, null].map(() => world.another()));
    for (const late of lates) await late.definitions.current();
    await world.accept(accounts());
    await settleGenerics(world);
    await world.engine.worker.stop();
    const base = await world.test.connect({ entities: [SourceEntity] });
    for (const [i, late] of lates.entries()) {
      await late.accept.accept(
        { id: 1, key: 'web' },
        [aTrack('view', { ...OFFICE, anonymous_id: `unheard${String(i)}` })],
        { historical: false },
      );
      const death = deaths[i];
      if (death === undefined) {
        const heard = await world.another();
        for (let step = 0; (await world.db.query('SELECT FROM generic_values WHERE is_stale')).length === 0; step++) {
          expect(step).toBeLessThan(20);
          await heard.worker.runOnce();
        }
        await heard.worker.stop();
        await world.db.query('UPDATE generic_values SET is_stale = false');
      } else {
        let isDead = false;
        let isOver = false;
        const dying = await world.engineOn(
          deadly(base, async (text, run) => {
            if (isOver) return run();
            if (isDead) throw new Error('dead');
            isDead = text.includes(death.text);
            if (isDead && !death.isDone) throw new Error('dead');
            const rows = await run();
            if (isDead) throw new Error('dead');
            return rows;
          }),
        );
        for (let step = 0; !isDead; step++) {
          expect(step).toBeLessThan(100);
          await dying.worker.runOnce().catch(() => undefined);
          world.clock.advance(1_000);
        }
        await dying.worker.stop().catch(() => undefined);
        isOver = true;
      }
      expect((await onGeneric(world)).length).toBe(1);
      const next = await world.another();
      await settleGenerics(world, next);
      world.clock.advance(HOUR_MS);
      await settleGenerics(world, next);
      expect(await onGeneric(world)).toEqual([]);
      await next.worker.stop();
    }
    expect(await profilesOf(world, 'anonymous_id')).toHaveLength(lates.length);
  });
});

/** The same database, whose statements outside transactions are run by what is given. */
function deadly(base: Database, run: (text: string, statement: () => Promise<unknown>) => Promise<unknown>): Database {
  return new Proxy(base, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (name === 'query') {
        return (text: string, values?: readonly unknown[]) => run(text, () => target.query(text, values));
      }
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
