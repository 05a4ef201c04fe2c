import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine.js';
import { STOP_WORKERS } from '../../src/events/partition-lease.model.js';
import { hashId, partitionOf } from '../../src/platform/ids.js';
import type { Database, PreparedStatement, Transaction, TransactionOptions } from '../../src/platform/postgres.js';
import { DEFAULT_TRAIT_RULE } from '../../src/profiles/trait-rule.model.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { drainTogether } from '../support/drain-together.js';
import { activateByTown } from '../support/matching-world.js';
import { partitionShares } from '../support/partition-shares.js';
import { aLoad, loadIdOf } from '../support/retraction-builders.js';
import { aGroup, aTrack, anIdentify, createWorld, START_MS, type World } from '../support/world.js';

const PEOPLE = Array.from({ length: 40 }, (_, i) => i);
const mail = (i: number) => ({ email: `p${String(i)}@example.org` });
const cookie = (i: number) => ({ anonymous_id: `c${String(i)}` });
const PARTITIONS = 16;
/** After which a worker looks again for what others asked for. */
const LOOK_MS = 1_000;
/** How long another worker is at work between the begin of a step's transaction and its locks. */
const GAP_MS = 10_000;
/** A process that stands still for seconds gives its leases up, and has them again after a look or two: at each round. */
const LIMITS = { leaseRefreshMs: 0 };

/** Statements, by name or by part of their text, with which a step's transaction locks, or goes on, after its leases. */
const LOOK_FOR_MOVES = 'coalesce(sum(moves), 0)';
const LOOK_FOR_MEMBERS = 'identity-members-around';
const TAKE_LINKS_OFF = 'DELETE FROM matching_link_work w';
const LOOK_FOR_OWNERS = 'SELECT DISTINCT profile_id AS id FROM identifiers WHERE id = ANY';
const LOCK_RANGE = 'FROM profiles WHERE part = $1';

