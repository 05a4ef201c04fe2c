import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readLogProgress } from '../../src/events/applied-log.reader.js';
import { MaterializationService } from '../../src/features/materialization.service.js';
import { materializeCommand } from '../../src/features/materialize.command.js';
import { parseFeatures } from '../../src/features/parse-features.js';
import { MemoryOnlineStore } from '../../src/profiles/online-store.memory.js';
import type { OnlineStore } from '../../src/profiles/online-store.model.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { ManualClock } from '../../src/platform/clock.js';
import { runWith } from '../support/command-runner.js';
import { drainUntil } from '../support/drain-until.js';
import { aTrack, anIdentify, DAY_MS, HOUR_MS } from '../support/world.js';

const VIEWS = `views:
  - name: customer
    kind: batch
    source: crm
    event: customer
    ttl: 2d
    features:
      - { name: tier, value: properties.tier }
      - { name: credit, value: properties.credit, type: double }
      - { name: joined, value: properties.joined, type: timestamp }
  - name: shop
    features:
      - { name: views_1h, aggregate: count, events: [product_view], window: 1h }
      - { name: last_sku, aggregate: last, events: [product_view], value: properties.sku }
      - { name: last_email, aggregate: last, events: [survey], value: properties.email }
services:
  - { name: intent, features: [views_1h, tier] }
  - { name: filled, features: [views_1h, tier, credit], impute: { views_1h: 9, tier: none, credit: 3 } }
`;

interface Column {
  readonly values: readonly unknown[];
  readonly statuses: readonly string[];
  readonly event_timestamps: readonly string[];
}

interface Answer {
  readonly results: readonly Column[];
  readonly metadata: {
    readonly feature_names: readonly string[];
    readonly feature_view_metadata?: readonly { readonly name: string; readonly version: number }[];
  };
}

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  await world.accept([], { source: 'crm' });
  await world.engine.services.features.apply(parseFeatures(VIEWS, 'f.yaml'));
  await world.drain();
});
afterAll(() => world.close());

async function post(path: string, body: unknown, authorization = `Bearer ${world.keys.read}`): Promise<Response> {
  return fetch(`${world.url}${path}`, { method: 'POST', headers: { authorization }, body: JSON.stringify(body) });
}

async function online(body: unknown, authorization?: string): Promise<Answer> {
  const response = await post('/get-online-features', body, authorization);
  expect(response.status).toBe(200);
  return (await response.json()) as Answer;
}

/** Value and status of each feature of the one person that is asked for. */
async function told(user: string, features: readonly string[], more: object = {}): Promise<[unknown, string][]> {
  const { results } = await online({ features, entities: { user_id: [user] }, ...more });
  return results.slice(1).map(({ values, statuses }) => [values[0], statuses[0] ?? '']);
}

async function view(user: string, sku: string): Promise<void> {
  await world.accept([aTrack('product_view', { user_id: user }, { properties: { sku } })]);
  await world.drain();
  world.clock.advance(1);
}

