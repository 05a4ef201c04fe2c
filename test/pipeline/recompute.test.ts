import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { SegmentWork } from '../../src/segments/recompute.model.js';
import { Command } from 'commander';
import { createSegmentJobs } from '../../src/create-segment-jobs.js';
import { WeftError } from '../../src/platform/errors.js';
import { ListReader } from '../../src/profiles/list.reader.js';
import { addScheduleSegmentCommands } from '../../src/schedule-segments.command.js';
import type { ScheduleRun } from '../../src/schedules/schedule.model.js';
import { ScheduleReader } from '../../src/schedules/schedule.reader.js';
import { ScheduleRunner } from '../../src/schedules/schedule-runner.js';
import { snapshotKey } from '../../src/snapshot-job.js';
import { listsOf } from '../support/list-parts.js';
import { addRecomputeCommands } from '../../src/segments/segment-recompute.command.js';
import { profilesLeftSql } from '../../src/segments/count-profiles-left.js';
import { checkSegmentWork } from '../../src/monitoring/check-segment-work.js';
import { SegmentHistoryStore } from '../../src/segments/segment-history.store.js';
import { TimerStore } from '../../src/segments/timer.store.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { runWith, type CommandOutcome } from '../support/command-runner.js';
import { aTrack, HOUR_MS, MINUTE_MS } from '../support/world.js';

const PEOPLE = 12;
const AT_ONCE = 5;

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld({ limits: { maxRecomputedProfiles: AT_ONCE, maxBatchTimers: 4 } });
  await world.defineSegment('viewers', 'performed("view")');
  await world.defineSegment('fresh', 'performed("view", "10m")');
  await world.accept(people().map((user) => aTrack('view', { user_id: user })));
  world.clock.advance(1);
  await settle();
});

afterAll(() => world.close());

afterEach(async () => {
  await work().resume();
  await settle();
  expect((await work().read()).recompute?.status ?? 'done').not.toBe('running');
});

const work = () => world.engine.segmentWork;
const people = (): string[] => Array.from({ length: PEOPLE }, (_, i) => `p${String(i).padStart(2, '0')}`);

const ask = (field: string, more = ''): Promise<Record<string, unknown>> =>
  world.data<Record<string, unknown>>(`${field} { ${more} }`);

/** Rounds until nothing is left, each a millisecond later than the one before. */
async function settle(engine = world.engine): Promise<void> {
  for (let i = 0; i < 100; i++) {
    await engine.worker.drain();
    const { profilesLeft, recompute } = await work().read();
    if (profilesLeft === 0 && recompute?.status !== 'running' && recompute?.status !== 'waiting') return;
    world.clock.advance(1);
  }
  throw new Error('it does not come to an end');
}

/** Rounds until so many profiles have been evaluated anew. */
async function until(isReached: (now: SegmentWork) => boolean): Promise<SegmentWork> {
  for (let i = 0; i < 200; i++) {
    const now = await work().read();
    if (isReached(now)) return now;
    if (!(await world.engine.worker.runOnce())) world.clock.advance(1);
  }
  throw new Error('it is not reached');
}

const fired = (): number => world.batches.reduce((sum, { timers }) => sum + timers, 0);

async function members(key: string): Promise<number> {
  const [row] = await world.db.query<{ n: number }>(
    'SELECT count(*)::int4 AS n FROM memberships m JOIN segments s ON s.id = m.segment_id WHERE s.key = $1',
    [key],
  );
  return row?.n ?? -1;
}

async function waiting(): Promise<number> {
  const [row] = await world.db.query<{ n: number }>('SELECT count(*)::int4 AS n FROM timers WHERE sweep IS NOT NULL');
  return row?.n ?? -1;
}

/** As if memberships had been lost, which is what is doubted. */
async function loseMembers(key: string, count: number): Promise<void> {
  await world.db.query(
    `DELETE FROM memberships WHERE (profile_id, segment_id) IN (
       SELECT m.profile_id, m.segment_id FROM memberships m JOIN segments s ON s.id = m.segment_id
       WHERE s.key = $1 ORDER BY 1 LIMIT $2)`,
    [key, count],
  );
}

