import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_TRAFFIC, planTraffic } from '../../seeds/plan-traffic.js';
import { readSessions } from '../../seeds/record-sessions.js';
import { mapBatch } from '../../src/api/map-tracking-call.js';
import { parseTimestamp } from '../../src/api/parse-timestamp.js';
import { createSegmentPreviews } from '../../src/create-segment-previews.js';
import { parseFeatures } from '../../src/features/parse-features.js';
import { WeftError } from '../../src/platform/errors.js';
import { BackgroundJobReader } from '../../src/schedules/background-job.reader.js';
import { addJobCommands, type SegmentJobTools } from '../../src/segment-job.command.js';
import { addPreviewCommand } from '../../src/segment-preview.command.js';
import { parseSegments } from '../../src/segments/parse-segments.js';
import type { SegmentPreview } from '../../src/segments/segment-preview.model.js';
import type { PreviewAsk, SegmentPreviews } from '../../src/segments/segment-preview.service.js';
import type { TrialAsk } from '../../src/segments/segment.service.js';
import { withTrial } from '../../src/trial-definitions.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { runWith } from '../support/command-runner.js';
import { replayedFeed } from '../support/replayed-feed.js';
import { anIdentify, aTrack, MINUTE_MS, START_MS } from '../support/world.js';

const SEEDS = new URL('../../seeds/', import.meta.url);
const TRAFFIC_MS = 25 * MINUTE_MS;

let world: ApiWorld;
let previews: SegmentPreviews;
/** When the segments of the second half became active. */
let middleMs: number;
let cartAbandoned: string;
/** How many people there are, some of whom have several cookies. */
let people: number;
/** Files that are not applied, by name. */
const drafts = new Map<string, string>();

/** The demo's visitors for 25 minutes; halfway segments become active that were not there before. */
beforeAll(async () => {
  world = await createApiWorld();
  const { db, clock, engine } = world;
  const { definitions, sealer, services } = engine;
  previews = createSegmentPreviews({ db, clock, sealer, definitions, segments: services.segments, minSegmentSize: 50 });
  const seed = (name: string): Promise<string> => readFile(new URL(name, SEEDS), 'utf8');
  await services.features.apply(parseFeatures(await seed('features.yaml'), 'features.yaml'));
  const segments = parseSegments(await seed('segments.yaml'), 'segments.yaml');
  for (const key of ['cart_owners', 'cart_abandoned', 'viewed_not_bought']) {
    const segment = segments.find((each) => each.key === key);
    if (segment === undefined) throw new Error(`the demo has no segment ${key}`);
    await world.defineSegment(key, segment.expression);
    if (key === 'cart_abandoned') cartAbandoned = segment.expression;
  }
  const sessions = await readSessions(new URL('data/web-events.csv.gz', SEEDS).pathname);
  const calls = planTraffic(sessions, { ...DEFAULT_TRAFFIC, startMs: START_MS, seed: 'preview' });
  middleMs = 0;
  for (let next = calls.next().value; next.atMs < START_MS + TRAFFIC_MS;) {
    const untilMs = Math.max(clock.now(), next.atMs) + 1_000;
    clock.advance(untilMs - clock.now());
    const batch = [];
    for (; next.atMs <= untilMs; next = calls.next().value) batch.push(next.call);
    if (middleMs === 0 && clock.now() > START_MS + TRAFFIC_MS / 2) middleMs = await beginHalfway();
    await world.accept(mapBatch({ batch, sentAt: new Date(clock.now()).toISOString() }) as never);
    if (clock.now() % 7 === 0) await world.drain();
  }
  await world.drain();
  clock.advance(6 * MINUTE_MS);
  await world.drain();
  const [row] = await db.query<{ n: number }>('SELECT count(*)::int4 AS n FROM profiles WHERE merged_into IS NULL');
  people = row?.n ?? 0;
});

afterAll(() => world.close());

async function beginHalfway(): Promise<number> {
  await world.drain();
  const at = world.clock.now();
  await world.defineSegment('late_carts', cartAbandoned);
  await world.defineSegment('lingering', 'performed("product_view", "1m")', {
    exitExpression: '!performed("product_view", "3m")',
    minDwellMs: 5 * MINUTE_MS,
  });
  await world.drain();
  world.clock.advance(2);
  await world.drain();
  return at;
}