describe('POST /get-online-features', () => {
  it('answers a column for each feature, the join key first, and says of each value what and when it is', async () => {
    const at = world.clock.now();
    await world.accept(
      [
        aTrack(
          'customer',
          { user_id: 'full' },
          { properties: { tier: 'gold', credit: 2, joined: '2026-01-02T00:00:00Z' } },
        ),
        aTrack('customer', { user_id: 'part' }, { properties: { credit: 1.5 } }),
        aTrack('customer', { user_id: 'aged' }, { properties: { tier: 'old' }, timestampMs: at - 3 * DAY_MS }),
      ],
      { source: 'crm', historical: true },
    );
    await world.drain();
    world.clock.advance(1);
    const users = ['full', 'part', 'aged', 'nobody'];
    const names = ['tier', 'credit', 'joined'].map((name) => `customer:${name}`);
    const { results, metadata } = await online({ features: names, entities: { user_id: users } });
    const [time, epoch] = [new Date(at).toISOString(), '1970-01-01T00:00:00Z'];
    const old = new Date(at - 3 * DAY_MS).toISOString();
    const times = [time, time, old, epoch];
    expect(metadata).toEqual({ feature_names: ['user_id', 'tier', 'credit', 'joined'] });
    const [PRESENT, NULL, AGED, MISSING] = ['PRESENT', 'NULL_VALUE', 'OUTSIDE_MAX_AGE', 'NOT_FOUND'];
    expect(results).toEqual([
      { values: users, statuses: users.map(() => PRESENT), event_timestamps: users.map(() => epoch) },
      { values: ['gold', null, null, null], statuses: [PRESENT, NULL, AGED, MISSING], event_timestamps: times },
      { values: [2, 1.5, null, null], statuses: [PRESENT, PRESENT, AGED, MISSING], event_timestamps: times },
      { values: [1_767_312_000, null, null, null], statuses: [PRESENT, NULL, AGED, MISSING], event_timestamps: times },
    ]);
  });

  it('writes whole doubles as doubles, which Feast’s client tells from whole numbers by the point', async () => {
    const response = await post('/get-online-features', {
      features: ['customer:credit'],
      entities: { user_id: ['full'] },
    });
    expect(await response.text()).toContain('{"values":[2.0],');
  });

  it('gives missing values what the service imputes where that is asked for, and leaves their statuses', async () => {
    const asked = { feature_service: 'filled', entities: { user_id: ['full', 'part', 'aged', 'nobody'] } };
    const { results } = await online({ ...asked, imputed: true });
    expect(results.slice(2).map(({ values, statuses }) => ({ values, statuses }))).toEqual([
      { values: ['gold', 'none', 'none', null], statuses: ['PRESENT', 'NULL_VALUE', 'OUTSIDE_MAX_AGE', 'NOT_FOUND'] },
      { values: [2, 1.5, 3, null], statuses: ['PRESENT', 'PRESENT', 'OUTSIDE_MAX_AGE', 'NOT_FOUND'] },
    ]);
    // What is remembered of the one question is no answer to the other.
    expect((await online(asked)).results[2]?.values).toEqual(['gold', null, null, null]);
    expect(await (await post('/get-online-features', { ...asked, imputed: true })).text()).toContain(
      '[2.0,1.5,3.0,null]',
    );
    const refused = await post('/get-online-features', {
      ...asked,
      feature_service: null,
      features: ['shop:views_1h'],
      imputed: true,
    });
    expect(refused.status).toBe(422);
    expect(await refused.text()).toContain('what is imputed is said by a feature service');
  });

  it('takes a service, full names, versions, and people by profile id or any identifier of theirs', async () => {
    await world.accept([anIdentify({ user_id: 'full', crm_id: '4711', email: 'full@example.com' })]);
    await world.drain();
    const ask = { feature_service: 'intent', full_feature_names: true, include_feature_view_version_metadata: true };
    const byNumber = await online({ ...ask, entities: { crm_id: [4711] } });
    expect(byNumber.metadata).toEqual({
      feature_names: ['crm_id', 'shop__views_1h', 'customer__tier'],
      feature_view_metadata: [
        { name: 'shop', version: 1 },
        { name: 'customer', version: 1 },
      ],
    });
    expect(byNumber.results.map(({ values }) => values)).toEqual([['4711'], [0], ['gold']]);
    const { profile } = await world.data<{ profile: { id: string } }>(
      '{ profile(identifier: { namespace: "email", value: "full@example.com" }) { id } }',
    );
    const byId = await online({ ...ask, entities: { profile_id: [profile.id, 'no id'] } });
    expect(byId.results.map(({ values }) => values)).toEqual([
      [profile.id, 'no id'],
      [0, null],
      ['gold', null],
    ]);
  });

  it('tells values of this instant: of a new event at once, and less when events leave the window', async () => {
    await view('w', 'a');
    const features = ['shop:views_1h', 'shop:last_sku'];
    expect(await told('w', features)).toEqual([
      [1, 'PRESENT'],
      ['a', 'PRESENT'],
    ]);
    expect(await told('w', features)).toEqual([
      [1, 'PRESENT'],
      ['a', 'PRESENT'],
    ]);
    await view('w', 'b');
    expect(await told('w', features)).toEqual([
      [2, 'PRESENT'],
      ['b', 'PRESENT'],
    ]);
    world.clock.advance(2 * HOUR_MS);
    expect(await told('w', features)).toEqual([
      [0, 'PRESENT'],
      ['b', 'PRESENT'],
    ]);
    expect(await told('w', features, { max_age_ms: HOUR_MS })).toEqual([
      [0, 'PRESENT'],
      [null, 'OUTSIDE_MAX_AGE'],
    ]);
  });

  it('masks personal values for those without pii, and tells them to those who have it', async () => {
    await world.accept([aTrack('survey', { user_id: 'm' }, { properties: { email: 'mona@example.com' } })]);
    await world.engine.services.traits.apply([{ name: 'email', description: '', edge: false, pii: true }]);
    await world.drain();
    world.clock.advance(1);
    await expect.poll(async () => (await told('m', ['shop:last_email']))[0]?.[0]).not.toBe('mona@example.com');
    const ask = { features: ['shop:last_email'], entities: { user_id: ['m'] } };
    const { results } = await online(ask, `Bearer ${world.keys.pii}`);
    expect(results[1]?.values).toEqual(['mona@example.com']);
  });

  it('takes the key as the user of the address, and no other keys', async () => {
    const ask = { features: ['shop:views_1h'], entities: { user_id: ['w'] } };
    const basic = (key: string): string => `Basic ${Buffer.from(`${key}:`).toString('base64')}`;
    expect((await online(ask, basic(world.keys.read))).results[1]?.values).toEqual([0]);
    expect((await post('/get-online-features', ask, basic(world.keys.ingest))).status).toBe(403);
    expect((await post('/get-online-features', ask, basic(world.keys.edge))).status).toBe(403);
    const refused = await post('/get-online-features', ask, 'Bearer nonsense');
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
  });
});

