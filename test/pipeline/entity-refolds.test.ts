import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { forgetEntityEvents } from '../../src/events/forget-entity-events.js';
import { EntityRecordChore } from '../../src/entity-record-chore.js';
import { EntityEventStore, type Refold } from '../../src/features/entity-event.store.js';
import { parseFeatures } from '../../src/features/parse-features.js';
import { aTrack, createWorld, START_MS, type World } from '../support/world.js';

/* What is taken out of items while they are folded, by steps of a few events. */

const VIEWS = `entities: [{ name: article, join_key: article_id }]
views:
  - name: article_reads
    entity: article
    key: properties.article
    features:
      - { name: bits_0, aggregate: sum, events: [read], value: properties.bit_0 }
      - { name: bits_1, aggregate: sum, events: [read], value: properties.bit_1 }
`;
const STEP_EVENTS = 8;
/** Sums of powers of two tell which events are in them; so many to a sum are exact. */
const SUMMED = 24;

let world: World;
let sourceId: number;

beforeAll(async () => {
  world = await createWorld(START_MS, { limits: { maxBackfillEvents: STEP_EVENTS } });
  await world.accept([]);
  await world.engine.services.features.apply(parseFeatures(VIEWS, 'f.yaml'));
  const [source] = await world.db.query<{ id: number }>('SELECT id FROM sources ORDER BY id LIMIT 1');
  sourceId = source?.id ?? 0;
  await world.drain();
});

afterAll(() => world.close());

const read = (article: string, i: number) =>
  aTrack(
    'read',
    { user_id: `reader-${String(i)}` },
    {
      messageId: `${article}-${String(i)}`,
      properties: { article, [`bit_${String(Math.floor(i / SUMMED))}`]: 2 ** (i % SUMMED) },
    },
  );

async function round(): Promise<boolean> {
  world.clock.advance(1);
  return world.engine.worker.runOnce();
}

/** A revert of one event. @returns whether it is done */
async function takeBack(article: string, i: number): Promise<() => Promise<boolean>> {
  const { id } = await world.engine.retractions.takeBackMessages({ id: sourceId } as never, [
    `${article}-${String(i)}`,
  ]);
  return async () => {
    const rows = await world.db.query("SELECT FROM retractions WHERE id = $1 AND status = 'done'", [id]);
    return rows.length > 0;
  };
}

/** Which events are in the item, by their numbers. */
async function eventsIn(article: string): Promise<number[]> {
  const definitions = await world.engine.definitions.current();
  const entity = definitions.entities.get('article');
  if (entity === undefined) throw new TypeError('the entity is missing');
  const features = ['bits_0', 'bits_1'].flatMap((name) => entity.features.get(name) ?? []);
  const { rows } = await entity.readNow(world.db, [article], features, world.clock.now() + 1);
  const sums = rows[0]?.map(({ value }) => Number(value ?? 0)) ?? [];
  return Array.from({ length: 2 * SUMMED }, (_, i) => i).filter(
    (i) => ((sums[Math.floor(i / SUMMED)] ?? 0) >> (i % SUMMED)) % 2 === 1,
  );
}

describe('an item that is folded anew', () => {
  let run = 0;

  it('loses what is taken out of it, whenever that is and whatever is taken out meanwhile', async () => {
    const events = 40;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ taken: fc.nat(events - 1), rounds: fc.nat(7) }), { minLength: 1, maxLength: 6 }),
        fc.boolean(),
        async (steps, isTwice) => {
          const article = `item-${String(run++)}`;
          await world.accept(Array.from({ length: events }, (_, i) => read(article, i)));
          await world.drain();
          const taken = new Map<number, () => Promise<boolean>>();
          const expectGone = async (): Promise<void> => {
            const gone: number[] = [];
            for (const [i, isDone] of taken) if (await isDone()) gone.push(i);
            const there = await eventsIn(article);
            expect(there.filter((i) => gone.includes(i))).toEqual([]);
          };
          for (const { taken: i, rounds } of steps) {
            if (!taken.has(i)) taken.set(i, await takeBack(article, i));
            for (let n = 0; n < rounds; n++) {
              await round();
              await expectGone();
            }
            if (isTwice) await world.accept([read(`${article}-other`, i)]);
          }
          await world.drain();
          for (const isDone of taken.values()) expect(await isDone()).toBe(true);
          expect(await world.db.query('SELECT FROM entity_refolds')).toEqual([]);
          const left = Array.from({ length: events }, (_, i) => i).filter((i) => !taken.has(i));
          expect(await eventsIn(article)).toEqual(left);
        },
      ),
      { numRuns: 6 },
    );
  }, 60_000);

  it('is done for the first although more is taken out of it all the time', async () => {
    await world.accept(Array.from({ length: 48 }, (_, i) => read('popular', i)));
    await world.drain();
    expect(await eventsIn('popular')).toEqual(Array.from({ length: 48 }, (_, i) => i));
    const isDone = await takeBack('popular', 47);
    // Seven steps are a pass; each of these takes out what the pass under way has read.
    let next = 0;
    for (let rounds = 0; rounds < 60 && !(await isDone()); rounds++) {
      if (rounds % 4 === 3) await takeBack('popular', next++);
      await round();
    }
    expect(await isDone()).toBe(true);
    expect(next).toBeGreaterThan(1);
    await world.drain();
    expect(await eventsIn('popular')).toEqual(Array.from({ length: 47 - next }, (_, i) => i + next));
  });
});

