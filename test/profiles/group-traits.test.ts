import { afterEach, describe, expect, it } from 'vitest';
import { DEFAULT_TRAIT_RULE } from '../../src/profiles/trait-rule.model.js';
import type { IncomingEvent, JsonObject, JsonValue } from '../../src/events/event.model.js';
import { decodeTraits } from '../../src/profiles/trait-codec.js';
import { groupsOf } from '../../src/profiles/groups.model.js';
import { mergeTraits } from '../../src/profiles/traits.model.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import type { Uuid } from '../../src/platform/ids.js';
import { drainTogether } from '../support/drain-together.js';
import { loseSessions } from '../support/lose-sessions.js';
import { randomFrom } from '../support/random-log.js';
import {
  aGroup as aGroupOf,
  anIdentify,
  createWorld,
  HOUR_MS,
  MINUTE_MS,
  START_MS,
  type World,
} from '../support/world.js';

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

async function newWorld(): Promise<World> {
  const world = await createWorld(START_MS, { limits: { maxToldMembers: 3, maxBatchEvents: 10, maxRefoldAnchors: 3 } });
  worlds.push(world);
  await world.accept([], { source: 'web' });
  await world.defineSegment('pro', 'groups.exists(g, g.traits.plan == "pro")');
  await world.drain();
  return world;
}

const aGroup = (cookie: string, groupId: string, traits?: JsonObject, more?: Partial<IncomingEvent>): IncomingEvent =>
  aGroupOf({ anonymous_id: cookie }, groupId, traits, more);

interface Seen {
  readonly groups: Readonly<Record<string, Readonly<Record<string, JsonValue>>>>;
  readonly isPro: boolean;
}

/** By profile, which is named by its identifiers: its groups with what it knows of them. */
async function seen(world: World): Promise<Record<string, Seen>> {
  const rows = await world.db.query<{ profile: string; name: string; traits: Buffer | null; pro: boolean }>(
    `SELECT i.profile_id AS profile, i.value AS name, a.traits,
            EXISTS (SELECT FROM memberships m WHERE m.profile_id = i.profile_id) AS pro
     FROM identifiers i LEFT JOIN anchor_states a ON a.anchor_id = i.id ORDER BY i.value COLLATE "C"`,
  );
  const profiles = new Map<string, typeof rows>();
  for (const row of rows) profiles.set(row.profile, [...(profiles.get(row.profile) ?? []), row]);
  return Object.fromEntries(
    [...profiles.values()].map((own) => {
      const anchors = own.flatMap(({ traits }) => (traits === null ? [] : [decodeTraits(traits)]));
      const groups = groupsOf(mergeTraits(anchors)).map(({ id, traits }) => [id, { ...traits }] as const);
      return [
        own.map(({ name }) => name).join(' '),
        { groups: Object.fromEntries(groups), isPro: own[0]?.pro ?? false },
      ];
    }),
  );
}

async function settle(world: World, engine = world.engine): Promise<void> {
  for (let round = 0; round < 2; round++) {
    await engine.worker.drain();
    // Others' news is looked for once a second.
    world.clock.advance(1_000);
  }
  await engine.worker.drain();
}

const changesOf = async (world: World) => (await world.feed()).map(({ kind, cause }) => `${kind} by ${cause.kind}`);

