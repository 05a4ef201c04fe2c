import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parseFeatures } from '../../src/features/parse-features.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { aTrack, anIdentify, HOUR_MS, MINUTE_MS, START_MS } from '../support/world.js';

const FEATURES = `
views:
  - name: web
    description: What visitors do.
    features:
      - { name: views_1h, aggregate: count, events: [product_view], window: 1h }
      - { name: spend, aggregate: sum, events: [purchase], value: properties.total }
      - { name: last_purchase_sku, aggregate: last, events: [purchase], value: properties.sku, type: string }
services:
  - { name: intent_v1, description: For intent., features: [spend, views_1h] }
`;

const MANY = 60;
const iso = (ms: number): string => new Date(ms).toISOString();

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  await world.engine.services.features.apply(parseFeatures(FEATURES, 'test'));
  await world.defineSegment('keen', 'f.views_1h >= 2');
  await world.defineSegment('buyers', 'performed("purchase")');
  await world.defineSegment('keen_buyers', 'segment("keen") && segment("buyers")');
  await world.drain();
  const ann = { user_id: 'ann', email: 'Ann@Example.com' };
  await world.accept([
    anIdentify(ann, { first_name: 'Ann', city: 'Graz', empty: null }),
    aTrack('product_view', ann, { messageId: 'v1' }),
    aTrack('product_view', ann, { messageId: 'v2', properties: { sku: 'a' } }),
    ...Array.from({ length: MANY }, (_, i) =>
      aTrack('product_view', { anonymous_id: `a${String(i)}`, ...(i === 0 ? { loyalty_no: '7' } : {}) }),
    ),
  ]);
  await world.drain();
  await vi.waitFor(async () => {
    const { profile } = await world.data<{ profile: { features: { complete: boolean }[] } }>(
      '{ profile(identifier: { namespace: "user_id", value: "ann" }) { features { complete } } }',
    );
    expect(profile.features.map(({ complete }) => complete)).toEqual([true, true, true]);
  });
});

afterAll(async () => {
  expect(world.defects).toEqual([]);
  await world.close();
});

/** Statements that a request sends, without the poll of the definitions. */
async function countingSql<T>(
  work: () => Promise<T>,
): Promise<{ result: T; statements: string[]; storeCalls: number }> {
  const statements: string[] = [];
  const send: (...args: unknown[]) => unknown = pg.Client.prototype.query;
  const spy = vi.spyOn(pg.Client.prototype, 'query').mockImplementation(function (this: pg.Client, ...args: unknown[]) {
    const [first] = args as [{ text?: string } | string];
    const text = typeof first === 'string' ? first : (first.text ?? '');
    if (!text.includes('definitions_version')) statements.push(text);
    return send.apply(this, args);
  });
  const getMany = vi.spyOn(world.store, 'getMany');
  try {
    const result = await work();
    return { result, statements, storeCalls: getMany.mock.calls.length };
  } finally {
    spy.mockRestore();
    getMany.mockRestore();
  }
}