describe('a mistake in POST /get-online-features', () => {
  const entities = { user_id: ['full'] };

  it.each([
    ['a view', { features: ['custome:tier'], entities }, 'FeatureViewNotFoundException', 'did you mean customer?'],
    ['a feature', { features: ['customer:ter'], entities }, 'FeatureViewNotFoundException', 'did you mean tier?'],
    ['a version', { features: ['customer@v7:tier'], entities }, 'FeatureViewNotFoundException', 'ask for version 1'],
    ['a service', { feature_service: 'inten', entities }, 'FeatureServiceNotFoundException', 'did you mean intent?'],
  ])('in the name of %s is a 404 with the exception that Feast’s client raises', async (_what, body, name, hint) => {
    const response = await post('/get-online-features', body);
    expect(response.status).toBe(404);
    const detail = JSON.parse((await response.json()) as string) as Record<string, string>;
    expect(detail).toMatchObject({ module: 'feast.errors', class: name });
    expect(detail['message']).toContain(hint);
  });

  it.each([
    ['no features', { entities }, 'features'],
    ['no reference', { features: ['tier'], entities }, 'features.0'],
    ['no entities', { features: ['customer:tier'] }, 'entities'],
    ['no list', { features: ['customer:tier'], entities: { user_id: 'full' } }, 'entities.user_id'],
    ['no identifier', { features: ['customer:tier'], entities: { user_id: ['a', null] } }, 'entities.user_id.1'],
    ['a rounded number', { features: ['customer:tier'], entities: { user_id: [1, 2 ** 53] } }, 'entities.user_id.1'],
    ['two join keys', { features: ['customer:tier'], entities: { user_id: ['a'], email: ['b'] } }, 'entities.email'],
    ['no namespace', { features: ['customer:tier'], entities: { 'User Id': ['a'] } }, 'entities'],
    ['a mistyped namespace', { features: ['customer:tier'], entities: { user_idd: ['a'] } }, 'entities'],
    ['no purpose', { features: ['customer:tier'], entities, purposes: ['none'] }, 'purposes'],
    ['no age', { features: ['customer:tier'], entities, max_age_ms: -1 }, 'max_age_ms'],
    ['too many', { features: ['customer:tier'], entities: { user_id: Array(501).fill('a') } }, 'entities'],
  ])('of the kind "%s" is a 422 that says where', async (_what, body, where) => {
    const response = await post('/get-online-features', body);
    expect(response.status).toBe(422);
    const { detail } = (await response.json()) as { detail: { loc: string[]; msg: string }[] };
    expect(detail[0]?.loc.join('.')).toBe(`body.${where}`);
    expect(detail[0]?.msg).toMatch(/.+: .+/);
  });

  it('that makes it no JSON is a 422, too', async () => {
    const authorization = `Bearer ${world.keys.read}`;
    const response = await fetch(`${world.url}/get-online-features`, {
      method: 'POST',
      headers: { authorization },
      body: '{',
    });
    expect(response.status).toBe(422);
  });
});

