import { afterEach, describe, expect, it } from 'vitest';
import type { IncomingEvent } from '../../src/events/event.model.js';
import type { Engine } from '../../src/engine.js';
import { DEFAULT_TRAIT_RULE } from '../../src/profiles/trait-rule.model.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { afterLongReads } from '../support/after-long-reads.js';
import { applyRules, ASKER, blockedWorld, OPEN, putInForce, TILL_IS_BLOCKED } from '../support/blocked-world.js';
import { drainTogether } from '../support/drain-together.js';
import { findTexts } from '../support/find-texts.js';
import { storedAndFolded, storedAndFoldedEvidence } from '../support/folded-log.js';
import { partitionShares } from '../support/partition-shares.js';
import { aLoad, knownOf, loadIdOf, strays } from '../support/retraction-builders.js';
import { settleGenerics } from '../support/settle-generics.js';
import { aTrack, anIdentify, START_MS, type World } from '../support/world.js';

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

const PEOPLE = Array.from({ length: 24 }, (_, i) => i);
/** After which a worker looks again for what others asked for. */
const LOOK_MS = 1_000;
const MOVED = 'events were moved to other anchors by another worker meanwhile';
const mail = (i: number): string => `p${String(i)}@example.org`;

interface Pair {
  readonly world: World;
  /** Has the first partition, and so moves events. */
  readonly mover: Engine;
  readonly reader: Engine;
  /** Runs this once, after the next long read of the reader and before what it writes. */
  beforeNextWrite(run: () => Promise<void>): void;
  /** What the reader was told that it has to do again. */
  readonly retried: string[];
}

/** Two workers, each with half of the partitions. */
async function aPair(): Promise<Pair> {
  const retried: string[] = [];
  const world = await blockedWorld();
  worlds.push(world);
  let pending: (() => Promise<void>) | null = null;
  const db = await world.test.connect({ entities: [SourceEntity] });
  const reader = await world.engineOn(
    afterLongReads(db, async () => {
      const run = pending;
      pending = null;
      await run?.();
    }),
    {},
    {
      observers: {
        accepted: () => undefined,
        duplicates: () => undefined,
        refused: () => undefined,
        deadLettersLost: () => undefined,
        failed: () => undefined,
        poisoned: () => undefined,
        lagging: () => undefined,
        contested: () => undefined,
        itemsLagging: () => undefined,
        itemsDamaged: () => undefined,
        rowsPassedOver: () => undefined,
        choreFailed: (_, error) => {
          throw error as Error;
        },
        choresFailing: () => undefined,
        erasuresFailing: () => undefined,
        onRun: () => undefined,
        retrying: (error) => retried.push(error instanceof Error ? error.message : String(error)),
      },
    },
  );
  const mover = await world.another();
  await world.engine.worker.stop();
  for (const { worker } of [mover, reader]) await worker.join();
  for (const { worker } of [mover, reader]) await worker.runOnce();
  expect(await partitionShares(world.db)).toEqual([8, 8]);
  return {
    world,
    mover,
    reader,
    retried,
    beforeNextWrite: (run) => {
      pending = run;
    },
  };
}

/** Events of people who are named beside a till. */
function sent(): IncomingEvent[] {
  return PEOPLE.flatMap((i) => {
    const at = (kind: string) => ({ messageId: `${kind}${String(i)}`, timestampMs: START_MS + i });
    return [
      anIdentify({ email: mail(i) }, { plan: 'free' }, at('a')),
      anIdentify({ user_id: 'till', email: mail(i) }, { plan: 'pro', seat: i }, at('b')),
      aTrack('view', { user_id: 'till', email: mail(i) }, at('c')),
    ];
  });
}

/** A load that says of each of them what is not so. */
async function acceptMistaken(world: World): Promise<void> {
  const loadId = await aLoad(world.db, 'mistaken');
  const mistaken = PEOPLE.map((i) => anIdentify({ email: mail(i) }, { seat: -i }, { messageId: `d${String(i)}` }));
  await world.engine.accept.accept({ id: 1, key: 'web' }, mistaken, { historical: false, loadId });
}

/** How many events hang on the till. */
async function onTill(world: World): Promise<number> {
  const [row] = await world.db.query<{ n: number }>(
    `SELECT count(*) AS n FROM event_log l JOIN identifiers i ON i.id = l.anchor_id WHERE i.value = 'till'`,
  );
  return row?.n ?? 0;
}

async function workUntil(world: World, { worker }: Engine, isDone: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (await isDone()) return;
    if (!(await worker.runOnce())) world.clock.advance(LOOK_MS);
  }
  throw new Error('it never came to that');
}

/** Has the till count for nobody, and moves none of its events yet. */
async function blockTill({ world, mover }: Pair): Promise<void> {
  await putInForce(world, TILL_IS_BLOCKED, true);
  await workUntil(
    world,
    mover,
    async () => (await world.db.query('SELECT FROM generic_values WHERE is_blocked')).length > 0,
  );
  expect(await onTill(world)).toBe(2 * PEOPLE.length);
}

/** Where the till never counted, and nothing that was sent was a mistake. */
async function never(change: (world: World) => Promise<unknown> = () => Promise.resolve()): Promise<World> {
  const world = await blockedWorld();
  worlds.push(world);
  await applyRules(world, TILL_IS_BLOCKED);
  await change(world);
  await world.accept(sent());
  await world.drain();
  return world;
}

async function pairOfPeople(accept: (world: World) => Promise<unknown>): Promise<Pair> {
  const pair = await aPair();
  const { world, mover, reader } = pair;
  const workers = [mover.worker, reader.worker];
  await putInForce(world, OPEN, true);
  await settleGenerics(world, mover);
  await world.accept(sent());
  await accept(world);
  await drainTogether(workers);
  await blockTill(pair);
  return pair;
}

