import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLoads } from '../../src/create-loads.js';
import { EventHistoryReader } from '../../src/events/event-history.reader.js';
import { entitiesCommand } from '../../src/features/entities.command.js';
import { EntityFeatures } from '../../src/features/entity-features.js';
import { EntityRecordReader } from '../../src/features/entity-record.reader.js';
import { EntityRecordService } from '../../src/features/entity-record.service.js';
import { FeatureReader } from '../../src/features/feature.reader.js';
import type { FeatureValue } from '../../src/features/feature.model.js';
import { parseFeatures } from '../../src/features/parse-features.js';
import { TrainingSetService } from '../../src/features/training-set.service.js';
import { IdentityHistoryReader } from '../../src/identity/identity-history.reader.js';
import { DEFAULT_IDENTITY_RULES } from '../../src/identity/identity-rules.model.js';
import type { Confirm } from '../../src/platform/command-line.js';
import type { Source } from '../../src/sources/source.model.js';
import { parseMapping } from '../../src/sources/parse-mapping.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { runWith } from '../support/command-runner.js';
import { drainUntil } from '../support/drain-until.js';
import { aTrack, DAY_MS, HOUR_MS } from '../support/world.js';

const TTL_MS = 3_000;
const YAML = `entities:
  - { name: item, join_key: item_id, retention: 10d, description: What the shop sells. }
views:
  - name: item_facts
    kind: batch
    entity: item
    source: catalog
    event: item
    created: properties.created
    ttl: 3s
    features:
      - { name: item_price, value: properties.price, type: double }
      - { name: item_category, value: properties.category }
  - name: item_stock
    kind: batch
    entity: item
    source: stock
    event: stock
    features:
      - { name: item_left, value: properties.left, type: int }
  - name: person
    features:
      - { name: views, aggregate: count, events: [view] }
services:
  - { name: ranking, features: [views, item_price] }
`;
const MAPPING = `source: catalog
format: csv
entity: item
key: "{sku}-{at}"
time: at
identifiers: { item_id: sku }
event: { type: track, name: item }
properties: { price: { column: price, type: double }, category: category }
`;

let world: ApiWorld;
let catalog: Source;
let stock: Source;
let folder: string;
beforeAll(async () => {
  world = await createApiWorld();
  folder = await mkdtemp(join(tmpdir(), 'weft-entities-'));
  await world.engine.services.features.apply(parseFeatures(YAML, 'f.yaml'));
  catalog = await world.services.sources.ensure({ key: 'catalog', kind: 'batch' });
  stock = await world.services.sources.ensure({ key: 'stock', kind: 'batch' });
});
afterAll(async () => {
  await world.close();
  await rm(folder, { recursive: true });
});

function aRecord(
  key: string,
  messageId: string,
  timestampMs: number,
  properties: Record<string, unknown>,
  name = 'item',
) {
  const identifiers = [{ ns: 'item_id', value: key }];
  return { type: 'track' as const, name, messageId, identifiers, timestampMs, properties: properties as never };
}

async function featuresOf(): Promise<EntityFeatures> {
  const reader = new FeatureReader(world.db);
  const views = (await reader.allViews()).filter(({ entity }) => entity !== undefined);
  const ids = new Map([catalog, stock].map(({ key, id }) => [key, id]));
  const features = EntityFeatures.of(await reader.entities(), views, ids).get('item');
  if (features === undefined) throw new Error('there is no entity');
  return features;
}

interface Drawn {
  readonly key: string;
  readonly at: number;
  readonly created: number | null;
  readonly price: number | null;
  readonly acceptedAt: number;
  readonly messageId: string;
}

/** By definition: the greatest time, then creation, then message id, of what was known; its ttl with both bounds. */
function naivePrice(records: readonly Drawn[], key: string, at: number, known: number): Partial<FeatureValue> {
  const candidates = records.filter((r) => r.key === key && r.at <= at && r.acceptedAt <= known);
  const createdOf = (r: Drawn): number => r.created ?? r.acceptedAt;
  const [winner] = candidates.sort(
    (a, b) => b.at - a.at || createdOf(b) - createdOf(a) || (a.messageId < b.messageId ? 1 : -1),
  );
  if (winner === undefined) return { status: 'NOT_FOUND', value: null };
  if (winner.at < at - TTL_MS) return { status: 'OUTSIDE_MAX_AGE', value: null, eventTs: winner.at };
  return { status: winner.price === null ? 'NULL_VALUE' : 'PRESENT', value: winner.price, eventTs: winner.at };
}