/** Writes wait until their rows are served. */
async function write(path: string, body: unknown, key = world.keys.admin): Promise<{ status: number; body: unknown }> {
  const response = await drainUntil(world, post(path, body, `Bearer ${key}`));
  return { status: response.status, body: await response.json() };
}

describe('POST /write-to-online-store', () => {
  const NAMES = ['customer:tier', 'customer:credit', 'customer:joined'];
  const df = {
    user_id: ['wa', 'wb'],
    tier: ['gold', null],
    credit: [7, 8.5],
    joined: [1_767_312_000, null],
    event_timestamp: ['2023-11-14T20:00:00.123456', '2023-11-14T20:00:00'],
    created: ['2023-11-14T20:00:00', null],
  };

  it('makes a record of each row, which counts when it is answered, and once however often it is sent', async () => {
    const first = await write('/write-to-online-store', { feature_view_name: 'customer', df });
    expect(first).toEqual({ status: 200, body: { accepted: 2, duplicates: 0, applied: true } });
    expect(await told('wa', NAMES)).toEqual([
      ['gold', 'PRESENT'],
      [7, 'PRESENT'],
      [1_767_312_000, 'PRESENT'],
    ]);
    expect(await told('wb', NAMES)).toEqual([
      [null, 'NULL_VALUE'],
      [8.5, 'PRESENT'],
      [null, 'NULL_VALUE'],
    ]);
    const { results } = await online({ features: ['customer:tier'], entities: { user_id: ['wa'] } });
    expect(results[1]?.event_timestamps).toEqual(['2023-11-14T20:00:00.123Z']);
    const again = await write('/write-to-online-store', { feature_view_name: 'customer', df });
    expect(again.body).toMatchObject({ accepted: 0, duplicates: 2 });
  });

  it('lets an older row change nothing', async () => {
    const older = { user_id: ['wa'], tier: ['old'], event_timestamp: ['2023-11-14T19:00:00Z'] };
    await write('/write-to-online-store', { feature_view_name: 'customer', df: older });
    expect((await told('wa', NAMES))[0]).toEqual(['gold', 'PRESENT']);
  });

  it('takes a row without a time as of now each time, whatever was written before', async () => {
    for (const tier of ['gold', 'silver', 'gold']) {
      world.clock.advance(1_000);
      const df = { user_id: ['timeless'], tier: [tier] };
      const { body } = await write('/write-to-online-store', { feature_view_name: 'customer', df });
      expect(body).toMatchObject({ accepted: 1, duplicates: 0 });
      expect((await told('timeless', NAMES))[0]).toEqual([tier, 'PRESENT']);
    }
  });

  it.each([
    ['a view of events', { feature_view_name: 'shop', df: { user_id: ['a'], views_1h: [1] } }, 'feature_view_name'],
    ['no view', { df: { user_id: ['a'], tier: ['x'] } }, 'feature_view_name'],
    ['no data frame', { feature_view_name: 'customer' }, 'df'],
    ['no rows', { feature_view_name: 'customer', df: { user_id: [], tier: [] } }, 'df'],
    ['columns of unlike length', { feature_view_name: 'customer', df: { user_id: ['a'], tier: [] } }, 'df.tier'],
    ['no features', { feature_view_name: 'customer', df: { user_id: ['a'] } }, 'df'],
    ['no join key', { feature_view_name: 'customer', df: { tier: ['a'] } }, 'df'],
    [
      'a mistyped feature',
      { feature_view_name: 'customer', df: { user_id: ['a'], tier: ['x'], credi: [1] } },
      'df.credi',
    ],
    [
      'no time',
      { feature_view_name: 'customer', df: { user_id: ['a'], tier: ['x'], event_timestamp: ['x'] } },
      'df.event_timestamp.0',
    ],
    ['a rounded number', { feature_view_name: 'customer', df: { user_id: [2 ** 53], tier: ['x'] } }, 'df.user_id.0'],
    ['nobody', { feature_view_name: 'customer', df: { user_id: [''], tier: ['x'] } }, 'df'],
  ])('refuses %s with 422, and says where', async (_what, body, where) => {
    const response = await post('/write-to-online-store', body, `Bearer ${world.keys.admin}`);
    expect(response.status).toBe(422);
    const { detail } = (await response.json()) as { detail: { loc: string[] }[] };
    expect(detail[0]?.loc.join('.')).toBe(`body.${where}`);
  });

  it('is for keys of the source, and for admins', async () => {
    const body = { feature_view_name: 'customer', df: { user_id: ['a'], tier: ['x'] } };
    expect((await post('/write-to-online-store', body)).status).toBe(403);
    expect((await post('/write-to-online-store', body, `Bearer ${world.keys.ingest}`)).status).toBe(403);
    const crm = await world.services.sources.findByKey('crm');
    const { secret } = await world.services.keys.create({ name: 'crm', scopes: ['ingest'], sourceId: crm?.id ?? 0 });
    expect((await write('/write-to-online-store', body, secret)).body).toMatchObject({ accepted: 1 });
  });
});

