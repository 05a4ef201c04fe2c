import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runWith } from '../support/command-runner.js';
import { acceptLog, pick, randomFrom, randomLog, SOME_FEATURES } from '../support/random-log.js';
import { segmentCommand } from '../../src/segments/segment.command.js';
import { segmentServices } from '../../src/segments/segment-command-services.js';
import type { SegmentRule } from '../../src/segments/segment-rule.model.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { aTrack, createWorld, DAY_MS, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

type Rule = Pick<SegmentRule, 'expression'> & Partial<SegmentRule>;

const RULES: readonly Rule[] = [
  { expression: 'count("view", "1h") >= 1', exitExpression: null, minDwellMs: null },
  { expression: 'f.spend_1d > 20', exitExpression: 'f.spend_1d < 5', minDwellMs: null },
  { expression: 'performed("cart", "2h")', exitExpression: null, minDwellMs: 90 * MINUTE_MS },
  { expression: '!performed("buy")', exitExpression: 'count("view", "1h") >= 2', minDwellMs: 10 * MINUTE_MS },
];

const LIVE = 'live_twin';
const SHADOW = 'shadow_twin';

async function write(world: World, key: string, rule: Rule): Promise<void> {
  await world.engine.services.segments.upsert({ key, name: key, description: '', tags: [], ...rule });
}

/** `profile since version`, of a segment or, by its negative id, of its shadow. */
async function membersOf(world: World, key: string, inShadow = false): Promise<string[]> {
  const rows = await world.db.query<{ id: string; since: number }>(
    `SELECT m.profile_id AS id, m.since FROM memberships m JOIN segments s
     ON m.segment_id = CASE WHEN $2 THEN -s.id ELSE s.id END WHERE s.key = $1 ORDER BY 1`,
    [key, inShadow],
  );
  return rows.map(({ id, since }) => `${id} ${String(since)}`);
}

const namesOf = (members: readonly string[]): string[] => members.map((member) => member.split(' ')[0] ?? '');

async function settle(world: World): Promise<void> {
  await world.drain();
  world.clock.advance(1);
  await world.drain();
}

describe('a shadow', () => {
  it.each([1, 2, 3, 4, 5, 6])(
    'has the members that the same rule has live, through merges, timers and edits, and is told to nobody (log %i)',
    async (seed) => {
      const world = await createWorld(START_MS);
      try {
        const random = randomFrom(seed);
        const { segments } = world.engine.services;
        await world.defineFeatures(SOME_FEATURES);
        const log = randomLog(random, {
          steps: 40,
          maxEventsPerStep: 5,
          advancesMs: [0, 1, MINUTE_MS, HOUR_MS],
          historicalShare: 0.2,
          people: 4,
        });
        const change = async (): Promise<void> => {
          const rule = pick(random, RULES);
          for (const key of [LIVE, SHADOW]) await write(world, key, rule);
          await segments.activate(LIVE);
          await segments.shadow(SHADOW);
        };
        await change();
        const edits = new Set([11, 23]);
        await acceptLog(world, log, async (index) => {
          if (edits.has(index)) await change();
          if (random() < 0.5) await world.drain();
        });
        await settle(world);
        world.clock.advance(Math.floor(random() * DAY_MS));
        await settle(world);

        const live = await membersOf(world, LIVE);
        expect(await membersOf(world, SHADOW, true)).toEqual(live);
        expect(await membersOf(world, SHADOW)).toEqual([]);
        const feed = await world.feed();
        expect(feed.some(({ segment }) => segment === LIVE)).toBe(true);
        expect(feed.filter(({ segment }) => segment !== LIVE)).toEqual([]);

        // Activated, it has whom it had, also those who only stayed.
        await segments.activate(SHADOW);
        await settle(world);
        const stayed = namesOf(await membersOf(world, LIVE));
        expect(namesOf(await membersOf(world, SHADOW))).toEqual(stayed);
        expect(await membersOf(world, SHADOW, true)).toEqual([]);
        const entered = (await world.feed()).filter(({ segment }) => segment === SHADOW);
        expect(entered.map(({ kind, cause }) => `${kind} ${cause.kind}`)).toEqual(stayed.map(() => 'enter edit'));
      } finally {
        await world.close();
      }
    },
  );
});