/** What stands of who is who is what the log gives. */
async function expectFolded(world: World): Promise<void> {
  const { stored, folded } = await storedAndFoldedEvidence(world);
  expect(stored).toEqual(folded);
  expect(await strays(world.db)).toEqual([]);
}

/** The same of both, with nothing left to do and at one instant. */
async function known(pair: Pair, world: World) {
  const until = Math.max(pair.world.clock.now(), world.clock.now());
  for (const each of [pair.world, world]) each.clock.advance(until - each.clock.now() + LOOK_MS);
  await drainTogether([pair.mover.worker, pair.reader.worker]);
  await world.drain();
  const [ofPair, ofOne] = await Promise.all(
    [pair.world, world].map(async (each) => {
      const { evidence: _, ...rest } = await knownOf(each);
      return rest;
    }),
  );
  return { ofPair, ofOne };
}

describe('events that another worker moves between what a worker reads and what it writes', () => {
  it('are in what is left of their anchors once a load is taken back', async () => {
    const pair = await pairOfPeople(acceptMistaken);
    const { world, mover, reader, retried } = pair;
    await world.engine.retractions.takeBackLoad(loadIdOf('mistaken'));
    let moved = false;
    pair.beforeNextWrite(async () => {
      await settleGenerics(world, mover);
      moved = true;
    });
    await workUntil(world, reader, () => Promise.resolve(moved));
    expect(await onTill(world)).toBe(0);
    const { ofPair, ofOne } = await known(pair, await never());
    expect(ofPair).toEqual(ofOne);
    expect(retried).toEqual([MOVED]);
    await expectFolded(world);
    const { stored, folded } = await storedAndFolded(world);
    expect(stored).toEqual(folded);
  });

  it('are in the traits of their anchors once the rules of these changed', async () => {
    const rule = [
      { name: 'plan', description: '', edge: false, rule: { ...DEFAULT_TRAIT_RULE, survivorship: 'union' } },
    ];
    const setRule = (world: World) => world.engine.services.traits.apply(rule as never, { prune: true });
    const pair = await pairOfPeople(() => Promise.resolve());
    const { world, mover, reader, retried } = pair;
    await setRule(world);
    let moved = false;
    pair.beforeNextWrite(async () => {
      await settleGenerics(world, mover);
      moved = true;
    });
    await workUntil(world, reader, () => Promise.resolve(moved));
    expect(await onTill(world)).toBe(0);
    const { ofPair, ofOne } = await known(pair, await never(setRule));
    expect(ofPair).toEqual(ofOne);
    expect(retried).toEqual([MOVED]);
    await expectFolded(world);
  });
});

describe('a person who is erased before all of their events are moved to them', () => {
  it.each([1, 30])('is in no event that hangs on a value which counts for nobody (%i moved before)', async (before) => {
    const world = await blockedWorld({ maxReanchoredEvents: 1 });
    worlds.push(world);
    await applyRules(world, OPEN);
    const named = (email: string) => aTrack('view', { user_id: 'till', email }, { properties: { page: email } });
    await world.accept([
      aTrack('view', { email: 'canary@example.org' }),
      ...Array.from({ length: before }, (_, i) => named(mail(i))),
      ...Array.from({ length: 2 }, () => named('canary@example.org')),
      ...Array.from({ length: 12 }, (_, i) => named(mail(before + i))),
    ]);
    await world.drain();
    const all = await onTill(world);
    await putInForce(world, TILL_IS_BLOCKED, true);
    await workUntil(world, world.engine, async () => (await onTill(world)) < all);
    // Named by nothing that has been moved yet.
    const last = mail(before + 11);
    const late = await world.engine.erasures.request({ identifier: { ns: 'email', value: last } }, ASKER);
    const nobody = world.engine.erasures.request({ identifier: { ns: 'email', value: 'nobody@x.example' } }, ASKER);
    await expect(nobody).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const asked = { identifier: { ns: 'email', value: 'canary@example.org' } };
    const { id } = await world.engine.erasures.request(asked, ASKER);
    await settleGenerics(world);
    world.clock.advance(LOOK_MS);
    await world.drain();

    expect(await world.engine.erasures.find(id)).toMatchObject({ status: 'logical', events: 3, rewritten: 0 });
    expect(await world.engine.erasures.find(late.id)).toMatchObject({ status: 'logical', events: 1, rewritten: 0 });
    expect(await findTexts(world.db, ['canary', last])).toEqual([]);
    expect(await onTill(world)).toBe(0);
    expect(await world.db.query('SELECT FROM event_log')).toHaveLength(before + 11);
    await expectFolded(world);
  });

  it('is in no event that belongs to a value of theirs which counts again, wherever it hangs yet', async () => {
    const world = await blockedWorld({ maxReanchoredEvents: 1 });
    worlds.push(world);
    await applyRules(world, OPEN);
    const named = (i: number) => anIdentify({ user_id: 'till', email: mail(i) }, { motto: 'canary' });
    await world.accept(Array.from({ length: 8 }, (_, i) => named(i)));
    await world.drain();
    await applyRules(world, TILL_IS_BLOCKED);
    expect(await onTill(world)).toBe(0);
    await putInForce(world, OPEN, true);
    await workUntil(world, world.engine, async () => (await onTill(world)) > 0);
    expect(await onTill(world)).toBeLessThan(8);
    const { id } = await world.engine.erasures.request({ identifier: { ns: 'user_id', value: 'till' } }, ASKER);
    await settleGenerics(world);
    world.clock.advance(LOOK_MS);
    await world.drain();

    expect(await world.engine.erasures.find(id)).toMatchObject({ status: 'logical', rewritten: 0 });
    expect(await findTexts(world.db, ['canary'])).toEqual([]);
  });
});