describe('traits of groups', () => {
  it('are known at once to whom the call was about, and then to all other members', async () => {
    const world = await newWorld();
    await world.accept([aGroup('c1', 'acme'), aGroup('c2', 'acme'), aGroup('c3', 'globex', { plan: 'free' })]);
    await settle(world);
    expect(await changesOf(world)).toEqual([]);
    await world.accept([aGroup('c1', 'acme', { plan: 'pro', seats: 3 })]);
    await settle(world);
    expect(await seen(world)).toEqual({
      c1: { groups: { acme: { plan: 'pro', seats: 3 } }, isPro: true },
      c2: { groups: { acme: { plan: 'pro', seats: 3 } }, isPro: true },
      c3: { groups: { globex: { plan: 'free' } }, isPro: false },
    });
    expect(await changesOf(world)).toEqual(['enter by event', 'enter by group']);
    await world.accept([aGroup('c4', 'acme')]);
    await settle(world);
    expect((await seen(world))['c4']).toEqual({ groups: { acme: { plan: 'pro', seats: 3 } }, isPro: true });
    expect((await changesOf(world)).slice(2)).toEqual(['enter by group']);
  });

  it('are the latest by when they were said, and never those of the person', async () => {
    const world = await newWorld();
    await world.accept([aGroup('c1', 'acme', { plan: 'pro' }), aGroup('c2', 'acme', { size: 5 })]);
    world.clock.advance(HOUR_MS);
    await world.accept([aGroup('c2', 'acme', { plan: 'free', size: 4 }, { timestampMs: START_MS - MINUTE_MS })]);
    await settle(world);
    const known = { acme: { plan: 'pro', size: 5 } };
    expect(await seen(world)).toEqual({ c1: { groups: known, isPro: true }, c2: { groups: known, isPro: true } });
  });

  it('are bounded in number and in length', async () => {
    const world = await newWorld();
    const many = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`t${String(i).padStart(2, '0')}`, i]));
    await world.accept([
      aGroup('c1', 'acme', { ...many, long: 'x'.repeat(1_001) }),
      aGroup('c2', 'acme', { t59: 'x', a: 1 }),
    ]);
    await settle(world);
    const { c1, c2 } = await seen(world);
    expect(c1).toEqual(c2);
    expect(Object.keys(c1?.groups['acme'] ?? {}).sort()).toEqual(['a', ...Object.keys(many).slice(0, 49)]);
  });

  it('cost nobody a trait of their own', async () => {
    const world = await newWorld();
    const own = Object.fromEntries(Array.from({ length: 498 }, (_, i) => [`t${String(i)}`, i]));
    const more = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`g${String(i)}`, i]));
    await world.accept([
      anIdentify({ anonymous_id: 'c1' }, own),
      aGroup('c1', 'acme', more),
      anIdentify({ anonymous_id: 'c1' }, { z: 1 }),
    ]);
    await settle(world);
    const [row] = await world.db.query<{ traits: Buffer }>('SELECT traits FROM anchor_states');
    const names = [...decodeTraits(row?.traits ?? Buffer.alloc(0)).keys()].filter((name) => !name.startsWith('$'));
    expect(names).toHaveLength(499);
  });
});

describe('an installation from before groups had traits', () => {
  it('finds what group calls said when it folds all traits anew', async () => {
    const world = await newWorld();
    await world.accept([
      aGroup('c1', 'acme', { plan: 'pro' }),
      aGroup('c2', 'acme'),
      aGroup('c3', 'globex', { size: 1 }),
    ]);
    await settle(world);
    const before = await seen(world);
    await world.engine.worker.stop();
    await world.db.query('TRUNCATE groups, group_members, group_sweeps');
    await world.db.query(`UPDATE anchor_states SET traits = ''`);
    await world.db.query('DELETE FROM memberships');
    // As the migration does.
    await world.db.query('UPDATE installation SET trait_rules_version = 1');
    await world.db.query('INSERT INTO trait_rule_changes (version, names, created_at) VALUES (1, NULL, 0)');
    await settle(world, await world.another());
    expect(await seen(world)).toEqual(before);
    expect(before).toMatchObject({ c2: { isPro: true } });
  });
});

describe('a group that never rests', () => {
  it('reaches all of its members, and holds up neither other groups nor erasures', async () => {
    const world = await createWorld(START_MS, { limits: { maxToldMembers: 1 } });
    worlds.push(world);
    await world.accept([], { source: 'web' });
    const cookies = Array.from({ length: 12 }, (_, i) => `c${String(i)}`);
    await world.accept(cookies.flatMap((cookie) => [aGroup(cookie, 'acme'), aGroup(cookie, 'globex')]));
    await world.accept([anIdentify({ user_id: 'gone' }, { name: 'Ann' })]);
    await settle(world);
    const [gone] = await world.db.query<{ id: Uuid }>(`SELECT profile_id AS id FROM identifiers WHERE value = 'gone'`);
    const why = { reason: 'asked', actor: 'test' };
    const erasure = await world.engine.erasures.request({ profileId: gone?.id ?? '' }, why);
    await world.accept([aGroup('c0', 'globex', { size: 1 })]);
    for (let i = 0; i < 100; i++) {
      await world.accept([aGroup('c0', 'acme', { visits: i })]);
      world.clock.advance(1_000);
      await world.engine.worker.runOnce();
      await world.engine.worker.runOnce();
    }
    const known = Object.values(await seen(world)).map(({ groups }) => groups);
    expect(known).toHaveLength(12);
    expect(known.filter(({ acme, globex }) => acme?.['visits'] === undefined || globex?.['size'] !== 1)).toEqual([]);
    expect((await world.engine.erasures.find(erasure.id))?.status).toBe('logical');
  });
});

