import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createBackgroundJobs, type BackgroundJobs } from '../../src/create-background-jobs.js';
import { newId } from '../../src/platform/ids.js';
import { BACKGROUND_JOB_LIMITS } from '../../src/schedules/background-job.model.js';
import type { JobKind } from '../../src/schedules/schedule.model.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { aTrack, DAY_MS, MINUTE_MS } from '../support/world.js';

let world: ApiWorld;
const PEOPLE = 30;

beforeAll(async () => {
  world = await createApiWorld();
  await world.defineSegment('viewers', 'performed("view")');
  const names = Array.from({ length: PEOPLE }, (_, i) => `u${String(i)}`);
  await world.accept(names.map((name, i) => aTrack(i % 3 === 0 ? 'view' : 'visit', { user_id: name })));
  await world.settle();
  world.clock.advance(MINUTE_MS);
});

afterAll(() => world.close());

beforeEach(async () => {
  await world.db.execute('DELETE FROM background_jobs');
  // Where there is nothing to do, others may.
  await world.jobs.runner.look();
});

const FIELDS = `id kind status askedBy does requestedAt startedAt finishedAt expiresAt attempts done total errorCode errorMessage
  preview { to size profilesSeen profilesTotal share sample { id } span { enters days { enters } } overlaps { key } }
  snapshot { list taken refused }`;
const PREVIEW = `mutation ($segment: SegmentPreviewInput!, $from: DateTime) {
  startSegmentPreview(segment: $segment, from: $from) { ... on SegmentJob { ${FIELDS} } ... on Failure { code where } } }`;
const SNAPSHOT = `mutation ($segment: String!, $list: String!, $asOf: DateTime) {
  startSegmentSnapshot(segment: $segment, list: $list, asOf: $asOf) { ... on SegmentJob { ${FIELDS} } ... on Failure { code where } } }`;
const CANCEL = `mutation ($id: ID!) { cancelSegmentJob(id: $id) { ... on SegmentJob { status } ... on Failure { code } } }`;

interface Job {
  readonly id: string;
  readonly status: string;
  readonly attempts: number;
  readonly errorMessage: string | null;
}

const startPreview = async (variables: object = { segment: { key: 'viewers' } }): Promise<Job> =>
  (await world.data<{ startSegmentPreview: Job }>(PREVIEW, { ...variables })).startSegmentPreview;
const startSnapshot = async (variables: object): Promise<Job> =>
  (await world.data<{ startSegmentSnapshot: Job }>(SNAPSHOT, { ...variables })).startSegmentSnapshot;
const jobOf = async (id: string): Promise<Job | null> =>
  (await world.data<{ segmentJob: Job | null }>(`query ($id: ID!) { segmentJob(id: $id) { ${FIELDS} } }`, { id }))
    .segmentJob;

/** What waits is begun and done. */
async function worked({ runner }: Pick<BackgroundJobs, 'runner'> = world.jobs): Promise<void> {
  await runner.look();
  await runner.settled();
}

/** Jobs that end when they are told to, done by a process of its own. */
function gated(): BackgroundJobs & { readonly begun: AbortSignal[]; open: () => void } {
  const begun: AbortSignal[] = [];
  let open = (): void => undefined;
  const gate = new Promise<void>((resolve) => (open = resolve));
  const kind: JobKind = {
    kind: 'gated',
    describe: () => 'wait',
    run: async (_job, { signal, report }) => {
      begun.push(signal);
      report({ done: 1, total: 2 });
      await Promise.race([gate, new Promise((resolve) => signal.addEventListener('abort', resolve))]);
      signal.throwIfAborted();
      return { isDone: true, note: 'waited', result: {} };
    },
  };
  const observer = {
    ended: () => undefined,
    defect: (error: unknown) => {
      throw error as Error;
    },
  };
  const onError = (error: unknown): void => {
    throw error as Error;
  };
  const { db, clock } = world;
  return { ...createBackgroundJobs({ db, clock, kinds: [kind], observer, onError }), begun, open: () => open() };
}