describe('a recomputation', () => {
  it('evaluates everybody once, and tells what it finds with a cause of its own', async () => {
    await loseMembers('viewers', 3);
    await loseMembers('fresh', 2);
    const { length } = await world.feed();
    const before = fired();
    expect(await work().recompute(['viewers'])).toMatchObject({
      status: 'waiting',
      segments: ['viewers'],
      total: null,
    });
    await settle();
    expect((await work().read()).recompute).toMatchObject({
      status: 'done',
      total: PEOPLE,
      done: PEOPLE,
      left: 0,
      changes: 3,
    });
    expect(fired() - before).toBe(PEOPLE);
    const found = (await world.feed()).slice(length);
    expect(found.map(({ kind, segment, cause }) => `${kind} ${segment} ${cause.kind}`).sort()).toEqual([
      ...Array.from({ length: 2 }, () => 'enter fresh recompute'),
      ...Array.from({ length: 3 }, () => 'enter viewers recompute'),
    ]);
    expect(await members('viewers')).toBe(PEOPLE);
    // Nobody did any of this: for the watch it is like an edit, and not a sudden rise of what people do.
    while (!(await new SegmentHistoryStore(world.db).count(world.clock.now())));
    const counted = await world.db.query<{ key: string; entered: number; edited: number }>(
      `SELECT s.key, sum(p.entered)::int4 AS entered, sum(p.edited)::int4 AS edited
       FROM segment_periods p JOIN segments s ON s.id = p.segment_id
       WHERE p.step_ms = 3600000 AND s.key IN ('fresh', 'viewers') GROUP BY s.key ORDER BY s.key`,
    );
    expect(counted).toEqual([
      { key: 'fresh', entered: PEOPLE + 2, edited: 2 },
      { key: 'viewers', entered: PEOPLE + 3, edited: 3 },
    ]);
  });

  it('finds nothing where there is nothing to find, and leaves the instants at which time changes something', async () => {
    const { length } = await world.feed();
    await work().recompute([]);
    await settle();
    expect((await work().read()).recompute).toMatchObject({ status: 'done', changes: 0, done: PEOPLE, segments: [] });
    expect((await world.feed()).slice(length)).toEqual([]);
    const [row] = await world.db.query<{ n: number }>('SELECT count(*)::int4 AS n FROM timers WHERE sweep IS NULL');
    expect(row?.n).toBe(PEOPLE);
  });

  it('joins another that was asked for before it begins, and comes once more where one has begun', async () => {
    const [one, two] = await Promise.all([work().recompute(['viewers']), work().recompute(['fresh'])]);
    expect(two.id).toBe(one.id);
    expect((await work().read()).recompute?.segments).toEqual(['fresh', 'viewers']);
    const three = await work().recompute([]);
    expect(three).toMatchObject({ id: one.id, segments: [] });
    await until(({ recompute }) => recompute?.status === 'running' && recompute.done > 0);
    const requestId = '01900000-0000-7000-8000-000000000001';
    const next = await work().recompute(['fresh'], requestId);
    expect(next.id).not.toBe(one.id);
    expect((await work().recompute(['fresh'], requestId)).id).toBe(next.id);
    expect(await work().read()).toMatchObject({ recompute: { id: one.id }, nextRecompute: { id: next.id } });
    await settle();
    expect((await work().read()).recompute).toMatchObject({ id: next.id, status: 'done', done: PEOPLE });
    // Asked by the same once more, as after a crash, it is the one that was done.
    expect((await work().recompute(['fresh'], requestId)).id).toBe(next.id);
  });

  it('rests between batches in every process, with live traffic going on, and is gone on with where it was', async () => {
    const before = fired();
    await work().recompute([]);
    const { recompute } = await until((now) => (now.recompute?.done ?? 0) >= AT_ONCE);
    const { pausedSince } = await work().pause();
    expect(pausedSince).toBe(world.clock.now());
    for (let i = 0; i < 20; i++) {
      world.clock.advance(1);
      await world.engine.worker.drain();
    }
    const resting = (await work().read()).recompute;
    // Whoever had a turn is evaluated still, and nobody else.
    expect(resting?.status).toBe('running');
    expect((resting?.done ?? 0) - (recompute?.done ?? 0)).toBeLessThanOrEqual(AT_ONCE);
    expect(resting?.left).toBeGreaterThan(0);
    const { length } = await world.feed();
    await world.accept([aTrack('view', { user_id: 'late' })]);
    await world.engine.worker.drain();
    expect(
      (await world.feed())
        .slice(length)
        .map(({ segment }) => segment)
        .sort(),
    ).toEqual(['fresh', 'viewers']);

    await world.engine.worker.stop();
    const other = await world.another({ maxRecomputedProfiles: AT_ONCE });
    for (let i = 0; i < 20; i++) {
      world.clock.advance(1);
      await other.worker.drain();
    }
    expect((await work().read()).recompute?.done).toBe(resting?.done);
    await work().resume();
    world.clock.advance(1_000);
    await settle(other);
    const over = (await work().read()).recompute;
    expect(over?.status).toBe('done');
    // Those whom it passed are not evaluated again. Who came meanwhile may have been passed, or not.
    expect([PEOPLE, PEOPLE + 1]).toContain(over?.done);
    expect(fired() - before).toBe(over?.done);
    await other.worker.stop();
    const again = await world.another({ maxRecomputedProfiles: AT_ONCE, maxBatchTimers: 4 });
    Object.assign(world, { engine: again });
  });

  it('is cancelled with whoever was evaluated left as they are', async () => {
    await loseMembers('viewers', PEOPLE + 1);
    await work().recompute([]);
    await until(({ recompute }) => (recompute?.done ?? 0) >= 2);
    await work().cancel();
    await settle();
    const { recompute } = await work().read();
    expect(recompute?.status).toBe('cancelled');
    expect(recompute?.done).toBeLessThan(PEOPLE);
    expect(await members('viewers')).toBeGreaterThanOrEqual(2);
    expect(await members('viewers')).toBe(recompute?.done);
    await expect(work().cancel()).rejects.toMatchObject({ code: 'CONFLICT', message: 'nothing is being recomputed' });
    await work().recompute([]);
    await settle();
    expect(await members('viewers')).toBe(PEOPLE + 1);
  });

  it('has only so many of its people in a batch, and whoever is due by time goes before them', async () => {
    const timers = new TimerStore();
    const parts = Array.from({ length: 1_024 }, (_, part) => part);
    await work().recompute([]);
    const now = (): number => world.clock.now() + 1;
    const waits = async (): Promise<boolean> => (await timers.waiting(world.db, parts, 3)) === 3;
    for (let i = 0; i < 20 && !(await waits()); i++) await world.engine.worker.runOnce();
    const some = await timers.due(world.db, parts, now(), 100, 2);
    expect(some.filter(({ isBulk }) => isBulk)).toHaveLength(2);
    expect(some.slice(-2).every(({ isBulk }) => isBulk)).toBe(true);
    expect(await timers.due(world.db, parts, now(), 1, 2)).toHaveLength(1);
    const all = await timers.due(world.db, parts, now(), 100);
    expect(all.filter(({ isBulk }) => isBulk).length).toBeGreaterThan(2);
  });

  it('is withdrawn by who asked for it, unless somebody else wants it, too', async () => {
    const [mine, others] = ['01900000-0000-7000-8000-000000000002', '01900000-0000-7000-8000-000000000003'];
    const alone = await work().recompute(['viewers'], mine);
    await work().withdraw(others);
    expect((await work().demand(alone.id)).status).toBe('waiting');
    await work().withdraw(mine);
    expect((await work().demand(alone.id)).status).toBe('cancelled');
    // Asked for again by the same, as by one more attempt, it stays withdrawn.
    expect(await work().recompute(['viewers'], mine)).toMatchObject({ id: alone.id, status: 'cancelled' });

    const shared = await work().recompute(['viewers'], others);
    expect((await work().recompute(['fresh'])).id).toBe(shared.id);
    await work().withdraw(others);
    expect((await work().demand(shared.id)).status).toBe('waiting');
    await settle();
    expect((await work().demand(shared.id)).status).toBe('done');
    await work().withdraw(others);
    expect((await work().demand(shared.id)).status).toBe('done');
  });

  it('tells how many are left exactly as far as it counts, and beyond that by the share of partitions', async () => {
    const left = async (maxCounted?: number): Promise<number | undefined> => {
      const [row] = await world.db.query<{ n: number }>(`SELECT ${profilesLeftSql(maxCounted)} AS n`);
      return row?.n;
    };
    expect([await left(), await left(1)]).toEqual([0, 0]);
    await world.db.execute('ANALYZE profiles');
    const [all] = await world.db.query<{ n: number }>('SELECT count(*)::int8 AS n FROM profiles');
    await world.db.execute('UPDATE partitions SET swept_version = swept_version - 1');
    expect([await left(), await left(all?.n), await left(3)]).toEqual([all?.n, all?.n, all?.n]);
    const half = 'UPDATE partitions SET swept_version = swept_version + 1 WHERE part % 2 = 0';
    const [share] = await world.db.query<{ n: number }>(
      'SELECT count(*) FILTER (WHERE part % 2 = 1) / count(*)::float8 AS n FROM partitions',
    );
    await world.db.execute(half);
    // Fewer than were counted there cannot be.
    expect(await left(1)).toBe(Math.max(2, Math.ceil((all?.n ?? 0) * (share?.n ?? 0))));
    await world.db.execute('UPDATE partitions SET swept_version = swept_version - 1 WHERE part % 2 = 0');
    await world.db.execute('UPDATE partitions SET swept_version = swept_version + 1');
  });

  it('is refused for segments that nobody is evaluated for', async () => {
    await world.engine.services.segments.upsert({
      key: 'drafted',
      name: 'drafted',
      description: '',
      tags: [],
      expression: 'performed("view")',
    });
    await expect(work().recompute(['drafted'])).rejects.toMatchObject({ code: 'CONFLICT', where: 'keys' });
    await expect(work().recompute(['viewer'])).rejects.toMatchObject({
      code: 'NOT_FOUND',
      hint: expect.stringContaining('viewers') as string,
    });
  });
});

