import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SettledAccept } from '../../src/events/accept.model.js';
import { PlanWatch } from '../../src/plans/plan-watch.js';
import { ViolationRecorder } from '../../src/plans/violation.recorder.js';
import { ViolationStore } from '../../src/plans/violation.store.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { aTrack, HOUR_MS, START_MS } from '../support/world.js';

const HOUR = new Date(START_MS - (START_MS % HOUR_MS)).toISOString();

let world: ApiWorld;
let recorder: ViolationRecorder;
const calls: SettledAccept[] = [];

beforeAll(async () => {
  world = await createApiWorld({
    observers: {
      settled: (call) => {
        recorder.settled(call);
        calls.push(call);
      },
    },
  });
  recorder = newRecorder();
});

afterAll(() => world.close());

function newRecorder(store: Pick<ViolationStore, 'add'> = new ViolationStore(world.db)): ViolationRecorder {
  return new ViolationRecorder({
    store,
    clock: world.clock,
    onError: (error) => {
      throw error as Error;
    },
    onViolation: () => undefined,
  });
}

const planOf = (source: string, policy: string): string => `
tracking_plan: ${source}
policy: ${policy}
events:
  - name: order
    required: [id]
    properties: { id: { type: string }, total: { type: number } }
`;

const APPLY = `mutation ($plan: String!, $dryRun: Boolean) {
  applyTrackingPlan(plan: $plan, dryRun: $dryRun) {
    ... on TrackingPlanChange { applied changes current { version appliedBy } }
    ... on Failure { code message where hint }
  }
}`;

interface Change {
  applied: boolean;
  changes: string[];
  current: { version: number; appliedBy: string } | null;
  code?: string;
}

async function apply(plan: string, dryRun = false): Promise<Change> {
  return (await world.data<{ applyTrackingPlan: Change }>(APPLY, { plan, dryRun })).applyTrackingPlan;
}

async function makeSource(key: string): Promise<void> {
  await world.services.sources.ensure({ key, kind: 'http' });
}

/** What stands in the log of the messages, by id. */
async function logged(messageId: string): Promise<{ properties: unknown; context: unknown } | undefined> {
  const { events } = await world.engine.log.readBatch({
    afterPos: 0,
    parts: Array.from({ length: 1_024 }, (_, part) => part),
    limit: 10_000,
    maxBytes: 10_000_000,
  });
  return events.find((event) => event.messageId === messageId);
}

