import { afterEach, describe, expect, it } from 'vitest';
import type { RawIdentifier } from '../../src/events/event.model.js';
import type { IdentityRevisionRecord, RevisionInputOf } from '../../src/identity/identity-revision.model.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { drainTogether } from '../support/drain-together.js';
import { loseSessions } from '../support/lose-sessions.js';
import { readFeed } from '../support/pipeline-state.js';
import { defineSome, pick, randomFrom, randomLog, type LogStep, type Random } from '../support/random-log.js';
import { knownOf, strays } from '../support/retraction-builders.js';
import { aTrack, anIdentify, createWorld, DAY_MS, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

async function newWorld(): Promise<World> {
  const world = await createWorld();
  worlds.push(world);
  await world.accept([], { source: 'web' });
  await defineSome(world);
  await world.drain();
  return world;
}

const who = { actor: 'a test', reason: 'they called' };

async function decide(world: World, revision: RevisionInputOf): Promise<IdentityRevisionRecord> {
  const { id } = await world.engine.identity.revisions.request(revision, who);
  await world.drain();
  return world.engine.identity.revisions.settled(id, { timeoutMs: 0 });
}

const merge = (world: World, ...identifiers: RawIdentifier[]) =>
  decide(world, { kind: 'merge', input: { identifiers } });

async function unmerge(world: World, ...identifiers: RawIdentifier[]) {
  return decide(world, { kind: 'unmerge', input: { profile: await profileOf(world, identifiers[0]), identifiers } });
}

async function profileOf(world: World, identifier: RawIdentifier | undefined): Promise<string> {
  const [row] = await world.db.query<{ id: string }>(
    'SELECT profile_id AS id FROM identifiers WHERE ns = $1 AND value = $2',
    [identifier?.ns, identifier?.value],
  );
  if (row === undefined) throw new Error('the identifier is not known');
  return row.id;
}

async function step(world: World, events: Parameters<World['accept']>[0]): Promise<void> {
  world.clock.advance(MINUTE_MS);
  await world.accept(events);
  await world.drain();
}

const user = (value: string) => ({ ns: 'user_id', value });
const cookie = (value: string) => ({ ns: 'anonymous_id', value });
const mail = (value: string) => ({ ns: 'email', value: `${value}@example.com` });

const partition = async (world: World) => (await knownOf(world)).profiles;

describe('profiles that somebody says are one', () => {
  it('are one, by the older id, with what the feed says of it', async () => {
    const world = await newWorld();
    await step(world, [aTrack('view', { anonymous_id: 'a' })]);
    await step(world, [aTrack('view', { user_id: 'ann' }), anIdentify({ user_id: 'ann' }, { plan: 'pro' })]);
    const [older, younger] = [await profileOf(world, cookie('a')), await profileOf(world, user('ann'))];
    const before = (await world.feed()).length;
    const { status, result } = await decide(world, { kind: 'merge', input: { profiles: [younger, older] } });
    expect({ status, result }).toMatchObject({
      status: 'done',
      result: { profileId: older, merged: [younger], moved: 1, linksAdded: 1 },
    });
    expect(await partition(world)).toEqual(['anonymous_id:a user_id:ann']);
    const changes = (await world.feed()).slice(before);
    expect(changes.map(({ profileId, cause }) => [profileId, cause])).toEqual(
      changes.map(({ profileId }) => [
        profileId,
        { kind: 'merge', pos: null, profileId: profileId === older ? younger : older },
      ]),
    );
    expect(changes.map(({ kind, segment }) => `${kind} ${segment}`)).toContain('enter keen');
  });

  it('stay one where limits say otherwise, whole, and whatever comes later', async () => {
    const world = await newWorld();
    for (const who of ['ann', 'bob']) {
      for (let i = 0; i < 4; i++)
        await step(world, [anIdentify({ user_id: who, email: `${who}${String(i)}@example.com` })]);
    }
    expect(await partition(world)).toHaveLength(2);
    const { result } = await merge(world, user('ann'), user('bob'));
    expect(result?.linksAdded).toBeGreaterThan(1);
    expect(await partition(world)).toHaveLength(1);
    await step(world, [
      anIdentify({ user_id: 'bob', anonymous_id: 'new' }),
      anIdentify({ user_id: 'cay', anonymous_id: 'other' }),
    ]);
    expect(await partition(world)).toHaveLength(2);
    // One address more than five is somebody's own, as ever.
    await step(world, [anIdentify({ user_id: 'ann', email: 'ninth@example.com' })]);
    expect(await strays(world.db)).toEqual([]);
  });

  it('may be named before they are seen', async () => {
    const world = await newWorld();
    expect((await merge(world, user('ann'), mail('ann'))).result).toMatchObject({ profileId: null, linksAdded: 1 });
    await step(world, [aTrack('view', { user_id: 'ann' }), aTrack('view', { user_id: 'bob' })]);
    await step(world, [aTrack('view', { email: 'ann@example.com', anonymous_id: 'x' })]);
    expect(await partition(world)).toEqual(['anonymous_id:x email:ann@example.com user_id:ann', 'user_id:bob']);
  });
});

describe('a profile that somebody says is two', () => {
  it('falls apart, with the old ids, and no evidence joins it again', async () => {
    const world = await newWorld();
    await step(world, [aTrack('view', { anonymous_id: 'a' })]);
    await step(world, [aTrack('view', { user_id: 'ann' })]);
    const [older, younger] = [await profileOf(world, cookie('a')), await profileOf(world, user('ann'))];
    await step(world, [anIdentify({ anonymous_id: 'a', user_id: 'ann' })]);
    expect(await profileOf(world, user('ann'))).toBe(older);
    const before = (await world.feed()).length;
    const { result } = await unmerge(world, user('ann'));
    expect(result).toMatchObject({ profileId: older, apart: [younger], linksAdded: 1 });
    expect(await profileOf(world, user('ann'))).toBe(younger);
    for (const { profileId, cause } of (await world.feed()).slice(before)) {
      expect(cause).toEqual({ kind: 'unmerge', pos: null, profileId: profileId === older ? younger : older });
    }
    await step(world, [anIdentify({ anonymous_id: 'a', user_id: 'ann' }, {}, { timestampMs: START_MS - DAY_MS })]);
    await step(world, [
      anIdentify({ anonymous_id: 'a', email: 'ann@example.com' }),
      anIdentify({ user_id: 'ann', email: 'ann@example.com' }),
    ]);
    expect(await profileOf(world, user('ann'))).toBe(younger);
    expect(await profileOf(world, cookie('a'))).toBe(older);
    // The newer decision counts.
    await merge(world, user('ann'), cookie('a'));
    expect(await partition(world)).toHaveLength(1);
  });

  it('by a past merge: those that it brought, and not those that came later', async () => {
    const world = await newWorld();
    await step(world, [aTrack('view', { anonymous_id: 'a' })]);
    await step(world, [aTrack('view', { user_id: 'ann' })]);
    const younger = await profileOf(world, user('ann'));
    await step(world, [anIdentify({ anonymous_id: 'a', user_id: 'ann' })]);
    await step(world, [anIdentify({ user_id: 'ann', email: 'ann@example.com' })]);
    const [move] = await world.db.query<{ id: string }>('SELECT id FROM identity_moves');
    await decide(world, { kind: 'unmerge', input: { move: move?.id ?? '' } });
    expect(await partition(world)).toEqual(['anonymous_id:a', 'email:ann@example.com user_id:ann']);
    expect(await profileOf(world, mail('ann'))).toBe(younger);
  });
});

describe('a merge that is undone after others, without an event in between', () => {
  it('leaves whoever came after it with whom they were said to be, and brings back all that stood before', async () => {
    const world = await newWorld();
    await step(
      world,
      ['a', 'b', 'c', 'd'].map((name) => aTrack('view', { anonymous_id: name })),
    );
    await merge(world, cookie('a'), cookie('b'));
    await merge(world, cookie('b'), cookie('c'));
    await merge(world, cookie('a'), cookie('d'));
    const [first] = await world.db.query<{ id: string }>('SELECT id FROM identity_moves ORDER BY seq LIMIT 1');
    const { result } = await decide(world, { kind: 'unmerge', input: { move: first?.id ?? '' } });
    expect(result).toMatchObject({ linksAdded: 1, linksRemoved: 1 });
    expect(await partition(world)).toEqual(['anonymous_id:a anonymous_id:d', 'anonymous_id:b anonymous_id:c']);
  });
});

describe('a link that is removed', () => {
  it('leaves what the evidence says', async () => {
    const world = await newWorld();
    await step(world, [aTrack('view', { anonymous_id: 'a' }), aTrack('view', { user_id: 'ann' })]);
    const before = await knownOf(world);
    await merge(world, user('ann'), cookie('a'));
    expect(await partition(world)).toHaveLength(1);
    const [link] = await world.db.query<{ id: string }>('SELECT id FROM identity_links');
    const unlink = { kind: 'unlink', input: { link: link?.id ?? '' } } as const;
    await decide(world, unlink);
    expect(await knownOf(world)).toEqual(before);
    await expect(world.engine.identity.revisions.request(unlink, who)).rejects.toMatchObject({ code: 'CONFLICT' });
  });
});

describe('what cannot be decided', () => {
  it.each([
    ['CONFLICT', 'one profile already', () => ({ kind: 'merge', input: { profiles: ['ann', 'a'] } })],
    [
      'NOT_FOUND',
      'no such profile',
      () => ({ kind: 'merge', input: { profiles: ['ann', '01900000-0000-7000-8000-000000000000'] } }),
    ],
    ['BAD_REQUEST', '2 to 20', () => ({ kind: 'merge', input: { identifiers: [user('ann'), user(' ann')] } })],
    [
      'BAD_REQUEST',
      'stands for nobody: blocked',
      () => ({ kind: 'merge', input: { identifiers: [user('ann'), user('null')] } }),
    ],
    [
      'CONFLICT',
      'nothing would be left',
      () => ({ kind: 'unmerge', input: { profile: 'ann', identifiers: [user('ann'), cookie('a')] } }),
    ],
    [
      'CONFLICT',
      'not of this profile',
      () => ({ kind: 'unmerge', input: { profile: 'ann', identifiers: [user('bob')] } }),
    ],
    [
      'NOT_FOUND',
      'no such merge',
      () => ({ kind: 'unmerge', input: { move: '01900000-0000-7000-8000-000000000000' } }),
    ],
    ['NOT_FOUND', 'no such link', () => ({ kind: 'unlink', input: { link: '01900000-0000-7000-8000-000000000000' } })],
  ])('is refused with what is wrong (%s: %s)', async (code, message, asked) => {
    const world = await newWorld();
    await step(world, [anIdentify({ anonymous_id: 'a', user_id: 'ann' }), aTrack('view', { user_id: 'bob' })]);
    const ann = await profileOf(world, user('ann'));
    const named = JSON.parse(
      JSON.stringify(asked())
        .replaceAll('"profiles":["ann","a"]', `"profiles":["${ann}","${ann}"]`)
        .replaceAll('"profiles":["ann"', `"profiles":["${ann}"`)
        .replaceAll('"profile":"ann"', `"profile":"${ann}"`),
    ) as RevisionInputOf;
    await expect(world.engine.identity.revisions.request(named, who)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message) as unknown,
    });
    expect(await world.db.query('SELECT FROM identity_revisions')).toEqual([]);
  });
});