describe('a change of definitions', () => {
  it('waits where work on segments rests, with the history that it reads, and cannot be cancelled', async () => {
    await work().pause();
    await world.defineSegment('often', 'distinct("view", "properties.sku", "7d") == 0');
    await world.engine.worker.drain();
    world.clock.advance(1);
    await world.engine.worker.drain();
    expect((await work().read()).eventsLeft).toBeGreaterThan(0);
    expect(await members('often')).toBe(0);
    await expect(work().cancel()).rejects.toMatchObject({
      code: 'CONFLICT',
      hint: expect.stringContaining('weft segment restore') as string,
    });
    await work().resume();
    await settle();
    expect(await members('often')).toBe(PEOPLE + 1);
    expect(await work().read()).toMatchObject({ eventsLeft: 0, profilesLeft: 0 });
  });

  it('has nobody evaluated twice for whom it began after the recomputation', async () => {
    await work().recompute([]);
    await until(({ recompute }) => recompute?.status === 'running');
    await world.defineSegment('bought', 'performed("buy")');
    const before = fired();
    await settle();
    const { recompute } = await work().read();
    expect(recompute).toMatchObject({ status: 'done', done: PEOPLE + 1 });
    expect(fired() - before).toBeLessThanOrEqual(PEOPLE + 1 + AT_ONCE);
  });
});