describe('a preview that a worker makes', () => {
  it('says of everybody what the query says, keeps nobody, and is as of when it was asked for', async () => {
    const asked = world.clock.now();
    const from = new Date(asked - 2 * MINUTE_MS).toISOString();
    const job = await startPreview({ segment: { key: 'viewers' }, from });
    expect(job).toMatchObject({ status: 'WAITING', kind: 'PREVIEW', askedBy: 'admin', attempts: 0, preview: null });
    expect(job).toMatchObject({ does: 'preview segment viewers over a span of the past', expiresAt: null });
    world.clock.advance(MINUTE_MS);
    await worked();
    const done = await jobOf(job.id);
    expect(done).toMatchObject({
      ...{ status: 'DONE', attempts: 1, done: PEOPLE, total: PEOPLE, errorCode: null, snapshot: null },
      preview: {
        ...{ to: new Date(asked).toISOString(), size: PEOPLE / 3, profilesSeen: PEOPLE, profilesTotal: PEOPLE },
        ...{ share: 1, sample: [], span: { enters: PEOPLE / 3 } },
      },
      expiresAt: new Date(world.clock.now() + 7 * DAY_MS).toISOString(),
    });
    const [row] = await world.db.query<{ kept: string }>('SELECT result::text AS kept FROM background_jobs');
    expect(row?.kept).not.toContain('"sample"');
    const ids = await world.db.query<{ id: string }>('SELECT id FROM profiles');
    expect(ids.filter(({ id }) => row?.kept.includes(id))).toEqual([]);
  });

  it('is refused at once for what could not be previewed, and jobs for all but admins', async () => {
    expect(await startPreview({ segment: { key: 'nobody' } })).toEqual({ code: 'NOT_FOUND', where: 'key' });
    expect(await startPreview({ segment: { expression: 'f.nothing > 1' } })).toMatchObject({
      code: 'EXPRESSION_INVALID',
    });
    const later = new Date(world.clock.now() + MINUTE_MS).toISOString();
    expect(await startPreview({ segment: { key: 'viewers' }, from: later })).toMatchObject({ code: 'BAD_REQUEST' });
    const { errors } = await world.ask(PREVIEW, { segment: { key: 'viewers' } }, { key: world.keys.read });
    expect(errors?.map(({ extensions }) => extensions['code'])).toEqual(['FORBIDDEN']);
    expect(await world.db.query('SELECT FROM background_jobs')).toEqual([]);
  });
});

describe('a snapshot that a worker takes', () => {
  it('has the members on a list, and is not taken twice where its process was killed before that was noted', async () => {
    const job = await startSnapshot({ segment: 'viewers', list: 'kept' });
    await worked();
    const done = { status: 'DONE', snapshot: { list: 'kept', taken: PEOPLE / 3, refused: 0 } };
    expect(await jobOf(job.id)).toMatchObject(done);
    await world.db.execute(`UPDATE background_jobs SET status = 'waiting', finished_at = NULL, result = NULL`);
    await worked();
    expect(await jobOf(job.id)).toMatchObject({ ...done, attempts: 2 });
  });

  it('is refused where the list is there, the segment is not, or the instant is to come', async () => {
    expect(await startSnapshot({ segment: 'viewers', list: 'kept' })).toMatchObject({ code: 'CONFLICT' });
    expect(await startSnapshot({ segment: 'nobody', list: 'other' })).toMatchObject({ code: 'NOT_FOUND' });
    const asOf = new Date(world.clock.now() + 1).toISOString();
    expect(await startSnapshot({ segment: 'viewers', list: 'other', asOf })).toEqual({
      code: 'BAD_REQUEST',
      where: 'asOf',
    });
    expect(await startSnapshot({ segment: 'viewers', list: 'No Key' })).toEqual({ code: 'BAD_REQUEST', where: 'list' });
  });
});