function preview(segment: TrialAsk, more: Partial<PreviewAsk> = {}): Promise<SegmentPreview> {
  return previews.preview({ segment, fromMs: null, toMs: null, maxProfiles: null, flapsAbove: 1, ...more });
}

/** What the feed was told of a segment, as lines by whoever founded the profile. */
async function told(key: string): Promise<string[]> {
  return world.db
    .query<{ line: string }>(
      `SELECT concat_ws(' ', i.ns || ':' || i.value, c.kind, 'at', c.at, c.cause->>'kind', c.cause->>'pos') AS line
       FROM changes c JOIN segments s ON s.id = c.segment_id JOIN profiles p ON p.id = c.profile_id
       JOIN identifiers i ON i.id = p.founding_id WHERE s.key = $1 ORDER BY c.seq`,
      [key],
    )
    .then((rows) => rows.map(({ line }) => line).sort());
}

/** The same as it would have been. */
async function replayed(segment: TrialAsk, fromMs: number): Promise<string[]> {
  const { segments } = world.engine.services;
  const trial = withTrial(await world.engine.definitions.current(), await segments.trial(segment), () => true);
  const { feed } = await replayedFeed(world, trial.definitions, { fromMs, toMs: world.clock.now() });
  const key = 'key' in segment ? segment.key : '(preview)';
  return Object.entries(feed)
    .flatMap(([who, lines]) =>
      lines.filter((line) => line.split(' ')[1] === key).map((line) => `${who} ${line.replace(` ${key} `, ' ')}`),
    )
    .sort();
}

async function sizeOf(key: string): Promise<number> {
  const { data } = await world.ask<{ segment: { size: number } }>(`{ segment(key: "${key}") { size } }`);
  return data?.segment.size ?? -1;
}