describe('POST /push', () => {
  it('takes rows of all batch views of a source', async () => {
    const df = { user_id: ['pushed'], tier: ['silver'] };
    const { status, body } = await write('/push', { push_source_name: 'crm', df, to: 'online_and_offline' });
    expect([status, body]).toEqual([200, { accepted: 1, duplicates: 0, applied: true }]);
    expect(await told('pushed', ['customer:tier'])).toEqual([['silver', 'PRESENT']]);
  });

  it('refuses a source that no batch view has as Feast does, and a place that there is not', async () => {
    const df = { user_id: ['a'], tier: ['x'] };
    const unknown = await post('/push', { push_source_name: 'cr', df }, `Bearer ${world.keys.admin}`);
    expect(unknown.status).toBe(422);
    expect(JSON.parse((await unknown.json()) as string)).toMatchObject({ class: 'PushSourceNotFoundException' });
    const elsewhere = await post('/push', { push_source_name: 'crm', df, to: 'mars' }, `Bearer ${world.keys.admin}`);
    expect(elsewhere.status).toBe(422);
  });
});

describe('POST /materialize', () => {
  const range = { start_ts: '2023-01-01T00:00:00', end_ts: '2023-11-14T00:00:00Z' };

  it('answers once all that was accepted before counts, and says of which views', async () => {
    await world.accept([aTrack('customer', { user_id: 'late' }, { properties: { tier: 'late' } })], { source: 'crm' });
    const { status, body } = await write('/materialize', { ...range, feature_views: ['customer'] });
    expect(status).toBe(200);
    expect(body).toMatchObject({ views: [{ view: 'customer', kind: 'batch', features: 3 }] });
    expect(await told('late', ['customer:tier'])).toEqual([['late', 'PRESENT']]);
    const all = await write('/materialize-incremental', { end_ts: range.end_ts });
    expect(all.body).toMatchObject({ views: [{ view: 'customer' }, { view: 'shop', kind: 'stream' }] });
  });

  it.each([
    ['/materialize', {}, 422],
    ['/materialize', { ...range, end_ts: '2022-01-01' }, 422],
    ['/materialize', { ...range, start_ts: 'x' }, 422],
    ['/materialize', { ...range, feature_views: ['nope'] }, 404],
    ['/materialize-incremental', {}, 422],
  ])('%s refuses %o with %i', async (path, body, status) => {
    expect((await post(path, body, `Bearer ${world.keys.admin}`)).status).toBe(status);
  });
});