describe('trying a new version of a live segment', () => {
  let world: ApiWorld;

  beforeAll(async () => {
    world = await createApiWorld();
    await write(world, 'keen', { expression: 'count("view", "1h") >= 2' });
    await world.engine.services.segments.activate('keen');
    const views = (who: string, n: number) =>
      Array.from({ length: n }, () => aTrack('view', { user_id: who }, { properties: { sku: 'a' } }));
    await world.accept([...views('ann', 1), ...views('bob', 2), ...views('cy', 3)]);
    await settle(world);
    await write(world, 'keen', { expression: 'count("view", "1h") != 2' });
  });

  afterAll(() => world.close());

  const weftSegment = (...args: string[]) =>
    runWith(
      (io) =>
        segmentCommand({
          ...io,
          user: 'ann',
          clock: world.clock,
          withSegments: (use) => use(segmentServices(world.db, world.engine.services.segments, world)),
        }),
      args,
    );

  interface Shown {
    readonly stage: string;
    readonly size: number;
    readonly shadow: unknown;
    readonly progress: unknown;
  }

  const shown = async (): Promise<Shown> =>
    (
      await world.data<{ segment: Shown }>(
        `{ segment(key: "keen") { stage size shadow { version size entering leaving }
           progress { eventsDone eventsTotal profilesLeft } } }`,
      )
    ).segment;

  it('tells whom it would have, how far it is, and shows no profile in it', async () => {
    expect(await shown()).toMatchObject({ stage: 'ACTIVE', size: 2, shadow: null, progress: { profilesLeft: 0 } });
    const shadowed = await world.data<{ shadowSegment: unknown }>(
      `mutation { shadowSegment(key: "keen") { ... on Segment { key activeVersion shadow { version } } } }`,
    );
    expect(shadowed.shadowSegment).toEqual({ key: 'keen', activeVersion: 1, shadow: { version: 2 } });
    expect(await shown()).toMatchObject({ progress: { profilesLeft: 3 } });
    await settle(world);
    const { progress, ...rest } = await shown();
    expect(rest).toEqual({ stage: 'ACTIVE', size: 2, shadow: { version: 2, size: 2, entering: 1, leaving: 1 } });
    expect(progress).toMatchObject({ profilesLeft: 0 });
    const { profile } = await world.data<{ profile: { segments: unknown[] } }>(
      `{ profile(identifier: { namespace: "user_id", value: "ann" }) { segments { segment { key } } } }`,
    );
    expect(profile.segments).toEqual([]);
    expect((await weftSegment('show', 'keen')).stdout).toContain(
      '  shadow   version 2: 2 members, 1 would enter, 1 leave\n',
    );
  });

  it('ends without a trace', async () => {
    const before = (await world.feed()).length;
    expect((await weftSegment('shadow', 'keen', '--end')).stdout).toBe(
      'Nothing of segment keen is evaluated in the shadow.\n',
    );
    await settle(world);
    expect(await membersOf(world, 'keen', true)).toEqual([]);
    expect(await shown()).toMatchObject({ size: 2, shadow: null });
    expect(await world.feed()).toHaveLength(before);
  });

  it('is refused of what is live, and of a reference that is not', async () => {
    await world.engine.services.segments.activate('keen');
    const refused = await weftSegment('shadow', 'keen');
    expect(refused.stderr).toContain('segment keen is live in its last version, 2');
    await write(world, 'draft_only', { expression: 'performed("view")' });
    await write(world, 'on_a_draft', { expression: 'segment("draft_only")' });
    const { shadowSegment } = await world.data<{ shadowSegment: unknown }>(
      `mutation { shadowSegment(key: "on_a_draft") { __typename ... on Failure { message } } }`,
    );
    expect(shadowSegment).toMatchObject({ __typename: 'InvalidDefinition' });
  });

  it('waits where what it refers to is archived, and holds nobody up', async () => {
    const { segments } = world.engine.services;
    await write(world, 'on_keen', { expression: 'segment("keen")' });
    await segments.shadow('on_keen');
    await settle(world);
    expect(await membersOf(world, 'on_keen', true)).toHaveLength(2);
    await segments.archive('keen');
    await settle(world);
    expect(await membersOf(world, 'on_keen', true)).toEqual([]);
    await world.accept([aTrack('view', { user_id: 'dan' })]);
    await settle(world);
    expect((await world.feed()).at(-1)).toMatchObject({ segment: 'keen', kind: 'leave' });
  });
});