describe('loaded history', () => {
  it('tells members in silence, until something live is behind it', async () => {
    const world = await newWorld();
    await world.accept([aGroup('c1', 'acme'), aGroup('c2', 'acme')]);
    await settle(world);
    await world.accept([aGroup('c2', 'acme', { plan: 'pro' })], { historical: true });
    await world.accept([aGroup('c3', 'acme')], { historical: true });
    await settle(world);
    expect(Object.values(await seen(world)).map(({ isPro }) => isPro)).toEqual([true, true, true]);
    expect(await changesOf(world)).toEqual([]);
    await world.accept([aGroup('c4', 'acme')]);
    await world.accept([aGroup('c2', 'acme', { plan: 'free' })], { historical: true });
    await world.accept([aGroup('c2', 'acme', { plan: 'team' })]);
    await settle(world);
    expect(Object.values(await seen(world)).map(({ isPro }) => isPro)).toEqual([false, false, false, false]);
    expect(await changesOf(world)).toContain('leave by group');
  });
});

describe('several workers', () => {
  it('have told everybody what an erased person said of a group once the erasure is done', async () => {
    const world = await newWorld();
    const workers = [world.engine.worker, (await world.another()).worker];
    const settleBoth = async (): Promise<void> => {
      for (let round = 0; round < 3; round++) {
        await drainTogether(workers);
        world.clock.advance(1_000);
      }
    };
    await settleBoth();
    // Of several people some are in the partitions of the worker that goes on alone.
    const people = Array.from({ length: 6 }, (_, i) => `p${String(i)}`);
    const cookies = Array.from({ length: 12 }, (_, i) => `c${String(i)}`);
    await world.accept([
      ...cookies.map((cookie) => aGroup(cookie, 'acme')),
      ...people.map((person) => aGroup(person, 'acme', { [person]: `canary-${person}` })),
    ]);
    await settleBoth();
    for (const person of people) {
      const holders = async (): Promise<number | undefined> => {
        const sql = 'SELECT count(*)::int AS n FROM anchor_states WHERE position(convert_to($1, $2) in traits) > 0';
        return (await world.db.query<{ n: number }>(sql, [`canary-${person}`, 'UTF8']))[0]?.n;
      };
      expect(await holders()).toBeGreaterThan(10);
      const sql = 'SELECT profile_id AS id FROM identifiers WHERE value = $1';
      const [profile] = await world.db.query<{ id: Uuid }>(sql, [person]);
      const why = { reason: 'asked', actor: 'test' };
      const { id } = await world.engine.erasures.request({ profileId: profile?.id ?? '' }, why);
      const isDone = async (): Promise<boolean> => (await world.engine.erasures.find(id))?.status === 'logical';
      for (let i = 0; i < 30 && !(await isDone()); i++) {
        world.clock.advance(1_000);
        await workers[0]?.runOnce();
      }
      if (await isDone()) expect(await holders()).toBe(0);
      await settleBoth();
      expect([await isDone(), await holders()]).toEqual([true, 0]);
    }
  });

  it('tell the members of their own partitions, some at a time', async () => {
    const world = await newWorld();
    const cookies = Array.from({ length: 20 }, (_, i) => `c${String(i)}`);
    const workers = [world.engine.worker, (await world.another()).worker];
    await world.accept(cookies.map((cookie) => aGroup(cookie, 'acme')));
    await drainTogether(workers);
    await world.accept([aGroup('c7', 'acme', { plan: 'pro' })]);
    for (let round = 0; round < 3; round++) {
      await drainTogether(workers);
      world.clock.advance(1_000);
    }
    expect(Object.values(await seen(world)).filter(({ isPro }) => isPro)).toHaveLength(20);
  });
});

const GROUPS = ['acme', 'globex', 'hooli'];

interface Said {
  readonly event: IncomingEvent;
  readonly at: number;
  readonly seq: number;
  readonly cookie: string;
}