describe('weft materialize', () => {
  const weft = (...args: string[]) =>
    runWith(
      (io) =>
        materializeCommand({
          ...io,
          signal: new AbortController().signal,
          withMaterialization: (use) => use(new MaterializationService(world.db)),
        }),
      args,
    );

  it('says what is up to date', async () => {
    await world.drain();
    const { code, stdout } = await weft('customer', '--incremental');
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^view +kind +features +status\ncustomer +batch +3 +up to date\nAll \d+ events accepted so far count; /,
    );
    const json = await weft('--json', '--from', '2023-01-01', '--to', '2023-02-01');
    expect(JSON.parse(json.stdout)).toMatchObject({ views: [{ view: 'customer' }, { view: 'shop' }] });
  });

  it('ends with 1 where time runs out, and with 2 for wrong use', async () => {
    await world.accept([aTrack('product_view', { user_id: 'waiting' })]);
    const late = await weft('--timeout', '1');
    expect(late).toMatchObject({ code: 1, stdout: '' });
    expect(late.stderr).toContain('1 events are not applied yet');
    await world.drain();
    expect(await weft('--from', '2023-02-01', '--to', '2023-01-01')).toMatchObject({ code: 2 });
    expect(await weft('--incremental', '--from', '2023-02-01')).toMatchObject({ code: 2 });
    expect(await weft('nope')).toMatchObject({ code: 1 });
  });
});

describe('features of items that events are still being folded into', () => {
  it('are not told and not imputed, and waited for by who materializes', async () => {
    await world.accept([aTrack('seen', { user_id: 'reader' }, { properties: { page: 'home' } })]);
    await world.drain();
    await world.engine.services.features.apply(
      parseFeatures(
        `entities: [{ name: page, join_key: page_id }]
views:
  - { name: pages, entity: page, key: properties.page, features: [{ name: seen, aggregate: count, events: [seen] }] }
services: [{ name: of_pages, features: [seen], impute: { seen: 7 } }]
`,
        'p.yaml',
      ),
    );
    const ask = { feature_service: 'of_pages', imputed: true, entities: { page_id: ['home'] } };
    await expect.poll(async () => (await post('/get-online-features', ask)).status).toBe(200);
    const seen = async (): Promise<unknown> => (await online(ask)).results[1];
    expect(await seen()).toMatchObject({ values: [null], statuses: ['NOT_FOUND'] });
    const service = new MaterializationService(world.db);
    await expect(service.materialize(['pages'], { timeoutMs: 1 })).rejects.toThrow(
      'history is still being folded into pages',
    );
    expect((await write('/materialize-incremental', { end_ts: '2023-11-14', feature_views: ['pages'] })).status).toBe(
      200,
    );
    expect(await seen()).toMatchObject({ values: [1], statuses: ['PRESENT'] });
    // Applied, but by a worker that has not come to items yet.
    const events = Array.from({ length: 3 }, () => aTrack('seen', { user_id: 'r' }, { properties: { page: 'home' } }));
    await world.accept(events);
    while ((await readLogProgress(world.db)).appliedPos < (await readLogProgress(world.db)).headPos) {
      await world.engine.worker.runOnce();
    }
    await expect(service.materialize(['pages'], { timeoutMs: 1 })).rejects.toThrow('3 events are not applied yet');
    await drainUntil(world, service.materialize([], { timeoutMs: 10_000 }));
    expect(await seen()).toMatchObject({ values: [4] });
  });
});