describe('a tracking plan', () => {
  it('is applied as a version, compared with the one before, listed, and gone back to', async () => {
    await makeSource('versions');
    const first = planOf('versions', '{ unplanned_event: ignore }');
    expect(await apply(first, true)).toMatchObject({ applied: false, current: null });
    expect(await apply(first)).toMatchObject({ applied: true, current: { version: 1, appliedBy: 'admin' } });
    expect(await apply(first)).toMatchObject({ applied: false, changes: [], current: { version: 1 } });
    const second = `${first}  - name: refund\n`;
    expect(await apply(second)).toMatchObject({ applied: true, changes: ['+ track refund'], current: { version: 2 } });
    const { restoreTrackingPlan } = await world.data<{ restoreTrackingPlan: Change }>(
      `mutation { restoreTrackingPlan(source: "versions", version: 1) {
         ... on TrackingPlanChange { applied changes current { version appliedBy } } } }`,
    );
    expect(restoreTrackingPlan).toMatchObject({ applied: true, changes: ['- track refund'], current: { version: 3 } });
    const read = await world.data<{
      trackingPlan: { version: number; text: string };
      trackingPlanVersions: { edges: { node: { version: number }; cursor: string }[]; pageInfo: object };
      source: { trackingPlan: { version: number } };
    }>(`{ trackingPlan(source: "versions") { version text }
          trackingPlanVersions(source: "versions", first: 2) { edges { node { version } } pageInfo { hasNextPage } }
          source(key: "versions") { trackingPlan { version } } }`);
    expect(read.trackingPlan.version).toBe(3);
    expect(await apply(read.trackingPlan.text)).toMatchObject({ applied: false });
    expect(read.trackingPlanVersions.edges.map(({ node }) => node.version)).toEqual([3, 2]);
    expect(read.trackingPlanVersions.pageInfo).toEqual({ hasNextPage: true });
    expect(read.source.trackingPlan.version).toBe(3);
  });

  it('is refused with the place of each fault, and without a source', async () => {
    expect(await apply('tracking_plan: nobody')).toMatchObject({ code: 'NOT_FOUND', where: 'tracking_plan' });
    await makeSource('faults');
    expect(
      await apply('tracking_plan: faults\nevents: [{ name: a, properties: { b: { typ: string } } }]'),
    ).toMatchObject({ code: 'DEFINITION_INVALID', where: 'plan:2:38', hint: 'did you mean "type"?' });
  });

  it('marks what it flags, drops what it drops, and lets the rest pass untouched', async () => {
    await makeSource('flags');
    await apply(planOf('flags', '{ invalid_value: drop }'));
    const results = await world.accept(
      [
        aTrack('order', { user_id: 'ann' }, { messageId: 'good', properties: { id: 'a' }, context: { page: 1 } }),
        aTrack('order', { user_id: 'ann' }, { messageId: 'bad', properties: { total: '12', note: 'x' } }),
        aTrack(
          'order',
          { user_id: 'ann' },
          { messageId: 'forged', properties: { id: 'a' }, context: { violations: ['no'] } },
        ),
      ],
      { source: 'flags' },
    );
    expect(results[0]).toEqual({ status: 'accepted' });
    expect(results[1]).toMatchObject({ status: 'accepted' });
    expect(await logged('good')).toMatchObject({ properties: { id: 'a' }, context: { page: 1 } });
    expect(await logged('bad')).toMatchObject({
      properties: { note: 'x' },
      context: {
        violations: [
          'invalid_value properties.total',
          'unplanned_property properties.note',
          'missing_property properties.id',
        ],
      },
    });
    expect((await logged('forged'))?.context).toEqual({});
    await world.drain();
    const { profile } = await world.data<{ profile: { timeline: { edges: { node: object }[] } } }>(
      `{ profile(identifier: { namespace: "user_id", value: "ann" }) {
           timeline { edges { node { ... on TimelineEvent { messageId violations } } } } } }`,
    );
    expect(profile.timeline.edges.map(({ node }) => node)).toContainEqual({
      messageId: 'bad',
      violations: ((await logged('bad')) as { context: { violations: string[] } }).context.violations,
    });
  });

  it('refuses at every door what it is told to refuse, and keeps it as a dead letter', async () => {
    await makeSource('strict');
    await apply(planOf('strict', '{ missing_property: refuse, unplanned_event: refuse }'));
    const source = await world.services.sources.findByKey('strict');
    const { secret } = await world.services.keys.create({ name: 's', scopes: ['ingest'], sourceId: source?.id ?? 0 });
    const post = async (path: string, body: object): Promise<{ status: number; body: unknown }> => {
      const response = await fetch(`${world.url}/v1/${path}`, {
        method: 'POST',
        headers: { authorization: `Basic ${Buffer.from(`${secret}:`).toString('base64')}` },
        body: JSON.stringify(body),
      });
      return { status: response.status, body: await response.json() };
    };
    expect(await post('track', { event: 'order', userId: 'ann', properties: { total: 1 } })).toMatchObject({
      status: 400,
      body: {
        success: false,
        code: 'SCHEMA',
        reason: 'track order violates the tracking plan of the source: properties.id is missing (missing_property)',
      },
    });
    const batch = [
      { type: 'track', event: 'order', userId: 'ann', properties: { id: 'a' } },
      { type: 'track', event: 'other', userId: 'ann' },
    ];
    expect(await post('batch', { batch })).toMatchObject({
      status: 200,
      body: { accepted: 1, rejected: [{ index: 1, code: 'SCHEMA' }] },
    });
    const { ingest } = await world.data<{ ingest: { results: object[] } }>(
      `mutation { ingest(source: "strict", events: [{ type: TRACK, name: "order",
         identifiers: [{ namespace: "user_id", value: "ann" }] }]) {
           ... on IngestReport { results { status code violations } } } }`,
    );
    expect(ingest.results).toEqual([
      { status: 'REFUSED', code: 'SCHEMA', violations: ['missing_property properties.id'] },
    ]);
    const [letters] = await world.db.query<{ n: number }>(
      `SELECT count(*) AS n FROM dead_letters WHERE code = 'SCHEMA'`,
    );
    expect(letters?.n).toBe(3);
  });

  it('counts violations by event, rule and place, with messages to look at, and duplicates once', async () => {
    await makeSource('counts');
    await apply(planOf('counts', '{ unplanned_event: refuse }'));
    const bad = aTrack('order', { user_id: 'ann' }, { messageId: 'c1', properties: { id: 1 } });
    await world.accept([bad, aTrack('order', { user_id: 'ann' }, { messageId: 'c2', properties: { id: 2 } })], {
      source: 'counts',
    });
    await recorder.writes.flush();
    await world.accept([bad, aTrack('nope', { user_id: 'ann' }, { messageId: 'c3' })], { source: 'counts' });
    await recorder.writes.flush();
    const query = `query ($event: String, $rule: ViolationRule, $since: DateTime) {
      trackingPlanViolations(source: "counts", event: $event, rule: $rule, since: $since) {
        event rule path count firstHour samples } }`;
    const order = { event: 'track order', rule: 'INVALID_VALUE', path: 'properties.id', count: 2, firstHour: HOUR };
    const nope = { event: 'track nope', rule: 'UNPLANNED_EVENT', path: null, count: 1, firstHour: HOUR };
    expect(await world.data(query)).toEqual({
      trackingPlanViolations: [
        { ...order, samples: ['c1', 'c2'] },
        { ...nope, samples: ['c3'] },
      ],
    });
    expect(await world.data(query, { event: 'track order', rule: 'UNPLANNED_EVENT' })).toEqual({
      trackingPlanViolations: [],
    });
    const since = new Date(START_MS + HOUR_MS).toISOString();
    expect(await world.data(query, { since })).toEqual({ trackingPlanViolations: [] });
  });

  it('counts together what is beyond the bound of an hour', async () => {
    await makeSource('crowd');
    await apply('tracking_plan: crowd');
    for (let round = 0; round < 3; round++) {
      await world.accept(
        Array.from({ length: 300 }, (_, i) => aTrack(`name ${String(round * 300 + i)}`, { user_id: 'ann' })),
        { source: 'crowd' },
      );
      await recorder.writes.flush();
    }
    const rows = await world.db.query<{ event: string; count: number; samples: string[] }>(
      `SELECT event, count, samples FROM plan_violations JOIN sources s ON s.id = source_id WHERE s.key = 'crowd'
       ORDER BY count DESC`,
    );
    expect(rows).toHaveLength(501);
    expect(rows[0]).toMatchObject({ event: '', count: 400, samples: [] });
  });

  it('is seen by other processes when they look again, and costs nothing without a plan', async () => {
    await makeSource('watched');
    const source = await world.services.sources.findByKey('watched');
    if (source === null) throw new Error('no source');
    const other = new PlanWatch({
      db: world.db,
      onError: (error) => {
        throw error as Error;
      },
    });
    await other.refresh();
    expect(other.of(source)).toBeNull();
    await apply(planOf('watched', '{ unplanned_event: refuse }'));
    await other.refresh();
    expect(other.of(source)?.check({ type: 'track', name: 'x', properties: {}, traits: {} })?.refusal?.code).toBe(
      'SCHEMA',
    );
    await apply(
      planOf(
        'watched',
        '{ unplanned_event: ignore, missing_property: ignore, invalid_value: ignore, unplanned_property: ignore }',
      ),
    );
    await other.refresh();
    expect(other.of(source)).toBeNull();
  });

  it('is one history however many apply at once', async () => {
    await makeSource('race');
    const plans = Array.from({ length: 6 }, (_, i) => `tracking_plan: race\nevents: [{ name: e${String(i)} }]`);
    const changes = await Promise.all(plans.map((plan) => apply(plan)));
    expect(changes.map(({ current }) => current?.version).sort()).toEqual([1, 2, 3, 4, 5, 6]);
  });
});

describe('docs/tracking-plan.md', () => {
  it('shows a plan and queries that work', async () => {
    const text = await readFile(new URL('../../docs/tracking-plan.md', import.meta.url), 'utf8');
    const blocks = (language: string): string[] =>
      [...text.matchAll(new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``, 'g'))].map((match) => match[1] ?? '');
    const [plan = ''] = blocks('yaml');
    await makeSource('web');
    expect(await apply(plan)).toMatchObject({ applied: true });
    const queries = blocks('graphql');
    expect(queries).toHaveLength(2);
    for (const query of queries) await world.data(query);
  });
});