/** What members know by the definition: of each group the latest values that anybody gave. */
function expectedOf(said: readonly Said[], people: ReadonlyMap<string, readonly string[]>): Record<string, Seen> {
  const joins = said.filter(({ event }) => event.type === 'group');
  const traitsOfGroup = (groupId: string): Record<string, JsonValue> => {
    const given = joins.filter(({ event }) => event.groupId === groupId);
    given.sort((a, b) => a.at - b.at || ((a.event.messageId ?? '') < (b.event.messageId ?? '') ? -1 : 1));
    const traits: Record<string, JsonValue | undefined> = {};
    for (const { event } of given) Object.assign(traits, event.traits);
    return traits as Record<string, JsonValue>;
  };
  return Object.fromEntries(
    [...people].flatMap(([name, cookies]) => {
      const isThere = said.some(({ cookie }) => cookies.includes(cookie));
      const own = GROUPS.filter((id) =>
        joins.some(({ cookie, event }) => cookies.includes(cookie) && event.groupId === id),
      );
      const groups = Object.fromEntries(own.map((id) => [id, traitsOfGroup(id)]));
      return isThere ? [[name, { groups, isPro: Object.values(groups).some(({ plan }) => plan === 'pro') }]] : [];
    }),
  );
}

describe('what members know of their groups', () => {
  it.each([1, 2, 3])(
    'is what all calls that stand say, whatever was late, taken back, merged, folded anew or killed (%i)',
    async (seed) => {
      const world = await newWorld();
      const random = randomFrom(seed);
      const pick = (n: number): number => Math.floor(random() * n);
      let said: Said[] = [];
      let seq = 0;
      const merged = new Set<string>();
      let engine = world.engine;
      for (let step = 0; step < 60; step++) {
        world.clock.advance(pick(3) * MINUTE_MS);
        const kind = pick(12);
        if (kind < 7) {
          const cookie = `c${String(pick(8))}`;
          const traits = pick(4) === 0 ? {} : { [['plan', 'size'][pick(2)] ?? '']: ['pro', 'free', 7][pick(3)] ?? 0 };
          const at = world.clock.now() - pick(3) * HOUR_MS;
          const messageId = `g${String(seq).padStart(4, '0')}`;
          const event = aGroup(cookie, GROUPS[pick(3)] ?? '', traits, { timestampMs: at, messageId });
          said.push({ event, at, seq: seq++, cookie });
          await world.accept([event]);
        } else if (kind === 7) {
          // Two cookies of one person; c0 with c1, c2 with c3, …
          const pair = pick(4);
          const [a, b] = [`c${String(2 * pair)}`, `c${String(2 * pair + 1)}`];
          for (const cookie of [a, b]) {
            const event = anIdentify({ user_id: `u${String(pair)}`, anonymous_id: cookie });
            said.push({ event, at: world.clock.now(), seq: seq++, cookie: `u${String(pair)}` });
            await world.accept([event]);
          }
          merged.add(String(pair));
        } else if (kind === 8 && said.length > 0) {
          const gone = said.filter(({ event }) => event.type === 'group').slice(-2 - pick(4), -1);
          const source = { id: 1, key: 'web' };
          await engine.worker.drain();
          await engine.retractions.takeBackMessages(
            source,
            gone.map(({ event }) => event.messageId ?? ''),
          );
          said = said.filter((each) => !gone.includes(each));
        } else if (kind === 9) {
          await engine.services.traits.apply(
            [
              {
                name: 'x',
                description: '',
                edge: false,
                rule: { ...DEFAULT_TRAIT_RULE, survivorship: pick(2) === 0 ? 'min' : 'max' },
              },
            ],
            { prune: true },
          );
        } else if (kind === 10) {
          await engine.worker.stop();
          const db = await world.test.connect({ entities: [SourceEntity], applicationName: 'doomed' });
          const doomed = await world.engineOn(db);
          for (let round = pick(6); round > 0; round--) await doomed.worker.runOnce();
          await loseSessions(world.db, 'doomed');
          engine = await world.another();
        }
        for (let round = pick(3); round > 0; round--) await engine.worker.runOnce();
      }
      await settle(world, engine);
      const people = new Map<string, string[]>();
      for (let pair = 0; pair < 4; pair++) {
        const [a, b] = [`c${String(2 * pair)}`, `c${String(2 * pair + 1)}`];
        if (merged.has(String(pair))) people.set(`${a} ${b} u${String(pair)}`, [a, b, `u${String(pair)}`]);
        else for (const cookie of [a, b]) people.set(cookie, [cookie]);
      }
      expect(await seen(world)).toEqual(expectedOf(said, people));
      const left = await world.db.query<{ n: number }>(
        `SELECT count(*)::int AS n FROM group_sweeps UNION ALL SELECT count(*)::int FROM group_members WHERE is_stale
         UNION ALL SELECT count(*)::int FROM groups g WHERE NOT EXISTS (SELECT FROM group_members m WHERE m.group_id = g.id)`,
      );
      expect(left.map(({ n }) => n)).toEqual([0, 0, 0]);
    },
  );
});