describe('decisions at random', () => {
  const logOf = (seed: number): LogStep[] =>
    randomLog(randomFrom(seed), {
      steps: 40,
      maxEventsPerStep: 6,
      advancesMs: [0, 1, MINUTE_MS, HOUR_MS],
      historicalShare: 0.2,
      people: 5,
    });

  async function someDecision(world: World, random: Random): Promise<RevisionInputOf | null> {
    const known = await world.db.query<RawIdentifier & { profile: string }>(
      'SELECT ns, value, profile_id AS profile FROM identifiers ORDER BY ns, value',
    );
    const links = await world.db.query<{ id: string }>(
      'SELECT id FROM identity_links WHERE removed_at IS NULL ORDER BY a_id, b_id',
    );
    if (known.length < 4) return null;
    const one = pick(random, known);
    const kind = random();
    if (kind < 0.2 && links.length > 0) return { kind: 'unlink', input: { link: pick(random, links).id } };
    const plain = ({ ns, value }: RawIdentifier) => ({ ns, value });
    if (kind < 0.6) {
      const other = pick(
        random,
        known.filter((each) => each !== one),
      );
      return { kind: 'merge', input: { identifiers: [plain(one), plain(other)] } };
    }
    const others = known.filter((each) => each.profile === one.profile && each !== one);
    return others.length === 0 ? null : { kind: 'unmerge', input: { profile: one.profile, identifiers: [plain(one)] } };
  }

  /** The same events and standing links, the links first. */
  async function replayed(log: readonly LogStep[], of: World): Promise<World> {
    const world = await newWorld();
    const links = await of.db.query<Record<string, unknown>>('SELECT * FROM identity_links WHERE removed_at IS NULL');
    for (const link of links) {
      const names = Object.keys(link);
      await world.db.query(
        `INSERT INTO identity_links (${names.join(', ')}) VALUES (${names.map((_, i) => `$${String(i + 1)}`).join(', ')})`,
        Object.values(link),
      );
    }
    await world.db.query(
      'UPDATE installation SET has_identity_links = true, definitions_version = definitions_version + 1',
    );
    for (const { advanceMs, historical, events } of log) {
      world.clock.advance(advanceMs);
      await world.accept(events, { historical });
    }
    await world.drain();
    return world;
  }

  it.each([201, 202, 203, 204, 205, 206])(
    'leave what the same links, standing from the start, make of the same events (log %i)',
    { timeout: 120_000 },
    async (seed) => {
      const log = logOf(seed);
      const random = randomFrom(seed + 1_000);
      const world = await newWorld();
      let decided = 0;
      for (const [i, { advanceMs, historical, events }] of log.entries()) {
        world.clock.advance(advanceMs);
        await world.accept(events, { historical });
        if (i % 2 === 0) await world.drain();
        const decision = i % 3 === 0 ? await someDecision(world, random) : null;
        if (decision === null) continue;
        // Asked while events wait; by its turn it may no longer be possible.
        await world.engine.identity.revisions.request(decision, who).then(
          () => decided++,
          () => undefined,
        );
        if (i % 2 === 1) await world.engine.worker.runOnce();
      }
      await world.drain();
      expect(decided).toBeGreaterThan(5);
      expect(await world.db.query(`SELECT FROM identity_revisions WHERE status IN ('waiting', 'running')`)).toEqual([]);
      expect(await strays(world.db)).toEqual([]);
      const again = await replayed(log, world);
      expect(await knownOf(world)).toEqual(await knownOf(again));
      for (const each of [world, again]) {
        each.clock.advance(DAY_MS);
        await each.drain();
      }
      expect(await knownOf(world)).toEqual(await knownOf(again));
      await readFeed(world.db);
    },
  );

  it('come out the same with two workers of which one is killed again and again', { timeout: 120_000 }, async () => {
    const log = logOf(211);
    const random = randomFrom(1_211);
    const world = await newWorld();
    const doomed = async () =>
      world.engineOn(await world.test.connect({ entities: [SourceEntity], applicationName: 'doomed' }), {
        maxBatchEvents: 5,
      });
    let second = await doomed();
    for (const [i, { advanceMs, historical, events }] of log.entries()) {
      world.clock.advance(advanceMs);
      await world.accept(events, { historical });
      const decision = i % 3 === 2 ? await someDecision(world, random) : null;
      if (decision !== null) await world.engine.identity.revisions.request(decision, who).catch(() => undefined);
      if (i % 5 !== 4) continue;
      const draining = drainTogether([world.engine.worker, second.worker]);
      if (i > 15) await loseSessions(world.db, 'doomed');
      await draining;
      if (i > 15) {
        await loseSessions(world.db, 'doomed');
        second = await doomed();
      }
    }
    await drainTogether([world.engine.worker, second.worker]);
    expect(await strays(world.db)).toEqual([]);
    const again = await replayed(log, world);
    expect(await knownOf(world)).toEqual(await knownOf(again));
  });
});