describe('a person who looks after it', () => {
  const WORK =
    'pausedSince eventsLeft profilesLeft recompute { status segments total done left changes } nextRecompute { id }';

  const weft = (...args: string[]): Promise<CommandOutcome> =>
    runWith(
      (io) =>
        addRecomputeCommands(new Command('segment'), {
          ...io,
          signal: new AbortController().signal,
          withWork: (use) => use(work()),
          withWorker: async (use) => {
            const used = use(work());
            await until(({ recompute }) => recompute?.status !== 'cancelled');
            await settle();
            return used;
          },
        }),
      args,
    );

  it('asks for it, has it rest and go on, and ends it over the API', async () => {
    const asked = await ask(
      'mutation { recomputeSegments(keys: ["viewers"])',
      '... on SegmentRecompute { status segments total } ... on Failure { message hint } }',
    );
    expect(asked).toEqual({ recomputeSegments: { status: 'WAITING', segments: ['viewers'], total: null } });
    expect(await ask('mutation { pauseSegmentWork', `${WORK} }`)).toMatchObject({
      pauseSegmentWork: { pausedSince: expect.any(String) as string, recompute: { status: 'WAITING' } },
    });
    expect(await ask('mutation { resumeSegmentWork', `${WORK} }`)).toMatchObject({
      resumeSegmentWork: { pausedSince: null },
    });
    const END = '... on SegmentWork { recompute { status } } ... on Failure { code message } }';
    expect(await ask('mutation { cancelSegmentRecompute', END)).toEqual({
      cancelSegmentRecompute: { recompute: { status: 'CANCELLED' } },
    });
    expect(await ask('mutation { cancelSegmentRecompute', END)).toEqual({
      cancelSegmentRecompute: { code: 'CONFLICT', message: 'nothing is being recomputed' },
    });
    expect(await ask('{ segmentWork', `${WORK} }`)).toMatchObject({
      segmentWork: { eventsLeft: 0, profilesLeft: 0, recompute: { status: 'CANCELLED', done: 0 } },
    });
  });

  it('does the same on the command line, and follows it to its end', async () => {
    const followed = await weft('recompute', '--all', '--follow');
    expect(followed).toMatchObject({ code: 0 });
    expect(followed.stdout).toMatch(/^all segments: done 20\S+Z; 13 profiles evaluated, 0 changes, [\d.]+ a second\n$/);
    expect((await weft('recompute', 'viewers', '--json')).stdout).toContain('"status": "waiting"');
    expect((await weft('recompute', '--pause')).stdout).toContain('Paused since');
    expect((await weft('progress')).stdout).toContain('recompute    viewers: waiting for its turn');
    expect((await checkSegmentWork(world.db, world.clock.now())).outcome).toBe('ok');
    expect(await checkSegmentWork(world.db, world.clock.now() + HOUR_MS)).toMatchObject({
      outcome: 'warning',
      hint: '`weft segment recompute --resume` has it go on.',
    });
    expect((await weft('recompute', '--resume')).stdout).not.toContain('Paused');
    expect((await weft('recompute', '--cancel')).stdout).toContain('viewers: cancelled');
    expect(await weft('recompute', '--cancel')).toMatchObject({ code: 1 });
    expect(await weft('recompute', 'viewers', '--all')).toMatchObject({ code: 2 });
    expect(await weft('recompute')).toMatchObject({ code: 2, stderr: expect.stringContaining('--all') as string });
  });
});