describe('a preview', () => {
  it('of "cart abandoned 5 minutes" over live traffic of the demo is the feed that live processing produced', async () => {
    const feed = await told('cart_abandoned');
    expect(feed.length).toBeGreaterThan(10);
    expect(await replayed({ expression: cartAbandoned }, START_MS - 1)).toEqual(feed);
    const { span, size, profilesSeen, notes, share } = await preview(
      { expression: cartAbandoned },
      { fromMs: START_MS - 1, flapsAbove: 0 },
    );
    const changed = new Set(feed.map((line) => line.split(' ')[0]));
    expect(span).toMatchObject({
      initialSize: 0,
      enters: feed.filter((line) => line.includes(' enter ')).length,
      leaves: feed.filter((line) => line.includes(' leave ')).length,
      silent: 0,
      flapping: { above: 0, profiles: changed.size },
    });
    expect({ size, profilesSeen, notes, share }).toEqual({
      size: await sizeOf('cart_abandoned'),
      profilesSeen: people,
      notes: [
        expect.stringMatching(/^The log has only events that were accepted from 2023-11-14T/),
        expect.stringContaining('are not compared with it: lingering'),
      ],
      share: 1,
    });
    const seconds = new Map<number, number>();
    for (const line of feed) {
      const second = Math.floor(Number(/ at (\d+)/.exec(line)?.[1]) / 1_000) * 1_000;
      seconds.set(second, (seconds.get(second) ?? 0) + 1);
    }
    const most = Math.max(...seconds.values());
    expect(span?.peak).toMatchObject({ changes: most, periodMs: 1_000 });
    expect(seconds.get(span?.peak?.at ?? 0)).toBe(most);
  });

  it('from an instant on is the feed of segments that became active then, also of those that remember', async () => {
    for (const key of ['late_carts', 'lingering']) {
      const feed = await told(key);
      expect(feed.length).toBeGreaterThan(5);
      expect(await replayed({ key }, middleMs), key).toEqual(feed);
      const { span, size } = await preview({ key }, { fromMs: middleMs });
      expect(size).toBe(await sizeOf(key));
      const edits = feed.filter((line) => line.endsWith(' edit')).length;
      expect(edits).toBeGreaterThan(0);
      expect([span?.initialSize, (span?.enters ?? 0) + (span?.leaves ?? 0)]).toEqual([edits, feed.length - edits]);
      expect(span?.days.reduce((sum, { enters, leaves }) => sum + enters + leaves, 0)).toBe(feed.length - edits);
    }
  });

  it('as of now has the members of now and what they have in common with others, and writes nothing', async () => {
    const before = await world.feed();
    const found = await preview({ key: 'cart_abandoned' });
    const members = await world.db.query<{ id: string }>(
      `SELECT profile_id AS id FROM memberships m JOIN segments s ON s.id = m.segment_id WHERE s.key = 'cart_abandoned'`,
    );
    expect(found.size).toBe(members.length);
    expect(found.sample.length).toBe(Math.min(20, members.length));
    expect(members.map(({ id }) => id)).toEqual(expect.arrayContaining([...found.sample]));
    expect(found.span).toBeNull();
    // The one that says the same; what is live of itself is told apart from others.
    const same = { size: found.size, common: found.size, jaccard: 1 };
    expect(found.overlaps[0]).toEqual({ key: 'late_carts', ...same });
    expect(found.overlaps.map(({ key }) => key)).not.toContain('cart_abandoned');
    expect(found.live).toEqual({ size: found.size, entering: 0, leaving: 0 });
    expect(found.warnings.map(({ where }) => where)).toEqual(['late_carts']);
    const owners = found.overlaps.find(({ key }) => key === 'cart_owners');
    expect(owners).toEqual({
      key: 'cart_owners',
      size: await sizeOf('cart_owners'),
      common: found.size,
      jaccard: found.size / (await sizeOf('cart_owners')),
    });
    expect(await world.feed()).toEqual(before);
  });

  it('looks at everybody whom a search finds, also at who is known by an identifier beside that of others alone', async () => {
    // A profile has five phones at most: the sixth is nobody's, and the event hangs on the user.
    for (const digit of '123456') await world.accept([anIdentify({ user_id: 'one', phone: `+44207946000${digit}` })]);
    await world.accept([aTrack('called_us', { user_id: 'one' })]);
    await world.drain();
    const [row] = await world.db.query<{ people: number; idle: number }>(
      `SELECT count(*)::int4 AS people, (count(*) FILTER (WHERE NOT EXISTS (
          SELECT FROM identifiers i JOIN anchor_states a ON a.anchor_id = i.id WHERE i.profile_id = p.id)))::int4 AS idle
       FROM profiles p WHERE merged_into IS NULL`,
    );
    expect(row).toEqual({ people: people + 2, idle: 1 });
    const found = await preview({ expression: '!performed("called_us")' });
    expect([found.profilesSeen, found.profilesTotal]).toEqual([people + 2, people + 2]);
    // No event hangs on them, so they are in nothing, also where the condition would be true of them.
    expect(found.size).toBe(people);
    const before = await preview({ expression: '!performed("called_us")' }, { toMs: world.clock.now() - 1 });
    expect(before.profilesSeen).toBe(people);
    people += 2;
  });

  it('of a sample looks at about as many as asked, says which part they are, and draws the same ones again', async () => {
    const asked = { maxProfiles: Math.floor(people / 2) };
    const [first, again] = [
      await preview({ expression: 'performed("product_view")' }, asked),
      await preview({ expression: 'performed("product_view")' }, asked),
    ];
    expect(again).toEqual(first);
    expect(first.share).toBeCloseTo(asked.maxProfiles / people, 3);
    expect(first.profilesSeen).toBeGreaterThan(0);
    expect(first.profilesSeen).toBeLessThan(people);
  });

  it('is refused with what to do for conditions, keys and times that do not go', async () => {
    const refusal = async (segment: TrialAsk, more?: Partial<PreviewAsk>): Promise<unknown> =>
      preview(segment, more).catch((error: unknown) =>
        error instanceof WeftError ? [error.code, error.where] : error,
      );
    const now = world.clock.now();
    expect(await refusal({ key: 'nobody' })).toEqual(['NOT_FOUND', 'key']);
    expect(await refusal({ expression: 'f.nothing > 1' })).toEqual(['EXPRESSION_INVALID', '1:3']);
    expect(await refusal({ expression: 'segment("cart_owners")', purposes: ['ads'] })).toEqual([
      'BAD_REQUEST',
      'purposes',
    ]);
    const view = { expression: 'performed("product_view")' };
    expect(await refusal(view, { toMs: now + 1 })).toEqual(['BAD_REQUEST', 'to']);
    expect(await refusal(view, { fromMs: now })).toEqual(['BAD_REQUEST', 'from']);
    expect(await refusal(view, { fromMs: now - 367 * 1_440 * MINUTE_MS })).toEqual(['BAD_REQUEST', 'from']);
    expect(await refusal(view, { maxProfiles: 0 })).toEqual(['BAD_REQUEST', 'maxProfiles']);
  });

  it('stops when it is told to, and takes no longer than it may', async () => {
    const asked = { expression: 'performed("product_view")' };
    await expect(preview(asked, { signal: AbortSignal.abort(new Error('stopped')) })).rejects.toThrow('stopped');
    await expect(preview(asked, { timeLimitMs: 0 })).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      where: 'maxProfiles',
    });
  });
});