describe('a step over items that are folded anew', () => {
  it('reads as much of the log as it folds, however many events the items have', async () => {
    const keys = ['step-a', 'step-b', 'step-c'];
    await world.accept(keys.flatMap((key) => Array.from({ length: 30 }, (_, i) => read(key, i))));
    await world.drain();
    const store = new EntityEventStore();
    const [fold] = await store.progress(world.db);
    const refolds = keys.map((key): Refold => ({ key, donePos: 0, state: Buffer.alloc(0) }));
    const fetched = `SELECT coalesce(sum(idx_tup_fetch + seq_tup_read), 0)::int8 AS rows
      FROM pg_stat_xact_user_tables WHERE relname LIKE 'event_log%'`;
    const step = (bounds: { maxEvents: number; maxBytes: number }, from: readonly Refold[] = refolds) =>
      world.db.transaction(async (tx) => {
        // The planner does not know yet how large the log is, which it does where that matters.
        await tx.query('SET LOCAL enable_seqscan = off');
        // What the connection read before may not have been handed over yet, and is counted too.
        const rowsRead = async () => (await tx.query<{ rows: number }>(fetched))[0]?.rows ?? 0;
        const before = await rowsRead();
        const { events, isWhole } = await store.eventsOf(tx, fold?.id ?? 0, from, bounds);
        const rows = (await rowsRead()) - before;
        return { keys: events.map(({ key }) => key), last: events.at(-1)?.at ?? 0, isWhole, read: rows };
      });
    const many = 2 ** 40;
    const cut = await step({ maxEvents: 40, maxBytes: many });
    expect(cut.isWhole).toBe(false);
    // The planner itself may look at the ends of an index.
    expect(cut.read).toBeLessThanOrEqual(44);
    expect(cut.keys).toEqual([...Array<string>(30).fill('step-a'), ...Array<string>(10).fill('step-b')]);
    const rest = refolds
      .slice(1)
      .map((refold) => (refold.key === 'step-b' ? { ...refold, donePos: cut.last } : refold));
    expect(await step({ maxEvents: 51, maxBytes: many }, rest)).toMatchObject({ isWhole: true });
    expect((await step({ maxEvents: 50, maxBytes: many }, rest)).isWhole).toBe(false);
    // By bytes: of one event at least, and of no more than one beyond them.
    expect(await step({ maxEvents: 40, maxBytes: 1 })).toMatchObject({ keys: ['step-a'], isWhole: false });
    const some = await step({ maxEvents: 90, maxBytes: 1_000 });
    expect(some.keys.length).toBeGreaterThan(1);
    expect(some.keys.length).toBeLessThan(30);
    expect(some.isWhole).toBe(false);
  });
});

describe('a view that is begun while events are being removed', () => {
  it('does not have them', async () => {
    await world.accept([read('begun', 1), read('begun', 2)]);
    await world.drain();
    const [row] = await world.db.query<{ pos: number }>('SELECT pos FROM event_log ORDER BY pos DESC LIMIT 1');
    const pos = row?.pos ?? 0;
    const more = `views:
  - name: article_most
    entity: article
    key: properties.article
    features: [{ name: most, aggregate: max, events: [read], value: properties.bit_0 }]
`;
    let drained: Promise<void> | undefined;
    await world.db.transaction(async (tx) => {
      await tx.query('DELETE FROM event_log WHERE pos = $1', [pos]);
      await forgetEntityEvents(tx, [pos], { kind: 'kept', named: [] });
      await world.engine.services.features.apply(parseFeatures(more, 'm.yaml'));
      drained = world.drain();
      await vi.waitFor(async () => {
        expect(await world.db.query("SELECT FROM pg_locks WHERE mode = 'ExclusiveLock' AND NOT granted")).toHaveLength(
          1,
        );
      }, 10_000);
    });
    await drained;
    const left = await world.db.query('SELECT e.pos FROM entity_events e WHERE e.pos = $1', [pos]);
    expect(left).toEqual([]);
  });
});

describe('chores behind the folds of items', () => {
  it('have their turn however many events there are to fold', async () => {
    const ran = vi.spyOn(EntityRecordChore.prototype, 'runOne');
    for (let i = 0; i < 16 * 4; i++) {
      await world.accept([read('busy', i % 50)]);
      await round();
    }
    expect(ran.mock.calls.length).toBeGreaterThanOrEqual(2);
    ran.mockRestore();
    await world.drain();
  });
});