describe('GET /health', () => {
  it('needs no key', async () => {
    expect((await fetch(`${world.url}/health`)).status).toBe(200);
  });
});

describe('the online path', () => {
  it('asks a store elsewhere once for the identifiers and once for the profiles of many requests, whatever the views', async () => {
    const inner = new MemoryOnlineStore({ maxBytes: 1_000_000, clock: new ManualClock(0) });
    const reads: number[] = [];
    const store: OnlineStore = {
      putMany: (entries) => inner.putMany(entries),
      deleteMany: (keys, version) => inner.deleteMany(keys, version),
      getMany: (keys) => {
        reads.push(keys.length);
        return inner.getMany(keys);
      },
    };
    const remote = await createApiWorld({ sharedStore: store });
    try {
      await remote.accept([], { source: 'crm' });
      await remote.engine.services.features.apply(parseFeatures(VIEWS, 'f.yaml'));
      const users = ['a', 'b', 'c'];
      await remote.accept(
        users.map((user) => aTrack('product_view', { user_id: user }, { properties: { sku: user } })),
      );
      await remote.drain();
      remote.clock.advance(1);
      const ask = async (user: string): Promise<unknown> => {
        const response = await remote.app.inject({
          method: 'POST',
          url: '/get-online-features',
          headers: { authorization: `Bearer ${remote.keys.read}` },
          payload: { features: ['shop:last_sku', 'customer:tier'], entities: { user_id: [user, 'a'] } },
        });
        return response.json<Answer>().results[1]?.values;
      };
      await remote.drain();
      await expect.poll(() => ask('a')).toEqual(['a', 'a']);
      reads.length = 0;
      expect(await Promise.all(users.map(ask))).toEqual([
        ['a', 'a'],
        ['b', 'a'],
        ['c', 'a'],
      ]);
      expect(reads).toEqual([6, 3]);
    } finally {
      await remote.close();
    }
  });

  it('never reads a blob of an older definition as one of the newer, not even before history is folded in', async () => {
    await world.accept([aTrack('add_to_cart', { user_id: 'd' }), aTrack('add_to_cart', { user_id: 'd' })]);
    await view('d', 'x');
    const before = await told('d', ['shop:views_1h']);
    const changed = VIEWS.replace('events: [product_view], window: 1h', 'events: [add_to_cart], window: 1h');
    await world.engine.services.features.apply(parseFeatures(changed, 'f.yaml'));
    const seen = new Set<string>();
    await expect
      .poll(async () => {
        const [cell] = await told('d', ['shop:views_1h']);
        seen.add(JSON.stringify(cell));
        return cell;
      })
      .toEqual([null, 'NOT_FOUND']);
    await world.drain();
    // History is folded in; nobody has been written anew.
    await told('d', ['shop:views_1h']).then((cells) => seen.add(JSON.stringify(cells[0])));
    world.clock.advance(1);
    await world.drain();
    await expect
      .poll(async () => {
        const [cell] = await told('d', ['shop:views_1h']);
        seen.add(JSON.stringify(cell));
        return cell;
      })
      .toEqual([2, 'PRESENT']);
    expect(before).toEqual([[1, 'PRESENT']]);
    expect([...seen].sort()).toEqual(
      ['[1,"PRESENT"]', '[2,"PRESENT"]', '[null,"NOT_FOUND"]'].filter((cell) => seen.has(cell)),
    );
  });
});