const QUERY = `query ($segment: SegmentPreviewInput!, $from: DateTime, $asOf: DateTime, $maxProfiles: Int) {
  segmentPreview(segment: $segment, from: $from, asOf: $asOf, maxProfiles: $maxProfiles) {
    from to size profilesSeen share sample { id traits } overlaps { key jaccard }
    span { initialSize enters leaves days { at enters leaves } peak { at changes periodMs } flapping { profiles } }
  }
}`;

describe('segmentPreview', () => {
  it('answers as the service does, with the people themselves', async () => {
    const mail = { user_id: 'previewed', email: 'previewed@example.org' };
    await world.accept([anIdentify(mail, { email: 'previewed@example.org' }), aTrack('read_terms', mail)]);
    await world.drain();
    const variables = { segment: { expression: 'performed("read_terms")' }, from: new Date(START_MS).toISOString() };
    const { data } = await world.ask<{ segmentPreview: { sample: { traits: object }[] } }>(QUERY, variables);
    expect(data?.segmentPreview).toMatchObject({
      from: '2023-11-14T22:13:20.000Z',
      ...{ size: 1, share: 1, sample: [{ traits: { email: 'previewed@example.org' } }] },
      span: { initialSize: 0, enters: 1, leaves: 0, peak: { changes: 1, periodMs: 1_000 } },
    });
  });

  it('refuses what does not go together', async () => {
    const places = async (variables: object): Promise<unknown> =>
      (await world.ask(QUERY, { ...variables })).errors?.map(({ extensions }) => [
        extensions['code'],
        extensions['where'],
      ]);
    const one = { expression: 'performed("x")' };
    expect(await places({ segment: {} })).toEqual([['BAD_REQUEST', 'segment']]);
    expect(await places({ segment: { key: 'cart_owners', minDwell: '1m' } })).toEqual([['BAD_REQUEST', 'segment']]);
    const at = '2023-11-14T22:13:21.000Z';
    expect(await places({ segment: one, from: at, asOf: at })).toEqual([['BAD_REQUEST', 'asOf']]);
    expect(await places({ segment: one, maxProfiles: 20_001 })).toEqual([['BAD_REQUEST', 'maxProfiles']]);
  });
});