describe('jobs', () => {
  it('are cancelled while they wait, and nothing is done for them; what is over cannot be', async () => {
    const { id } = await startPreview();
    const cancel = async (): Promise<unknown> =>
      (await world.data<{ cancelSegmentJob: unknown }>(CANCEL, { id })).cancelSegmentJob;
    expect(await cancel()).toEqual({ status: 'CANCELLED' });
    await worked();
    expect(await jobOf(id)).toMatchObject({ status: 'CANCELLED', attempts: 0, preview: null });
    expect(await cancel()).toEqual({ code: 'CONFLICT' });
    expect(await world.data(CANCEL, { id: newId(1) })).toEqual({ cancelSegmentJob: { code: 'NOT_FOUND' } });
  });

  it('tell how far they are, and are stopped where they are cancelled on the way', async () => {
    const jobs = gated();
    const { id } = await jobs.service.request('gated', {}, 'ann');
    await jobs.runner.look();
    await jobs.runner.look();
    expect(await jobs.service.demand(id)).toMatchObject({ status: 'running', done: 1, total: 2 });
    await jobs.service.cancel(id);
    await jobs.runner.look();
    expect(jobs.begun[0]?.aborted).toBe(true);
    await jobs.runner.settled();
    expect(await jobs.service.demand(id)).toMatchObject({ status: 'cancelled' });
    await jobs.runner.stop();
  });

  it('go on elsewhere where their process stops, which counts as no attempt', async () => {
    const first = gated();
    const { id } = await first.service.request('gated', {}, 'ann');
    await first.runner.look();
    await first.runner.stop();
    expect(await first.service.demand(id)).toMatchObject({ status: 'waiting', attempts: 0 });
    const second = gated();
    second.open();
    await worked(second);
    expect(await second.service.demand(id)).toMatchObject({ status: 'done', attempts: 1, note: 'waited' });
    await second.runner.stop();
  });

  it('are tried again a minute after their process was killed, and say so plainly when that was the third time', async () => {
    const { id } = await startPreview();
    const kill = (): Promise<number> =>
      world.db.execute(`UPDATE background_jobs SET status = 'running', attempts = attempts + 1, started_at = 1`);
    const next = async (): Promise<Job | null> => {
      const { runner } = gated();
      await worked({ runner });
      await runner.stop();
      return jobOf(id);
    };
    await kill();
    expect(await next()).toMatchObject({ status: 'WAITING', attempts: 1, errorCode: 'UNAVAILABLE' });
    await kill();
    await next();
    await kill();
    expect(await next()).toMatchObject({
      ...{ status: 'FAILED', attempts: 3, preview: null },
      errorMessage: 'the process that ran it ended, or lost the database',
    });
  });

  it('are done once their time has come after a kill', async () => {
    const { id } = await startPreview();
    await world.db.execute(`UPDATE background_jobs SET status = 'running', attempts = 1, started_at = 1`);
    const { runner } = gated();
    await worked({ runner });
    await runner.stop();
    world.clock.advance(MINUTE_MS);
    await worked();
    expect(await jobOf(id)).toMatchObject({ status: 'DONE', attempts: 2, errorCode: null });
  });

  it('are two at a time, and twenty in all', async () => {
    const jobs = gated();
    const { maxOpen, maxRunning } = BACKGROUND_JOB_LIMITS;
    for (let i = 0; i < maxOpen; i++) await jobs.service.request('gated', {}, 'ann');
    await expect(jobs.service.request('gated', {}, 'ann')).rejects.toMatchObject({ code: 'OVERLOADED' });
    await jobs.runner.look();
    expect(jobs.begun.length).toBe(maxRunning);
    await jobs.runner.stop();
  });

  it('are listed by pages, the newest first, and go a week after their end', async () => {
    const ids = [];
    for (let i = 0; i < 3; i++) {
      ids.unshift((await startPreview()).id);
      world.clock.advance(1);
    }
    await worked();
    await worked();
    type Page = { segmentJobs: { edges: { node: { id: string } }[]; pageInfo: { endCursor: string } } };
    const list = async (after: string | null): Promise<Page['segmentJobs']> =>
      (
        await world.data<Page>(
          'query ($after: String) { segmentJobs(first: 2, after: $after) { edges { node { id } } pageInfo { endCursor } } }',
          { after },
        )
      ).segmentJobs;
    const first = await list(null);
    const second = await list(first.pageInfo.endCursor);
    expect([...first.edges, ...second.edges].map(({ node }) => node.id)).toEqual(ids);
    world.clock.advance(7 * DAY_MS);
    expect(await jobOf(ids[0] ?? '')).toBeNull();
    expect((await list(null)).edges).toEqual([]);
    await world.jobs.runner.look();
    expect(await world.db.query('SELECT FROM background_jobs')).toEqual([]);
  });
});