describe('profile', () => {
  it('is found by any of its identifiers, normalised as those of events are, and by id', async () => {
    const query = `query ($email: String!) {
      byEmail: profile(identifier: { namespace: "email", value: $email }) { id createdAt identifiers { namespace value } }
      byUser: profile(identifier: { namespace: "user_id", value: "ann" }) { id traits }
      nobody: profile(identifier: { namespace: "user_id", value: "bob" }) { id }
      blocked: profile(identifier: { namespace: "user_id", value: "undefined" }) { id }
      badId: profile(id: "nonsense") { id }
    }`;
    const data = await world.data<Record<string, { id: string } | null>>(query, { email: ' ANN@example.COM ' });
    expect(data).toMatchObject({
      byEmail: {
        createdAt: iso(START_MS),
        identifiers: expect.arrayContaining([
          { namespace: 'user_id', value: 'ann' },
          { namespace: 'email', value: 'ann@example.com' },
        ]) as unknown,
      },
      byUser: { id: data['byEmail']?.id, traits: { first_name: 'Ann', city: 'Graz', empty: null } },
      nobody: null,
      blocked: null,
      badId: null,
    });
    const id = data['byEmail']?.id;
    expect(
      await world.data('query ($id: ID!) { profile(id: $id) { id traits(names: ["city", "no"]) } }', { id }),
    ).toEqual({
      profile: { id, traits: { city: 'Graz' } },
    });
  });

  it('tells a namespace that nobody can be known in from somebody who is not known', async () => {
    const ask = (namespace: string) =>
      world.ask('query ($ns: String!) { profile(identifier: { namespace: $ns, value: "nobody" }) { id } }', {
        ns: namespace,
      });
    const mistyped = await ask('user_ids');
    expect(mistyped.errors?.[0]).toMatchObject({
      message: 'nobody is known by the namespace user_ids',
      extensions: { code: 'BAD_REQUEST', where: 'identifier.namespace', hint: 'did you mean user_id?' },
    });
    expect((await ask('User_ID')).errors?.[0]?.extensions).toMatchObject({ hint: 'did you mean user_id?' });
    // Named by a rule, or by an adapter, and carried by nobody so far; or free, and not like any of them.
    const nobody = { status: 200, data: { profile: null } };
    for (const namespace of ['mastodon', 'twitter_id', 'shoe_size']) expect(await ask(namespace)).toEqual(nobody);
    // Named by no rule, and carried by somebody.
    expect(await ask('loyalty_no')).toEqual(nobody);
    expect((await ask('loyalty_n')).errors?.[0]?.extensions).toMatchObject({ hint: 'did you mean loyalty_no?' });
  });

  it('wants exactly one of id and identifier, and a namespace that can be', async () => {
    expect((await world.ask('{ profile { id } }')).errors).toMatchObject([
      { path: ['profile'], extensions: { code: 'BAD_REQUEST', hint: 'give exactly one of the two' } },
    ]);
    const odd = await world.ask('{ profile(identifier: { namespace: "No Such!", value: "x" }) { id } }');
    expect(odd.errors?.[0]?.extensions).toMatchObject({ code: 'BAD_REQUEST', where: 'identifier.namespace' });
  });

  it('has features as of now, with status, age and validity', async () => {
    const features = async (selection = 'features'): Promise<unknown> => {
      const { profile } = await world.data<{ profile: { features: unknown } }>(
        `{ profile(identifier: { namespace: "user_id", value: "ann" }) {
             ${selection} { name type status value eventTs ageMs validUntil approximate version complete } } }`,
      );
      return profile.features;
    };
    const common = { approximate: false, version: 1, complete: true };
    const views = { name: 'views_1h', type: 'INT', status: 'PRESENT', value: 2, eventTs: iso(START_MS), ...common };
    const spend = {
      name: 'spend',
      type: 'DOUBLE',
      status: 'PRESENT',
      value: 0,
      eventTs: null,
      ageMs: null,
      validUntil: null,
      ...common,
    };
    const sku = { ...spend, name: 'last_purchase_sku', type: 'STRING', status: 'NOT_FOUND', value: null };
    const fresh = { ...views, ageMs: 1, validUntil: expect.any(String) as unknown };
    expect(await features()).toEqual([fresh, spend, sku]);
    expect(await features('features(service: "intent_v1")')).toEqual([spend, fresh]);
    expect(await features('features(names: ["last_purchase_sku"])')).toEqual([sku]);
    const missing = await world.ask(
      '{ profile(identifier: { namespace: "user_id", value: "ann" }) { features(names: ["view_1h"]) { name } } }',
    );
    expect(missing.errors?.[0]?.extensions).toMatchObject({ code: 'BAD_REQUEST', hint: 'did you mean views_1h?' });
  });

  it('says of each membership how it was found, why, and as of when', async () => {
    const query = `{ profile(identifier: { namespace: "user_id", value: "ann" }) {
      asOf
      segments { segment { key name } isMember since version cause { kind } evaluation asOf }
      live: membership(segment: "buyers") { isMember since evaluation asOf }
      now: membership(segment: "keen", evaluate: NOW) { isMember since evaluation asOf version }
      both: membership(segment: "keen_buyers", evaluate: NOW) { isMember }
    } }`;
    expect(await world.data(query)).toEqual({
      profile: {
        asOf: iso(START_MS),
        segments: [
          {
            segment: { key: 'keen', name: 'keen' },
            isMember: true,
            since: iso(START_MS + 1),
            version: 1,
            cause: { kind: 'EVENT' },
            evaluation: 'LIVE',
            asOf: iso(START_MS),
          },
        ],
        live: { isMember: false, since: null, evaluation: 'LIVE', asOf: iso(START_MS) },
        now: { isMember: true, since: null, evaluation: 'NOW', asOf: iso(START_MS + 1), version: 1 },
        both: { isMember: false },
      },
    });
    const missing = await world.ask(
      '{ profile(identifier: { namespace: "user_id", value: "ann" }) { id membership(segment: "kean") { isMember } } }',
    );
    expect(missing.data).toMatchObject({ profile: { membership: null } });
    expect(missing.errors).toMatchObject([
      { path: ['profile', 'membership'], extensions: { code: 'NOT_FOUND', hint: 'did you mean keen?' } },
    ]);
  });

  it('has a timeline in pages, newest first', async () => {
    const query = `query ($after: String) { profile(identifier: { namespace: "user_id", value: "ann" }) {
      timeline(first: 2, after: $after) {
        edges { node { ... on TimelineEvent { messageId type name source occurredAt historical properties identifiers { namespace } } } }
        pageInfo { hasNextPage hasPreviousPage endCursor } } } }`;
    type Page = {
      profile: { timeline: { edges: { node: { messageId: string } }[]; pageInfo: { endCursor: string } } };
    };
    const first = (await world.data<Page>(query)).profile.timeline;
    expect(first).toMatchObject({
      edges: [
        { node: { messageId: 'v2', type: 'TRACK', name: 'product_view', source: 'web', properties: { sku: 'a' } } },
        { node: { messageId: 'v1', occurredAt: iso(START_MS), historical: false } },
      ],
      pageInfo: { hasNextPage: true, hasPreviousPage: false },
    });
    const second = (await world.data<Page>(query, { after: first.pageInfo.endCursor })).profile.timeline;
    expect(second).toMatchObject({
      edges: [{ node: { type: 'IDENTIFY' } }],
      pageInfo: { hasNextPage: false, hasPreviousPage: true },
    });
  });
});