describe('by the clock', () => {
  const HOURLY = { cron: '0 * * * *', zone: 'UTC', maxAttempts: 2, timeoutMs: 6 * HOUR_MS } as const;
  const service = () => world.services.schedules;
  let runner: ScheduleRunner;

  beforeAll(() => {
    const { db, clock, engine } = world;
    const kinds = createSegmentJobs({
      ...{ db, clock, sources: world.services.sources, accept: engine.accept },
      ...{ segments: engine.services.segments, segmentWork: engine.segmentWork },
      // What they wait for is done by the test.
      sleep: (_, signal) => new Promise((resolve) => setTimeout(resolve, 2)).then(() => signal.throwIfAborted()),
    });
    const observer = {
      ended: () => undefined,
      missed: () => undefined,
      defect: (error: unknown) => world.defects.push(error),
    };
    runner = new ScheduleRunner({ db, clock, kinds, observer, onError: (error) => world.defects.push(error) });
  });
  afterAll(async () => {
    await runner.stop();
    expect(world.defects).toEqual([]);
  });

  /** Asks for a run, and works until it is over. */
  async function ran(key: string): Promise<ScheduleRun | undefined> {
    const { id } = await service().run(key);
    const reader = new ScheduleReader(world.db);
    for (let i = 0; i < 400; i++) {
      await runner.look();
      const run = await reader.run(id);
      if (run?.finishedAt !== null) return run ?? undefined;
      if (run.errorMessage !== null) throw new Error(run.errorMessage);
      await settle();
      // Snapshots end by themselves; recomputations are asked how far they are.
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error('the run does not end');
  }

  it('evaluates everybody anew, once in a run, and keeps what came of it', async () => {
    await service().add({ ...HOURLY, key: 'nightly', kind: 'recompute', job: { segments: ['viewers'] } });
    expect(await ran('nightly')).toMatchObject({
      status: 'done',
      total: PEOPLE + 1,
      result: { segments: ['viewers'], people: PEOPLE + 1, changes: 0 },
    });
    const [asked] = await world.db.query<{ n: number }>(
      `SELECT count(*)::int4 AS n FROM segment_recomputes
       WHERE request_ids && ARRAY(SELECT id FROM schedule_runs WHERE schedule_key = 'nightly')`,
    );
    expect(asked).toEqual({ n: 1 });
  });

  it('ends it where the run is cancelled, unless somebody else asked for it, too', async () => {
    for (const joins of [false, true]) {
      await service().run('nightly');
      await runner.look();
      await until(({ recompute }) => recompute?.status === 'running' || recompute?.status === 'waiting');
      if (joins) await work().recompute([]);
      expect(await service().cancel('nightly')).toMatchObject({ status: 'cancelled' });
      const { recompute, nextRecompute } = await work().read();
      expect([recompute, nextRecompute].some((each) => each?.status === 'waiting' || each?.status === 'running')).toBe(
        joins,
      );
      await runner.look();
      await runner.settled();
      await settle();
    }
  });

  it('does nothing for segments that ask models where none does, and says which segments and models it does not know', async () => {
    await service().add({ ...HOURLY, key: 'daily', kind: 'refresh', job: { models: [] } });
    expect(await ran('daily')).toMatchObject({ status: 'done', note: 'no live segment asks such a model' });
    await expect(
      service().add({ ...HOURLY, key: 'x', kind: 'refresh', job: { models: ['churn'] } }),
    ).rejects.toMatchObject({ code: 'NOT_FOUND', where: 'models' });
    await expect(
      service().add({ ...HOURLY, key: 'x', kind: 'recompute', job: { segments: ['viewer'] } }),
    ).rejects.toMatchObject({ code: 'NOT_FOUND', hint: expect.stringContaining('viewers') as string });
  });

  it('keeps who is in a segment as lists, the latest few, and what an attempt that was killed left is made anew', async () => {
    await service().add({
      ...HOURLY,
      key: 'kept',
      kind: 'snapshot',
      job: { segment: 'viewers', list: 'seen', keep: 2 },
    });
    const lists = new ListReader(world.db);
    const own = async () => (await lists.all()).map(({ key }) => key).filter((key) => key.startsWith('seen_'));
    const made: string[] = [];
    for (let i = 0; i < 3; i++) {
      world.clock.advance(HOUR_MS);
      await settle();
      const key = snapshotKey('seen', world.clock.now());
      if (i === 1) {
        // As a process that is killed leaves it.
        await listsOf(world).upsert({ key, name: 'half', description: '' });
        await listsOf(world).begin(key, 'replace', { segment: 'viewers', version: 1, at: world.clock.now() });
        world.clock.advance(1);
      }
      made.push(key);
      expect(await ran('kept')).toMatchObject({ status: 'done', result: { list: key, taken: PEOPLE + 1, refused: 0 } });
      await settle();
    }
    expect(await own()).toEqual(made.slice(1));
    for (const job of [
      { segment: 'viewers', list: 'Seen', keep: 1 },
      { segment: 'viewers', list: null, keep: 101 },
      { segment: 'nobody', list: null, keep: null },
    ]) {
      await expect(service().add({ ...HOURLY, key: 'x', kind: 'snapshot', job })).rejects.toThrow(WeftError);
    }
  });

  it('is made, and ended, over the API and on the command line', async () => {
    const made = await ask(
      'mutation { createSnapshotSchedule(schedule: { key: "monthly", cron: "@monthly", segment: "viewers" })',
      '... on Schedule { kind does } ... on Failure { message } }',
    );
    expect(made).toEqual({
      createSnapshotSchedule: {
        kind: 'snapshot',
        does: 'keep who is in viewers as a list viewers_…, the latest 12',
      },
    });
    const refused = await ask(
      'mutation { createRefreshSchedule(schedule: { key: "fresh", cron: "@daily", models: ["churn"] })',
      '... on Schedule { does } ... on NotFound { message where } }',
    );
    expect(refused).toEqual({ createRefreshSchedule: { message: 'there is no model churn', where: 'models' } });
    expect(
      await ask(
        'mutation { cancelScheduleRun(key: "monthly")',
        '... on ScheduleRun { status } ... on Conflict { message } }',
      ),
    ).toEqual({ cancelScheduleRun: { message: 'no run of monthly is under way' } });
    const command = (...args: string[]) =>
      runWith(
        (io) =>
          addScheduleSegmentCommands(new Command('schedule'), {
            ...io,
            add: async (schedule) => {
              const { key, nextDueAt } = await service().add(schedule);
              return { text: `${key} ${service().describe(schedule)}\n`, json: { key, nextDueAt } };
            },
          }),
        args,
      );
    expect((await command('add-recompute', 'sundays', 'viewers', '--cron', '0 3 * * 0')).stdout).toBe(
      'sundays evaluate everybody anew for viewers\n',
    );
    expect(await command('add-snapshot', 'many', 'viewers', '--cron', '@daily', '--keep', '0')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('keep 1 to 100') as string,
    });
  });
});

describe('live traffic', () => {
  it('is ahead of whoever is evaluated anew: events by a batch, timers within each', async () => {
    world.clock.advance(20 * MINUTE_MS);
    await settle();
    await work().recompute([]);
    // As many as may wait do, and are due a millisecond from now. Then somebody comes whose timer is due after all of them.
    await world.engine.worker.drain();
    expect(await waiting()).toBe(AT_ONCE);
    await world.accept([aTrack('view', { user_id: 'new' })]);
    await world.engine.worker.drain();
    world.clock.advance(10 * MINUTE_MS + 1);
    const { length } = world.batches;
    const told = (await world.feed()).length;
    await world.accept([aTrack('view', { user_id: 'p07' })]);
    await world.engine.worker.runOnce();
    const [events, timers] = world.batches.slice(length);
    expect(events).toMatchObject({ events: 1 });
    expect(timers).toMatchObject({ timers: 4 });
    const changes = (await world.feed())
      .slice(told)
      .map(({ kind, segment, cause }) => `${kind} ${segment} ${cause.kind}`);
    expect(changes).toEqual(['enter fresh event', 'leave fresh timer']);
    expect(await waiting()).toBeGreaterThan(0);
  });
});