describe('weft segment preview', () => {
  const run = (...args: string[]) =>
    runWith(
      (io) =>
        addPreviewCommand(new Command('segment'), {
          ...{ ...io, signal: new AbortController().signal, parseTime: parseTimestamp },
          withPreviews: (use) =>
            use({
              previews,
              segmentsIn: (file) => Promise.resolve(parseSegments(drafts.get(file) ?? '', file)),
              start: (ask) => world.jobs.service.request('preview', { ...ask }, 'ann'),
            }),
        }),
      ['preview', ...args],
    );

  it('says in words and as JSON what it would have done', async () => {
    const from = new Date(START_MS - 1).toISOString();
    const { code, stdout, stderr } = await run('cart_abandoned', '--from', from);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^note: The log has .*\nnote: Segments that remember/);
    const members = await sizeOf('cart_abandoned');
    expect(stdout).toContain(`${String(members)} in it as of `);
    expect(stdout).toMatch(/\n2023-11-14 +\d+ +\d+\n/);
    const json = await run('--condition', cartAbandoned, '--from', from, '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({ size: members, span: { days: [{ day: '2023-11-14' }] } });
  });

  it('takes a segment from a file that is not applied, and holds it against what is live of its key', async () => {
    drafts.set('one.yaml', 'segments: [{ key: cart_owners, expression: performed("product_view") }]');
    drafts.set(
      'two.yaml',
      'segments: [{ key: new_one, expression: performed("product_view") }, { key: other, expression: performed("x") }]',
    );
    const asked = await preview({ expression: 'performed("product_view")' });
    const one = await run('--file', 'one.yaml', '--json');
    const owners = await sizeOf('cart_owners');
    const found = JSON.parse(one.stdout) as SegmentPreview;
    expect(found).toMatchObject({ size: asked.size, live: { size: owners } });
    expect((found.live?.entering ?? 0) - (found.live?.leaving ?? 0)).toBe(asked.size - owners);
    expect(found.overlaps.map(({ key }) => key)).not.toContain('cart_owners');
    const two = await run('new_one', '--file', 'two.yaml', '--json');
    expect(JSON.parse(two.stdout)).toMatchObject({ size: asked.size, live: null });
    const none = await run('--file', 'two.yaml');
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining('name one of them: new_one, other')]);
    const unknown = await run('new_ome', '--file', 'two.yaml');
    expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining('did you mean new_one?')]);
    expect((await run('--file', 'one.yaml', '--condition', 'performed("x")')).code).toBe(2);
  });

  it('leaves it to a worker with --detach, and tells as much once that is done', async () => {
    const { code, stdout } = await run('cart_abandoned', '--detach');
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^Job \S+ waits for a server or a worker\./)]);
    const id = / job (\S+) --follow/.exec(stdout)?.[1] ?? '';
    const { service, runner } = world.jobs;
    const job = (...args: string[]) => {
      const tools: SegmentJobTools = {
        describe: (each) => service.describe(each),
        latest: (limit) => new BackgroundJobReader(world.db).jobs(null, limit, world.clock.now()),
        demand: (each) => service.demand(each),
        cancel: (each) => service.cancel(each),
        ended: async (each) => {
          await runner.look();
          await runner.settled();
          return service.demand(each.id);
        },
      };
      const signal = new AbortController().signal;
      return runWith((io) => {
        const segment = new Command('segment');
        addJobCommands(segment, { ...io, signal, withJobs: (use) => use(tools), withWorker: (use) => use(tools) });
        return segment;
      }, args);
    };
    expect((await job('job', id)).stdout).toBe('waiting\n');
    expect((await job('jobs')).stdout).toMatch(/preview segment cart_abandoned +waiting/);
    const followed = await job('job', id, '--follow');
    const inOne = (await run('cart_abandoned')).stdout;
    expect(followed.code).toBe(0);
    expect(followed.stdout.split('\n')[1]).toBe(inOne.split('\n')[1]);
    expect(followed.stdout).toContain(' in it as of ');
    expect(followed.stdout).not.toContain('Some who are in it');
    expect(JSON.parse((await job('job', id, '--json')).stdout)).toMatchObject({ id, status: 'done', askedBy: 'ann' });
    expect((await job('job', id, '--cancel')).code).toBe(1);
    expect((await job('job', 'x')).code).toBe(2);
  });

  it('ends with 2 for what is no question', async () => {
    for (const args of [
      [],
      ['a', '--condition', 'performed("x")'],
      ['a', '--exit', 'performed("x")'],
      ['a', '--to', '2023-11-14'],
    ]) {
      expect((await run(...args)).code, args.join(' ')).toBe(2);
    }
    expect((await run('cart_abandoned', '--as-of', 'soon')).stderr).toContain('"soon" is no time');
  });
});