describe('lists', () => {
  it('walks all profiles by cursor, each once', async () => {
    const ids: string[] = [];
    let after: string | null = null;
    do {
      const {
        profiles,
      }: { profiles: { edges: { node: { id: string } }[]; pageInfo: { endCursor: string; hasNextPage: boolean } } } =
        await world.data(
          'query ($after: String) { profiles(first: 25, after: $after) { edges { node { id } } pageInfo { endCursor hasNextPage } } }',
          { after },
        );
      ids.push(...profiles.edges.map(({ node }) => node.id));
      after = profiles.pageInfo.hasNextPage ? profiles.pageInfo.endCursor : null;
    } while (after !== null);
    expect(new Set(ids).size).toBe(MANY + 1);
    expect(ids).toHaveLength(MANY + 1);
  });

  it('has bounded pages and refuses cursors of other lists', async () => {
    expect((await world.ask('{ profiles(first: 501) { edges { cursor } } }')).errors?.[0]?.extensions).toMatchObject({
      code: 'BAD_REQUEST',
      where: 'first',
    });
    const { segments } = await world.data<{ segments: { pageInfo: { endCursor: string } } }>(
      '{ segments(first: 1) { pageInfo { endCursor } } }',
    );
    const wrong = await world.ask('query ($after: String) { profiles(after: $after) { edges { cursor } } }', {
      after: segments.pageInfo.endCursor,
    });
    expect(wrong.errors?.[0]?.extensions['code']).toBe('CURSOR_INVALID');
  });

  it('shows segments with their sizes and members, feature views and changes', async () => {
    const data = await world.data(`{
      segments { edges { node { key size activeExpression members(first: 5) { edges { since node { identifiers { value } } } } } } }
      featureViews { edges { node { name version features { name aggregate windowMs } } } }
      segmentChanges(segments: ["keen"]) { edges { node { kind at segment { key } profile { traits(names: ["city"]) } } } }
    }`);
    expect(data).toMatchObject({
      segments: {
        edges: [
          { node: { key: 'buyers', size: 0, members: { edges: [] } } },
          {
            node: {
              key: 'keen',
              size: 1,
              activeExpression: 'f.views_1h >= 2',
              members: { edges: [{ since: iso(START_MS + 1) }] },
            },
          },
          { node: { key: 'keen_buyers', size: 0 } },
        ],
      },
      featureViews: {
        edges: [{ node: { name: 'web', version: 1, features: [{ name: 'views_1h', windowMs: HOUR_MS }, {}, {}] } }],
      },
      segmentChanges: {
        edges: [
          {
            node: {
              kind: 'ENTER',
              at: iso(START_MS + 1),
              segment: { key: 'keen' },
              profile: { traits: { city: 'Graz' } },
            },
          },
        ],
      },
    });
  });

  it('reads features of many entities in the order asked', async () => {
    const { onlineFeatures } = await world.data<{ onlineFeatures: unknown[] }>(
      `query ($entities: [IdentifierInput!]!) { onlineFeatures(entities: $entities, features: ["views_1h"]) {
         entity { value } profileId features { value } } }`,
      { entities: ['a1', 'nobody', 'a0'].map((value) => ({ namespace: 'anonymous_id', value })) },
    );
    const one = { profileId: expect.any(String) as unknown, features: [{ value: 1 }] };
    expect(onlineFeatures).toEqual([
      { entity: { value: 'a1' }, ...one },
      { entity: { value: 'nobody' }, profileId: null, features: [] },
      { entity: { value: 'a0' }, ...one },
    ]);
  });
});

