import { createHash } from 'node:crypto';
import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { aFeature } from '../support/a-feature.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { readModelFixture } from '../support/model-fixtures.js';
import { aTrack, anIdentify, HOUR_MS } from '../support/world.js';

/* What changes are put down to, and what is left of that once somebody was erased. */

const FLOWER = {
  ...{ sepal_length_cm: 6.6, sepal_width_cm: 3, petal_length_cm: 4.4, petal_width_cm: 1.4 },
  ...{ petal_length_tenths: 44, petal_width_class: 'middle' },
};
const FIELDS = `cursor kind at profileId version segment { key } cause { kind } profile { id identifiers { value } }
  models { key version digest } evidence { dueAt event { messageId type name source occurredAt acceptedAt } }`;
const PULL = `query ($after: String, $first: Int!) { segmentChanges(after: $after, first: $first) {
  edges { node { ${FIELDS} } } pageInfo { hasNextPage endCursor } } }`;
const FOLLOW = `subscription ($after: String) { segmentChanges(after: $after) { ${FIELDS} } }`;
const ERASE = `mutation ($input: EraseProfileInput!) { eraseProfile(input: $input) { __typename } }`;
/** In everything that Anna ever sent. */
const CANARY = 'anna';

interface Change {
  readonly cursor: string;
  readonly kind: string;
  readonly at: string;
  readonly profileId: string;
  readonly segment: { readonly key: string };
  readonly cause: { readonly kind: string };
  readonly profile: { readonly id: string } | null;
  readonly models: readonly { readonly key: string; readonly version: number; readonly digest: string }[];
  readonly evidence: { readonly dueAt: string | null; readonly event: Readonly<Record<string, unknown>> | null };
}

let world: ApiWorld;
let digest: string;

beforeAll(async () => {
  world = await createApiWorld();
  const types: Readonly<Record<string, 'int' | 'string'>> = { petal_length_tenths: 'int', petal_width_class: 'string' };
  const of = (name: string, type: 'double' | 'int' | 'string') =>
    aFeature(name, { aggregate: 'last', events: ['measured'], value: `properties.${name}`, type });
  await world.defineFeatures(Object.keys(FLOWER).map((name) => of(name, types[name] ?? 'double')));
  const { bytes, manifest } = await readModelFixture('iris_named');
  digest = createHash('sha256').update(bytes).digest('hex');
  const { model } = await world.engine.services.models.register(bytes, manifest);
  await world.engine.services.models.promote(model.key, model.version);
  await world.defineSegment('spotted', 'label("iris_named") == "versicolor"');
  await world.defineSegment('keen', 'count("measured", "1h") >= 1');
  await world.drain();
  for (const name of ['anna', 'bob', 'cleo']) {
    const measured = { messageId: `measured by ${name}`, properties: FLOWER };
    await world.accept([
      anIdentify({ user_id: name, email: `${name}@example.com` }, {}, { messageId: `identify ${name}` }),
      aTrack('measured', { user_id: name }, measured),
    ]);
    await world.drain();
  }
  world.clock.advance(HOUR_MS);
  await world.drain();
});

afterAll(async () => {
  expect(world.defects).toEqual([]);
  await world.close();
});

/** The whole feed, in pages of a size. */
async function pulled(size: number, from?: string): Promise<Change[]> {
  const changes: Change[] = [];
  for (let after = from; ;) {
    const { segmentChanges: page } = await world.data<{
      segmentChanges: {
        edges: { node: Change }[];
        pageInfo: { hasNextPage: boolean; endCursor: string | null };
      };
    }>(PULL, { first: size, ...(after === undefined ? {} : { after }) });
    changes.push(...page.edges.map(({ node }) => node));
    if (!page.pageInfo.hasNextPage) return changes;
    after = page.pageInfo.endCursor ?? undefined;
  }
}

async function followed(after: string, count: number): Promise<Change[]> {
  const client = createClient({
    ...{ url: `${world.url.replace('http', 'ws')}/graphql`, webSocketImpl: WebSocket, retryAttempts: 0 },
    connectionParams: { apiKey: world.keys.pii },
  });
  const changes: Change[] = [];
  for await (const { data } of client.iterate<{ segmentChanges: Change }>({ query: FOLLOW, variables: { after } })) {
    if (data != null) changes.push(data.segmentChanges);
    if (changes.length === count) break;
  }
  await client.dispose();
  return changes;
}