describe('features of an entity', () => {
  it('are those of the winning record as of any instant and of what was known, as an oracle has it', async () => {
    const features = await featuresOf();
    const acceptor = await new EntityRecordService(world).acceptorOf('item');
    const index = features.features.get('item_price')?.index ?? -1;
    let run = 0;
    const drawn = fc.record({
      key: fc.constantFrom('a', 'b'),
      at: fc.integer({ min: 0, max: 5 }),
      created: fc.option(fc.integer({ min: 0, max: 2 })),
      price: fc.option(fc.integer({ min: 1, max: 9 })),
    });
    const ask = fc.record({
      key: fc.constantFrom('a', 'b', 'c'),
      at: fc.integer({ min: -1, max: 10 }),
      known: fc.nat(9),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(drawn, { maxLength: 8 }), fc.array(ask, { maxLength: 6 }), async (rows, asks) => {
        const id = String(run++);
        const base = world.clock.now();
        world.clock.advance(20_000);
        const records: Drawn[] = [];
        for (const [i, row] of rows.entries()) {
          const acceptedAt = world.clock.now();
          const messageId = `${id}-${String((i * 5) % 8)}`;
          const key = `${id}${row.key}`;
          const created = row.created === null ? null : base + row.created;
          const timed = { ...row, key, created, at: base + row.at * 1_000, messageId, acceptedAt };
          records.push(timed);
          const properties = { price: row.price, ...(created === null ? {} : { created }) };
          const record = aRecord(key, messageId, timed.at, properties);
          expect(await acceptor.accept(catalog, [record, record], {})).toEqual([
            { status: 'accepted' },
            { status: 'duplicate' },
          ]);
          world.clock.advance(1_000);
        }
        const asked = asks.map(({ key, at, known }) => ({
          key: `${id}${key}`,
          t: base + at * 1_000 + 1,
          knownUntilMs: base + 20_000 + known * 1_000,
        }));
        const values = await features.read(new EntityRecordReader(world.db), asked, [index]);
        expect(values.map(([value]) => value)).toMatchObject(
          asked.map(({ key, t, knownUntilMs }) => naivePrice(records, key, t - 1, knownUntilMs)),
        );
      }),
      { numRuns: 40 },
    );
  });

  const post = async (path: string, body: object, key = world.keys.admin): Promise<[number, unknown]> => {
    const response = await fetch(`${world.url}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}` },
      body: JSON.stringify(body),
    });
    return [response.status, await response.json()];
  };

  it('are written by Feast’s clients and read by them and by GraphQL, by key', async () => {
    const at = new Date(world.clock.now()).toISOString();
    const df = { item_id: ['sku-1', 'sku-2'], item_price: [9.5, null], item_category: ['shoes', 'hats'] };
    const rows = { ...df, event_timestamp: [at, at] };
    const written = { accepted: 2, duplicates: 0, applied: true };
    expect(await post('/write-to-online-store', { feature_view_name: 'item_facts', df: rows })).toEqual([200, written]);
    const again = await post('/push', { push_source_name: 'catalog', df: rows });
    expect(again).toEqual([200, { ...written, accepted: 0, duplicates: 2 }]);
    const [, answer] = await post('/get-online-features', {
      features: ['item_facts:item_price', 'item_facts:item_category', 'item_stock:item_left'],
      entities: { item_id: ['sku-1', 'sku-2', 'sku-3'] },
      full_feature_names: true,
    });
    expect(answer).toMatchObject({
      metadata: {
        feature_names: ['item_id', 'item_facts__item_price', 'item_facts__item_category', 'item_stock__item_left'],
      },
      results: [
        { values: ['sku-1', 'sku-2', 'sku-3'] },
        { values: [9.5, null, null], statuses: ['PRESENT', 'NULL_VALUE', 'NOT_FOUND'] },
        { values: ['shoes', 'hats', null] },
        { values: [null, null, null], statuses: ['NOT_FOUND', 'NOT_FOUND', 'NOT_FOUND'] },
      ],
    });
    const data = await world.data(
      `{ onlineFeatures(entity: "item", keys: ["sku-1", "sku-3"], service: "ranking") {
        entity { namespace value } profileId features { fullName status value version }
      } }`,
    );
    const price = { fullName: 'item_facts__item_price', version: 1 };
    expect(data).toEqual({
      onlineFeatures: [
        {
          entity: { namespace: 'item_id', value: 'sku-1' },
          profileId: null,
          features: [{ ...price, status: 'PRESENT', value: 9.5 }],
        },
        {
          entity: { namespace: 'item_id', value: 'sku-3' },
          profileId: null,
          features: [{ ...price, status: 'NOT_FOUND', value: null }],
        },
      ],
    });
    world.clock.advance(TTL_MS + 2);
    const old = await world.data(
      `{ onlineFeatures(entity: "item", keys: ["sku-1"], features: ["item_price"]) { features { status } } }`,
    );
    expect(old).toEqual({ onlineFeatures: [{ features: [{ status: 'OUTSIDE_MAX_AGE' }] }] });
  });

  it('are refused where the question is not about the entity', async () => {
    for (const [args, message] of [
      ['entity: "itme", keys: ["a"]', 'there is no entity itme'],
      ['entity: "item"', 'an entity needs keys, and keys an entity'],
      ['entity: "item", keys: ["a"], features: ["views"]', 'item has no feature views'],
      ['entity: "item", keys: [""]', 'there is a key that no item_id can be'],
      ['entity: "item", keys: ["a"], request: { a: 1 }', 'request is about people, and item is asked about'],
      ['features: ["views"]', 'nothing says whose features are asked for'],
      ['entities: [{ namespace: "user_id", value: "u" }], features: ["item_price"]', 'there is no feature item_price'],
    ]) {
      const { errors } = await world.ask(`{ onlineFeatures(${args ?? ''}) { profileId } }`);
      expect(errors?.[0]?.message).toBe(message);
    }
    const rows = { item_id: ['a'], item_price: [1], pirce: [2] };
    const [status, body] = await post('/write-to-online-store', { feature_view_name: 'item_facts', df: rows });
    expect([status, JSON.stringify(body)]).toEqual([422, expect.stringContaining('neither a feature of the view nor')]);
    const [denied] = await post(
      '/push',
      { push_source_name: 'catalog', df: { item_id: ['a'], item_price: [1] } },
      world.keys.ingest,
    );
    expect(denied).toBe(403);
  });

  it('come from loaded files, once however often, and go with a load that is reverted', async () => {
    const { engine, services, clock, db } = world;
    const { loads } = createLoads(engine, services.sources, engine.accept, { db, clock });
    const at = new Date(clock.now()).toISOString();
    const file = join(folder, 'items.csv');
    await writeFile(
      file,
      `sku,at,price,category\nl-1,${at},5,shoes\nl-2,${at},,hats\n,${at},1,none\nl-1,${at},5,shoes\n`,
    );
    const mapping = parseMapping(MAPPING);
    const dry = await loads.dryRun({ file, mapping });
    expect(dry).toMatchObject({ events: 3, refused: 1, people: null, refusedByCode: { KEY_MISSING: 1 } });
    const loaded = await loads.load({ file, mapping });
    expect(loaded).toMatchObject({ outcome: 'loaded', accepted: 2, duplicates: 1, refused: 1 });
    expect(await loads.load({ file, mapping, again: true })).toMatchObject({ accepted: 0, duplicates: 3 });
    const ask =
      '{ onlineFeatures(entity: "item", keys: ["l-1"], features: ["item_price"]) { features { status value } } }';
    expect(await world.data(ask)).toEqual({ onlineFeatures: [{ features: [{ status: 'PRESENT', value: 5 }] }] });
    const revert = `mutation ($dry: Boolean!) { revertLoad(id: "${loaded.loadId}", dryRun: $dry) {
      ... on LoadRevert { events profiles records load { recordsToRemove recordsRemoved } } } }`;
    const told = { events: 0, profiles: 0, records: 2 };
    expect(await world.data(revert, { dry: true })).toEqual({
      revertLoad: { ...told, load: { recordsToRemove: null, recordsRemoved: null } },
    });
    expect(await world.data(revert, { dry: false })).toEqual({
      revertLoad: { ...told, load: { recordsToRemove: 2, recordsRemoved: 0 } },
    });
    const { id } = await engine.retractions.takeBackLoad(loaded.loadId);
    expect(await drainUntil(world, engine.retractions.done(id))).toMatchObject({ records: 2, removedRecords: 2 });
    expect(await world.data(`{ load(id: "${loaded.loadId}") { status recordsRemoved } }`)).toEqual({
      load: { status: 'REVERTED', recordsRemoved: 2 },
    });
    expect(await world.data(ask)).toEqual({ onlineFeatures: [{ features: [{ status: 'NOT_FOUND', value: null }] }] });
    const other = parseMapping(MAPPING.replace('item_id: sku', 'user_id: sku'));
    await expect(loads.load({ file, mapping: other })).rejects.toThrow('the mapping names no item_id');
    await expect(
      loads.load({ file, mapping: parseMapping(MAPPING.replace('entity: item', 'entity: page')) }),
    ).rejects.toThrow('there is no entity page');
    expect(() => parseMapping(`${MAPPING}traits: { name: category }\n`)).toThrow('is of events of people');
  });

  it('are listed by key, read with their history and erased, by GraphQL and on the command line', async () => {
    const { db, clock } = world;
    const service = new EntityRecordService(world);
    const acceptor = await service.acceptorOf('item');
    const now = clock.now();
    const keys = ['x-\uff5e', 'x-\u{1f600}', 'x-B', 'x-a', 'x-b', 'x', 'y-a'];
    const records = keys.flatMap((key, k) =>
      [3, 1, 2].map((age) => aRecord(key, `m${String(k)}-${String(age)}`, now - age * HOUR_MS, { price: age })),
    );
    await acceptor.accept(catalog, records, {});
    await acceptor.accept(stock, [aRecord('x-a', 'm3-1', now - HOUR_MS, { left: 4 }, 'stock')], {});

    interface Page<T> {
      readonly edges: readonly { readonly node: T }[];
      readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
    }
    const pages = async <T>(field: string, args: string, fields: string, first: number): Promise<T[]> => {
      const seen: T[] = [];
      for (let after: string | null = null, more = true; more;) {
        const query = `query ($first: Int!, $after: String) { page: ${field}(${args}, first: $first, after: $after) {
          edges { node { ${fields} } } pageInfo { hasNextPage endCursor } } }`;
        const { page }: { page: Page<T> } = await world.data(query, { first, after });
        expect(page.edges.length).toBeLessThanOrEqual(first);
        seen.push(...page.edges.map(({ node }) => node));
        after = page.pageInfo.endCursor;
        more = page.pageInfo.hasNextPage;
      }
      return seen;
    };
    const newestAt = new Date(now - HOUR_MS).toISOString();
    for (const size of [1, 2, 4, 500]) {
      const listed = await pages<object>('entityKeys', 'entity: "item", prefix: "x-"', 'key records newestAt', size);
      const ofOne = { records: 3, newestAt };
      expect(listed).toEqual([
        { key: 'x-B', ...ofOne },
        { key: 'x-a', records: 4, newestAt },
        { key: 'x-b', ...ofOne },
        { key: 'x-\uff5e', ...ofOne },
        { key: 'x-\u{1f600}', ...ofOne },
      ]);
      const told = await pages<object>(
        'entityRecords',
        'entity: "item", key: "x-a"',
        'source messageId properties',
        size,
      );
      expect(told).toEqual([
        { source: 'stock', messageId: 'm3-1', properties: { left: 4 } },
        { source: 'catalog', messageId: 'm3-1', properties: { price: 1 } },
        { source: 'catalog', messageId: 'm3-2', properties: { price: 2 } },
        { source: 'catalog', messageId: 'm3-3', properties: { price: 3 } },
      ]);
    }
    expect(await pages('entityKeys', 'entity: "item", prefix: "x\\u0000"', 'key', 9)).toEqual([]);

    const erase = `mutation ($entity: String!, $key: String!, $messageId: String) {
      eraseEntityRecords(entity: $entity, key: $key, messageId: $messageId) {
        ... on EntityRecordsErased { key records } ... on Failure { message } } }`;
    const erased = async (key: string, messageId?: string, entity = 'item'): Promise<unknown> =>
      (await world.data<{ eraseEntityRecords: unknown }>(erase, { entity, key, messageId })).eraseEntityRecords;
    expect(await erased('x-a', 'm3-1')).toEqual({ key: 'x-a', records: 2 });
    expect(await erased('x-a')).toEqual({ key: 'x-a', records: 2 });
    expect(await erased('x-a')).toEqual({ key: 'x-a', records: 0 });
    expect(await erased('\0')).toEqual({ key: '\0', records: 0 });
    expect(await erased('x-a', undefined, 'itme')).toEqual({ message: 'there is no entity itme' });
    const noted = await db.query(
      `SELECT DISTINCT outcome, targets FROM audit_log WHERE operation = 'Mutation.eraseEntityRecords' ORDER BY outcome`,
    );
    expect(noted).toEqual([
      { outcome: 'NOT_FOUND', targets: ['itme'] },
      { outcome: 'OK', targets: ['item'] },
    ]);

    const weft = (args: string[], confirm: Confirm | null = null) =>
      runWith((io) => entitiesCommand({ ...io, confirm, withRecords: (use) => use(service) }), args);
    const listed = await weft(['keys', 'item', '--prefix', 'x-', '--limit', '2']);
    expect(listed).toMatchObject({
      stdout: expect.stringMatching(/^key +records +newest\nx-B +3 +\S+\nx-b +3 +\S+\n$/) as string,
      stderr: 'note: there are more: --after "x-b" goes on\n',
    });
    const rest = await weft(['keys', 'item', '--prefix', 'x-', '--after', 'x-b', '--json']);
    expect((JSON.parse(rest.stdout) as { key: string }[]).map(({ key }) => key)).toEqual(['x-\uff5e', 'x-\u{1f600}']);
    const history = await weft(['history', 'item', 'x-b', '--json', '--limit', '1']);
    expect(JSON.parse(history.stdout)).toMatchObject([
      { messageId: 'm4-1', occurredAt: newestAt, properties: { price: 1 } },
    ]);
    expect(history.stderr).toBe('note: there are older ones; raise --limit\n');
    expect(await weft(['erase', 'item', 'x-b'])).toMatchObject({ code: 2, stdout: '' });
    expect(await weft(['erase', 'item', 'x-b'], () => Promise.resolve(false))).toMatchObject({ code: 1 });
    expect(await weft(['erase', 'item', 'x-b', '--yes'])).toMatchObject({ stdout: 'Removed: 3 records of x-b.\n' });
    expect(await weft(['history', 'item', 'x-b'])).toMatchObject({ stdout: 'No records are kept of it.\n' });
    expect(await weft(['keys', 'itme'])).toMatchObject({ code: 1, stderr: expect.stringContaining('item') as string });
  });

  it('are columns of a training set, by the key of each row and as of its time, as an oracle has them', async () => {
    const { db, clock, engine } = world;
    const acceptor = await new EntityRecordService(world).acceptorOf('item');
    const base = clock.now();
    clock.advance(20_000);
    const records: Drawn[] = [];
    for (const [i, at] of [0, 2, 2, 5, 1].entries()) {
      const drawn = {
        key: 't',
        at: base + at * 1_000,
        created: null,
        price: i === 3 ? null : i + 1,
        messageId: `t${String(i)}`,
      };
      records.push({ ...drawn, acceptedAt: clock.now() });
      await acceptor.accept(catalog, [aRecord('t', drawn.messageId, drawn.at, { price: drawn.price })], {});
      clock.advance(1_000);
    }
    await world.accept([aTrack('view', { user_id: 'reader' }, { timestampMs: base + 1_000 })]);
    await world.drain();
    const events = new EventHistoryReader();
    const identity = new IdentityHistoryReader({ rules: DEFAULT_IDENTITY_RULES, events });
    const sets = new TrainingSetService({ db, clock, policy: engine.policy, identity, events });
    const times = [-1_000, 0, 2_500, 5_000, 5_500, 9_000];
    const labels = times.flatMap((ms) =>
      ['t', 'other', ''].map((key) => ({ ns: 'user_id', value: 'reader', timeMs: base + ms, cells: ['1', key] })),
    );
    for (const knownAsOf of ['now', base + 21_500] as const) {
      const request = { labels, columns: ['label', 'item_id'], service: 'ranking', knownAsOf };
      const { rows } = await sets.exportTrainingSet(request);
      let place = 0;
      for await (const { values, label } of rows) {
        const known = knownAsOf === 'now' ? clock.now() : knownAsOf;
        expect(values[1]).toMatchObject(naivePrice(records, label.cells[1] ?? '', label.timeMs, known));
        if (knownAsOf === 'now') expect(values[0]?.value).toBe(label.timeMs >= base + 1_000 ? 1 : 0);
        place++;
      }
      expect(place).toBe(labels.length);
    }
    const without = await sets.exportTrainingSet({ labels, columns: ['label', 'sku'], service: 'ranking' });
    await expect(without.rows.next()).rejects.toThrow('a row names no item_id, and is about user_id');
  });

  it('lose records beyond the retention, but for the newest of each key, and all with their entity', async () => {
    const { clock, db, engine } = world;
    const acceptor = await new EntityRecordService(world).acceptorOf('item');
    const now = clock.now();
    const record = (message: string, ageMs: number) => aRecord('kept', message, now - ageMs, { price: ageMs });
    await acceptor.accept(catalog, [record('k1', 3 * HOUR_MS), record('k2', 2 * HOUR_MS), record('k3', 0)], {});
    await acceptor.accept(catalog, [aRecord('alone', 'k4', now, { price: 1 })], {});
    clock.advance(10 * DAY_MS - HOUR_MS);
    await world.drain();
    const history = async (key: string): Promise<string[]> =>
      (await new EntityRecordReader(db).history('item', key, null, 10)).map(({ messageId }) => messageId);
    expect(await history('kept')).toEqual(['k3']);
    clock.advance(10 * DAY_MS);
    await world.drain();
    expect([await history('kept'), await history('alone')]).toEqual([['k3'], ['k4']]);
    const [, rest] = YAML.split('  - name: person');
    const without = parseFeatures(`views:\n  - name: person${(rest ?? '').replace(', item_price', '')}`, 'f.yaml');
    const { features } = engine.services;
    await expect(features.apply(without, { prune: true })).rejects.toThrow('the entity item has records');
    await features.apply(without, { prune: true, force: true });
    clock.advance(DAY_MS);
    await world.drain();
    expect(await db.query('SELECT FROM entity_records')).toEqual([]);
  });
});

describe('definitions of entities', () => {
  it.each([
    ['entities: [{ name: profile, join_key: a }]', 'the entity profile is built in'],
    ['entities: [{ name: item }]', 'an entity needs a join_key'],
    ['entities: [{ name: item, join_key: profile_id }]', 'profile_id names people'],
    ['entities: [{ name: item, join_key: a }, { name: page, join_key: a }]', 'the join_key a is taken'],
    ['entities: [{ name: item, join_key: a, retention: 1h }]', 'a day or more'],
    ['views: [{ name: v, entity: item, event: a, features: [] }]', 'only batch views have event'],
    [
      'views: [{ name: v, kind: batch, entity: item, source: s, event: e, purposes: [ads], features: [{ name: a, value: properties.a }] }]',
      'purposes are what people allow',
    ],
    [
      'views: [{ name: v, kind: batch, entity: item, source: s, event: e, features: [{ name: a, value: traits.a }] }]',
      'records of entities have properties alone',
    ],
  ])('that are wrong are told so: %s', (text, message) => {
    expect(() => parseFeatures(text, 'f.yaml')).toThrow(message);
  });
});