describe('the cost of a read', () => {
  const entities = Array.from({ length: MANY }, (_, i) => ({ namespace: 'anonymous_id', value: `a${String(i)}` }));
  const manyProfiles = `query ($entities: [IdentifierInput!]!) { onlineFeatures(entities: $entities) { features { value } } }`;
  // Of all: which come first is a matter of their ids, and only some are in a segment.
  const onePage = `{ profiles(first: 100) { edges { node { id traits features { value } segments { segment { key size } } } } } }`;

  it('is two calls of the online store and no statement for many profiles by identifier', async () => {
    const { statements, storeCalls } = await countingSql(() => world.data(manyProfiles, { entities }));
    expect({ statements, storeCalls }).toEqual({ statements: [], storeCalls: 2 });
  });

  it('does not grow with the number of profiles on a page', async () => {
    const { statements, storeCalls } = await countingSql(() => world.data(onePage));
    expect(storeCalls).toBe(1);
    // the page; what lies beyond one that is not full; sizes of segments
    expect(statements).toHaveLength(3);
  });

  it('is one transaction where the online store lost everything, and the answer is the same', async () => {
    const before = await world.data(manyProfiles, { entities });
    const page = await world.data(onePage);
    world.store.entries.clear();
    const { result, statements } = await countingSql(() => world.data(manyProfiles, { entities }));
    expect(result).toEqual(before);
    // identifiers; BEGIN, aliases, profiles, anchors, memberships, partitions, COMMIT
    expect(statements).toHaveLength(8);
    expect(world.readThroughs()).toBe(MANY);
    expect(await world.data(onePage)).toEqual(page);
  });

  it('leaves what the pipeline writes through in place of what was read through', async () => {
    world.store.entries.clear();
    const query =
      '{ profile(identifier: { namespace: "anonymous_id", value: "a1" }) { features(names: ["views_1h"]) { value } } }';
    expect(await world.data(query)).toEqual({ profile: { features: [{ value: 1 }] } });
    world.clock.advance(MINUTE_MS);
    await world.accept([aTrack('product_view', { anonymous_id: 'a1' })]);
    await world.drain();
    expect(await world.data(query)).toEqual({ profile: { features: [{ value: 2 }] } });
  });
});

describe('a merge', () => {
  it('leads from the old id to the survivor, from the store and from the database', async () => {
    const idOf = async (value: string): Promise<string> =>
      (
        await world.data<{ profile: { id: string } }>(
          `{ profile(identifier: { namespace: "anonymous_id", value: "${value}" }) { id } }`,
        )
      ).profile.id;
    const ids = [await idOf('a2'), await idOf('a3')];
    await world.accept([
      anIdentify({ anonymous_id: 'a2', user_id: 'joe' }),
      anIdentify({ anonymous_id: 'a3', user_id: 'joe' }),
    ]);
    await world.drain();
    const byId =
      'query ($a: ID!, $b: ID!) { a: profile(id: $a) { id identifiers { value } } b: profile(id: $b) { id } }';
    const variables = { a: ids[0], b: ids[1] };
    const merged = await world.data<{ a: { id: string; identifiers: unknown[] }; b: { id: string } }>(byId, variables);
    expect(merged.a.id).toBe(merged.b.id);
    expect(ids).toContain(merged.a.id);
    expect(merged.a.identifiers).toHaveLength(3);
    const changes = '{ segmentChanges(profile: "ID") { edges { node { kind } } } }';
    const ofBoth = await Promise.all(ids.map((id) => world.data(changes.replace('ID', id))));
    expect(ofBoth[0]).toEqual(ofBoth[1]);
    world.store.entries.clear();
    const again = await world.data<typeof merged>(byId, variables);
    expect(again.b).toEqual(merged.b);
    expect(new Set(again.a.identifiers)).toEqual(new Set(merged.a.identifiers));
  });
});