const positionOf = ({ cursor }: Change): number =>
  (JSON.parse(Buffer.from(cursor, 'base64url').toString()) as [string, number])[1];

describe('a change', () => {
  it('says which event did it and by which version of which model, or when the timer was due', async () => {
    const changes = await pulled(100);
    const spotted = changes.filter(({ segment }) => segment.key === 'spotted');
    expect(spotted.map(({ evidence }) => evidence.event?.['messageId'])).toEqual(
      ['anna', 'bob', 'cleo'].map((name) => `measured by ${name}`),
    );
    for (const change of spotted) {
      expect(change.models).toEqual([{ key: 'iris_named', version: 1, digest }]);
      expect(change.evidence).toMatchObject({ dueAt: null, event: { type: 'TRACK', name: 'measured', source: 'web' } });
    }
    const left = changes.filter(({ kind }) => kind === 'LEAVE');
    expect(left.map(({ segment }) => segment.key)).toEqual(['keen', 'keen', 'keen']);
    for (const { at, cause, models, evidence } of left) {
      expect([cause.kind, models, evidence]).toEqual(['TIMER', [], { dueAt: at, event: null }]);
    }
  });

  it('of a merge names the event that joined two', async () => {
    const before = (await pulled(100)).at(-1)?.cursor;
    await world.accept([aTrack('measured', { anonymous_id: 'cookie' }, { messageId: 'unknown', properties: FLOWER })]);
    await world.drain();
    await world.accept([anIdentify({ anonymous_id: 'cookie', user_id: 'bob' }, {}, { messageId: 'it is bob' })]);
    await world.drain();
    const merged = (await pulled(100, before)).filter(({ cause }) => cause.kind === 'MERGE');
    expect(merged.length).toBeGreaterThan(0);
    for (const { evidence } of merged) expect(evidence.event).toMatchObject({ messageId: 'it is bob' });
  });
});

describe('the changes of somebody who was erased', () => {
  it('stay where they were, with nothing of the person, for whoever goes on from wherever they were', async () => {
    const before = await pulled(100);
    const anna = before[0]?.profileId;
    expect(JSON.stringify(before)).toContain(CANARY);
    const identifier = { namespace: 'user_id', value: 'anna' };
    await world.data(ERASE, { input: { identifier, reason: 'asked' } });
    await world.drain();
    const after = await pulled(100);
    expect(after.map(positionOf)).toEqual(after.map((_, i) => i + 1));
    expect(after.slice(0, before.length).map(({ cursor }) => cursor)).toEqual(before.map(({ cursor }) => cursor));
    // An hour has gone by, so that she was in one segment only: she has left it.
    expect(after.slice(before.length)).toMatchObject([
      { kind: 'LEAVE', profileId: anna, segment: { key: 'spotted' }, cause: { kind: 'ERASURE' }, profile: null },
    ]);
    expect(after.at(-1)?.evidence).toEqual({ dueAt: null, event: null });
    const hers = after.filter(({ profileId }) => profileId === anna);
    expect(hers.length).toBeGreaterThan(2);
    for (const { profile, evidence } of hers) expect([profile, evidence.event]).toEqual([null, null]);
    for (const page of [1, 2, 3]) expect(await pulled(page)).toEqual(after);
    for (const [i, { cursor }] of after.slice(0, -1).entries()) {
      expect(await followed(cursor, after.length - i - 1)).toEqual(after.slice(i + 1));
    }
    expect(JSON.stringify(after)).not.toContain(CANARY);
    const rows = await world.db.query<{ text: string }>('SELECT changes::text AS text FROM changes');
    expect(rows.map(({ text }) => text).join('\n')).not.toContain(CANARY);
    expect(after.filter(({ profileId }) => profileId !== anna)).toEqual(
      before.filter(({ profileId }) => profileId !== anna),
    );
  });
});