/** The database, with something that runs in transactions before the first statement that says this. */
function heldUp(db: Database, before: (statement: string, values: readonly unknown[]) => Promise<void>): Database {
  const held = (tx: Transaction): Transaction =>
    new Proxy(tx, {
      get: (target, name) => {
        if (name === 'query') {
          return async (text: string, values?: readonly unknown[]) => {
            await before(text, values ?? []);
            return target.query(text, values);
          };
        }
        if (name === 'run') {
          return async (statement: PreparedStatement) => {
            await before(`${statement.name} ${statement.text}`, statement.values ?? []);
            return target.run(statement);
          };
        }
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  const transaction = <T>(work: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T> =>
    db.transaction((tx) => work(held(tx)), options);
  return new Proxy(db, {
    get: (target, name) => {
      if (name === 'transaction') return transaction;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

interface Pair {
  readonly world: World;
  /** Has the first partition, and does the step. */
  readonly stepper: Engine;
  readonly other: Engine;
  /** Whether the first partition and this one have one holder. */
  isStepper(part: number): boolean;
  /** Both, until there is nothing to do and each has the partitions that it had at first. */
  drain(): Promise<void>;
  /** Of `PEOPLE` one that was not given before, whose cookie is the stepper's and whose mail address the other's. */
  shared(): number;
  /** The same, with both the other's. */
  ofOther(): number;
  /**
   * Has the stepper work until it is in a transaction and about to say `statement`, with this value first if one is given;
   * then somebody views two pages, which the other worker applies; then the stepper goes on. The instant of these views, ms.
   */
  hold(statement: string, viewer: Record<string, string>, firstValue?: unknown): Promise<number>;
}

/** Two workers, each with half of the partitions, and people of a cookie and a mail address, each with events. */
async function aPair(): Promise<Pair> {
  const world = await createWorld(START_MS);
  await world.accept([], { source: 'web' });
  await world.defineSegment('keen', 'count("view", "1h") >= 2');
  await world.defineSegment('pro', 'traits.plan == "pro" || groups.exists(g, g.traits.plan == "pro")');
  await world.drain();
  await world.engine.worker.stop();

  let awaited: { readonly statement: string; readonly firstValue: unknown } | null = null;
  let run = (): Promise<void> => Promise.resolve();
  const db = await world.test.connect({ entities: [SourceEntity] });
  const stepper = await world.engineOn(
    heldUp(db, async (statement, values) => {
      if (awaited === null || !statement.includes(awaited.statement)) return;
      if (awaited.firstValue !== undefined && awaited.firstValue !== values[0]) return;
      awaited = null;
      await run();
    }),
    LIMITS,
  );
  const other = await world.another(LIMITS);
  for (const { worker } of [stepper, other]) await worker.join();
  for (const { worker } of [stepper, other]) await worker.runOnce();
  expect(await partitionShares(world.db)).toEqual([8, 8]);
  const ofStepper = async (): Promise<number[]> => {
    const rows = await world.db.query<{ part: number }>(
      'SELECT part FROM partitions WHERE holder = (SELECT holder FROM partitions WHERE part = 0) ORDER BY part',
    );
    return rows.map(({ part }) => part);
  };
  const first = await ofStepper();
  const drain = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) {
      await drainTogether([stepper.worker, other.worker]);
      if ((await ofStepper()).join() === first.join() && (await partitionShares(world.db)).join() === '8,8') return;
    }
    throw new Error('each has other partitions than at first');
  };

  await world.accept(PEOPLE.flatMap((i) => [anIdentify({ ...mail(i), ...cookie(i) }), anIdentify(cookie(i))]));
  await drain();
  const anchors = await world.db.query<{ value: string; part: number }>(
    'SELECT DISTINCT i.value, l.part FROM identifiers i JOIN event_log l ON l.anchor_id = i.id',
  );
  expect(anchors).toHaveLength(2 * PEOPLE.length);
  const isOfFirst = new Map(anchors.map(({ value, part }) => [value, first.includes(part)]));
  const isOthers = PEOPLE.filter((i) => isOfFirst.get(mail(i).email) === false);
  return {
    world,
    stepper,
    other,
    isStepper: (part) => first.includes(part),
    drain,
    shared: oneByOne(isOthers.filter((i) => isOfFirst.get(cookie(i).anonymous_id) === true)),
    ofOther: oneByOne(isOthers.filter((i) => isOfFirst.get(cookie(i).anonymous_id) === false)),
    hold: async (statement, viewer, firstValue) => {
      const viewed: number[] = [];
      awaited = { statement, firstValue };
      run = async () => {
        world.clock.advance(GAP_MS);
        await world.accept([aTrack('view', viewer), aTrack('view', viewer)]);
        await other.worker.runOnce();
        viewed.push(world.clock.now());
      };
      for (let i = 0; i < 100; i++) {
        const [at] = viewed;
        if (at !== undefined) return at;
        if (!(await stepper.worker.runOnce())) world.clock.advance(LOOK_MS);
      }
      throw new Error('the step never came to that');
    },
  };
}

function oneByOne(people: number[]): () => number {
  return () => {
    const person = people.shift();
    if (person === undefined) throw new Error('none is left of the people with partitions like that');
    return person;
  };
}

/** What the feed says from the views on, in its order, with instants counted from those; and who is in what since when. */
async function toldSince({ world, drain }: Pair, viewedAt: number) {
  await drain();
  const feed = await world.feed();
  const told = feed.slice(feed.findIndex(({ segment, at }) => segment === 'keen' && at === viewedAt + 1));
  const members = await world.db.query<{ since: number; segment: string }>(
    `SELECT m.since, s.key AS segment FROM memberships m JOIN segments s ON s.id = m.segment_id
     WHERE m.profile_id = ANY ($1) ORDER BY m.since, s.key`,
    [[...new Set(told.map(({ profileId }) => profileId))]],
  );
  return {
    told: told.map(({ segment, kind, cause, at }) => [`${kind} ${segment} by ${cause.kind}`, at - viewedAt]),
    members: members.map(({ segment, since }) => [segment, since - viewedAt]),
  };
}

describe('a step that no event brings is evaluated behind what another worker applied before it had its locks', () => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await aPair();
  });
  afterAll(() => pair.world.close());

  it('where profiles are evaluated by a new segment', async () => {
    const { world, other } = pair;
    const part = (ns: string, value: string): number => partitionOf(hashId(ns, value), PARTITIONS);
    // The stepper evaluates the profile, and the other applies events of the cookie.
    const person = PEOPLE.map((i) => i + PEOPLE.length).find(
      (i) =>
        pair.isStepper(part('email', mail(i).email)) && !pair.isStepper(part('anonymous_id', cookie(i).anonymous_id)),
    );
    if (person === undefined) throw new Error('nobody has partitions like that');
    await world.accept([anIdentify({ ...mail(person), ...cookie(person) }, { town: 'Hull' })]);
    await pair.drain();
    await world.defineSegment('local', 'traits.town == "Hull"');
    await other.worker.drain();
    const at = await pair.hold(LOCK_RANGE, cookie(person), part('email', mail(person).email));
    world.clock.advance(LOOK_MS);
    expect(await toldSince(pair, at)).toEqual({
      told: [
        ['enter keen by event', 1],
        ['enter local by edit', 1],
      ],
      members: [
        ['keen', 1],
        ['local', 1],
      ],
    });
  });

  it('where profiles are merged by hand', async () => {
    const { world, stepper, other } = pair;
    const [elder, younger] = [pair.ofOther(), pair.ofOther()];
    const identifiers = [elder, younger].map((i) => ({ ns: 'email', value: mail(i).email }));
    const asked = { kind: 'merge', input: { identifiers } } as const;
    await stepper.identity.revisions.request(asked, { actor: 'a test', reason: 'order' });
    await other.worker.drain();
    const at = await pair.hold(STOP_WORKERS, mail(younger));
    expect(await toldSince(pair, at)).toEqual({
      told: [
        ['enter keen by event', 1],
        ['leave keen by merge', 1],
        ['enter keen by merge', 1],
      ],
      members: [['keen', 1]],
    });
    expect(await world.db.query('SELECT status FROM identity_revisions')).toEqual([{ status: 'done' }]);
  });

  it('where a load is reverted', async () => {
    const { world, stepper, other } = pair;
    const person = pair.shared();
    const loadId = await aLoad(world.db, 'mistaken');
    const mistaken = [anIdentify(cookie(person), { plan: 'pro' })];
    await world.engine.accept.accept({ id: 1, key: 'web' }, mistaken, { historical: false, loadId });
    await pair.drain();
    await stepper.retractions.takeBackLoad(loadIdOf('mistaken'));
    await other.worker.drain();
    const at = await pair.hold(LOOK_FOR_MOVES, mail(person));
    expect(await toldSince(pair, at)).toEqual({
      told: [
        ['enter keen by event', 1],
        ['leave pro by revert', 1],
      ],
      members: [['keen', 1]],
    });
  });

  it('where members of a group are told of it', async () => {
    const { world, other } = pair;
    const [person, teller] = [pair.shared(), pair.ofOther()];
    await world.accept([aGroup(cookie(person), 'acme')]);
    await pair.drain();
    await world.accept([aGroup(mail(teller), 'acme', { plan: 'pro' })]);
    await other.worker.drain();
    const at = await pair.hold(LOOK_FOR_OWNERS, mail(person));
    expect(await toldSince(pair, at)).toEqual({
      told: [
        ['enter keen by event', 1],
        ['enter pro by group', 1],
      ],
      members: [
        ['keen', 1],
        ['pro', 1],
      ],
    });
  });

  it('where traits are folded anew', async () => {
    const { world, stepper, other } = pair;
    const person = pair.shared();
    await world.accept(['free', 'free', 'pro'].map((plan) => anIdentify(cookie(person), { plan })));
    await pair.drain();
    const rule = { ...DEFAULT_TRAIT_RULE, survivorship: 'most_frequent' } as const;
    const definition = { name: 'plan', description: '', edge: false, rule };
    await stepper.services.traits.apply([definition], { prune: true });
    await other.worker.drain();
    const at = await pair.hold(LOOK_FOR_OWNERS, mail(person));
    expect(await toldSince(pair, at)).toEqual({
      told: [
        ['enter keen by event', 1],
        ['leave pro by edit', 1],
      ],
      members: [['keen', 1]],
    });
  });

  // The last: from then on a model is active.
  it('where a model links them, while others go on', async () => {
    const { world, stepper, other } = pair;
    await activateByTown(world);
    await pair.drain();
    const linkNext = async (name: string): Promise<number> => {
      const [elder, younger] = [pair.ofOther(), pair.ofOther()];
      await world.accept([elder, younger].map((i) => anIdentify(mail(i), { name, town: 'York' })));
      await other.worker.drain();
      const isToBeLinked = async () => (await world.db.query('SELECT FROM matching_link_work')).length > 0;
      for (let i = 0; i < 100 && !(await isToBeLinked()); i++) {
        if (!(await stepper.worker.runOnce())) world.clock.advance(LOOK_MS);
      }
      expect(await isToBeLinked()).toBe(true);
      return younger;
    };
    const at = await pair.hold(LOOK_FOR_MEMBERS, mail(await linkNext('Jo Park')));
    expect(await toldSince(pair, at)).toEqual({
      told: [
        ['enter keen by event', 1],
        ['leave keen by merge', 1],
        ['enter keen by merge', 1],
      ],
      members: [['keen', 1]],
    });

    // With those locked whom it links: who is not concerned need not wait until that is done.
    await linkNext('Al Reed');
    const meanwhile = await pair.hold(TAKE_LINKS_OFF, mail(pair.ofOther()));
    expect(await toldSince(pair, meanwhile)).toEqual({
      told: [['enter keen by event', 1]],
      members: [['keen', 1]],
    });
    const linked = await world.db.query(`SELECT status FROM identity_revisions WHERE kind = 'model'`);
    expect(linked).toEqual([{ status: 'done' }, { status: 'done' }]);
  });
});
