import { ApolloServer } from '@apollo/server';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { TimelineReader } from '../../src/events/timeline.reader.js';
import { parseFeatures } from '../../src/features/parse-features.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { aTrack, anIdentify } from '../support/world.js';

const FEATURES = `
views:
  - name: web
    description: What visitors do.
    features:
      - { name: views_1h, aggregate: count, events: [product_view], window: 1h }
      - { name: last_sku, aggregate: last, events: [product_view], value: properties.sku, type: string }
`;

const PAGE = `query Page($user: String!, $names: [String!] = ["views_1h"], $all: Boolean = false) {
  profile(identifier: { namespace: "user_id", value: $user }) {
    id
    traits(names: ["first_name", "odd"])
    features(names: $names) { name value status eventTs }
    segments { segment { key } since }
    createdAt @include(if: $all)
    kind: __typename
  }
}`;

interface Sent {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A request, and whether it is answered without Apollo Server once it is known. */
interface Case {
  readonly name: string;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly key?: 'read' | 'ingest' | 'none';
  readonly isWarm: boolean;
}

const ann = { query: PAGE, variables: { user: 'ann' } };
const both = 'query A { profiles(first: 1) { edges { node { id } } } } query B { __typename }';
const WARM = { isWarm: true } as const;
const COLD = { isWarm: false } as const;
/** Refused before either way. */
const NEITHER = { isWarm: true } as const;

const CASES: readonly Case[] = [
  { name: 'a query with variables', body: ann, ...WARM },
  { name: 'other variables', body: { ...ann, variables: { user: 'bob', names: ['last_sku'], all: true } }, ...WARM },
  { name: 'nobody', body: { ...ann, variables: { user: 'nobody' } }, ...WARM },
  { name: 'a variable that is not declared', body: { ...ann, variables: { user: 'ann', more: 1 } }, ...WARM },
  { name: 'an operation name', body: { ...ann, operationName: 'Page' }, ...WARM },
  {
    name: 'names and variables of null',
    body: { query: '{ __typename }', operationName: null, variables: null },
    ...WARM,
  },
  { name: 'fields of the body that nobody knows', body: { ...ann, id: 7, extensions: null }, ...WARM },
  { name: 'the first of two operations', body: { query: both, operationName: 'A' }, ...WARM },
  { name: 'the second of two operations', body: { query: both, operationName: 'B' }, ...WARM },
  { name: 'accept: any', body: ann, headers: { accept: '*/*' }, ...WARM },
  { name: 'accept: JSON', body: ann, headers: { accept: 'application/json' }, ...WARM },
  { name: 'accept: response JSON', body: ann, headers: { accept: 'application/graphql-response+json' }, ...WARM },
  {
    name: 'accept: both, the second rather',
    body: ann,
    headers: { accept: 'application/json;q=0.5, application/graphql-response+json;q=0.9' },
    ...WARM,
  },
  {
    name: 'a type with its charset',
    body: ann,
    headers: { 'content-type': 'application/json; charset=utf-8' },
    ...WARM,
  },

  { name: 'accept: an image', body: ann, headers: { accept: 'image/png' }, ...COLD },
  { name: 'another type of body', body: ann, headers: { 'content-type': 'text/plain' }, ...COLD },
  { name: 'a variable that is missing', body: { query: PAGE, variables: {} }, ...COLD },
  { name: 'no variables', body: { query: PAGE }, ...COLD },
  { name: 'a variable of another type', body: { ...ann, variables: { user: ['ann'] } }, ...COLD },
  { name: 'variables as a list', body: { ...ann, variables: ['ann'] }, ...COLD },
  { name: 'variables as text', body: { ...ann, variables: '{"user":"ann"}' }, ...COLD },
  { name: 'an operation name that is not there', body: { ...ann, operationName: 'Other' }, ...COLD },
  { name: 'an empty operation name', body: { ...ann, operationName: '' }, ...COLD },
  { name: 'an operation name that is a number', body: { ...ann, operationName: 1 }, ...COLD },
  { name: 'two operations and no name', body: { query: both }, ...COLD },
  { name: 'extensions', body: { ...ann, extensions: {} }, ...COLD },
  { name: 'extensions as text', body: { ...ann, extensions: 'none' }, ...COLD },
  {
    name: 'a persisted query that nobody has sent',
    body: { extensions: { persistedQuery: { version: 1, sha256Hash: '0'.repeat(64) } } },
    ...NEITHER,
  },
  { name: 'a persisted query without a name', body: { extensions: { persistedQuery: { version: 1 } } }, ...NEITHER },
  { name: 'a document that is not stored', body: { documentId: `sha256:${'0'.repeat(64)}` }, ...NEITHER },
  { name: 'no query', body: { variables: {} }, ...COLD },
  { name: 'an empty query', body: { query: '' }, ...COLD },
  { name: 'a query that is a number', body: { query: 1 }, ...COLD },
  { name: 'a list of requests', body: [ann], ...COLD },
  { name: 'an empty body', body: {}, ...COLD },
  { name: 'text that is no GraphQL', body: { query: 'profile }' }, ...COLD },
  { name: 'a field that is not there', body: { query: '{ nothing }' }, ...COLD },
  { name: 'too many aliases', body: { query: `{ ${aliases(101)} }` }, ...COLD },
  { name: 'a question about the schema', body: { query: '{ __schema { queryType { name } } }' }, ...COLD },
  { name: 'a mutation', body: { query: 'mutation { activateSegment(key: "none") { __typename } }' }, ...COLD },
  { name: 'a subscription', body: { query: 'subscription { segmentChanges { cursor } }' }, ...COLD },
  { name: 'a feature that is not there', body: { ...ann, variables: { user: 'ann', names: ['nothing'] } }, ...COLD },
  {
    name: 'errors of some fields beside the answers of others',
    body: {
      query: `{ ok: profile(identifier: { namespace: "user_id", value: "ann" }) {
        id a: membership(segment: "no") { isMember } b: score(model: "no") { score } }
        bad: profile { id } }`,
    },
    ...COLD,
  },
  { name: 'a key without the scope', body: ann, key: 'ingest', ...COLD },
  { name: 'no key', body: ann, key: 'none', ...COLD },
];

function aliases(count: number): string {
  return Array.from({ length: count }, (_, i) => `a${String(i)}: __typename`).join(' ');
}

let world: ApiWorld;
let distinct = 0;

beforeAll(async () => {
  world = await createApiWorld();
  await world.engine.services.features.apply(parseFeatures(FEATURES, 'test'));
  await world.defineSegment('keen', 'f.views_1h >= 1');
  await world.drain();
  await world.accept([
    anIdentify({ user_id: 'ann' }, { first_name: 'Änn', odd: { '\u2028"<\\': [1, null, '\ud83d\ude00'] } }),
    aTrack('product_view', { user_id: 'ann' }, { properties: { sku: 'a' } }),
    aTrack('purchase', { user_id: 'bob' }),
  ]);
  await world.drain();
});

afterAll(() => world.close());

beforeEach(() => {
  world.defects.length = 0;
});

afterEach(() => {
  vi.restoreAllMocks();
});

function requestOf({ body, headers = {}, key = 'read' }: Case): Sent {
  const authorization: Record<string, string> = key === 'none' ? {} : { authorization: `Bearer ${world.keys[key]}` };
  return { method: 'POST', headers: { 'content-type': 'application/json', ...authorization, ...headers }, body };
}

/** The same to the letter, but for a comment at the end that makes its text a new one. */
function neverAsked(sent: Sent): Sent {
  const { body } = sent;
  if (typeof body !== 'object' || body === null || !('query' in body) || typeof body.query !== 'string') return sent;
  if (body.query === '') return sent;
  return { ...sent, body: { ...body, query: `${body.query}\n# ${String(++distinct)}` } };
}

async function send({ method, headers, body }: Sent): Promise<Answer> {
  const response = await fetch(`${world.url}/graphql`, { method, headers, body: JSON.stringify(body) });
  const text = (await response.text()).replace(/"errorId":"[^"]+"/g, '"errorId":"…"');
  const { date: _, 'content-length': length, ...rest } = Object.fromEntries(response.headers) as Record<string, string>;
  // An id of an error has one length, so that lengths can be compared.
  return { status: response.status, headers: { ...rest, 'content-length': String(length) }, body: text };
}

async function throughApollo<T>(work: () => Promise<T>): Promise<{ result: T; calls: number }> {
  const calls = vi.spyOn(ApolloServer.prototype, 'executeHTTPGraphQLRequest');
  const result = await work();
  const count = calls.mock.calls.length;
  calls.mockRestore();
  return { result, calls: count };
}

describe('a request whose query was asked before', () => {
  it.each(CASES)('is answered as the first of its kind is: $name', async (example) => {
    const request = requestOf(example);
    const first = await send(neverAsked(request));
    for (let run = 0; run < 3; run++) expect(await send(request)).toEqual(first);
    const { result, calls } = await throughApollo(() => send(request));
    expect(result).toEqual(first);
    const neverReachesIt = example.key === 'none' || first.status === 415 || first.status === 406;
    if (!neverReachesIt) expect(calls).toBe(example.isWarm ? 0 : 1);
  });

  it('is answered with masked errors when something breaks, and without once it works again', async () => {
    const request = requestOf({ name: '', body: ann, ...WARM });
    const works = await send(request);
    await send(request);
    for (const broken of [new Error('a secret'), new TypeError('another')]) {
      const spy = vi.spyOn(world.services.snapshots, 'byIds').mockRejectedValue(broken);
      const first = await send(neverAsked(request));
      expect(JSON.parse(first.body)).toMatchObject({
        data: { profile: null },
        errors: [{ path: ['profile'], extensions: { code: 'INTERNAL' } }],
      });
      expect(first.body).not.toContain(broken.message);
      expect(await send(request)).toEqual(first);
      spy.mockRestore();
      expect(await send(request)).toEqual(works);
      expect(world.defects.splice(0)).toEqual([broken, broken]);
    }
  });

  it('runs twice at most when it fails, and what it read the first time is not counted', async () => {
    const query = `{ ${Array.from({ length: 15 }, (_, i) => `p${String(i)}: ${timeline}`).join(' ')} bad: profile { id } }`;
    const request = requestOf({ name: '', body: { query }, ...COLD });
    const first = await send(neverAsked(request));
    expect((JSON.parse(first.body) as { errors: unknown[] }).errors).toHaveLength(1);
    await send(request);
    await send(request);
    const reads = vi.spyOn(TimelineReader.prototype, 'read');
    expect(await send(request)).toEqual(first);
    expect(reads).toHaveBeenCalledTimes(2 * 15);
  });

  it('counts for a key that was revoked no longer', async () => {
    const { secret, key } = await world.services.keys.create({ name: 'short', scopes: ['read'] });
    const request = { ...requestOf({ name: '', body: ann, ...WARM }) };
    const own = { ...request, headers: { ...request.headers, authorization: `Bearer ${secret}` } };
    for (let run = 0; run < 3; run++) expect((await send(own)).status).toBe(200);
    await world.services.keys.revoke(key.id);
    expect((await send(own)).status).toBe(401);
  });
});

const timeline =
  'profile(identifier: { namespace: "user_id", value: "ann" }) { timeline(first: 1) { edges { cursor } } }';

describe('GET', () => {
  it('is answered as before, however often', async () => {
    const url = `${world.url}/graphql?query=${encodeURIComponent('{ __typename }')}`;
    const headers = { authorization: `Bearer ${world.keys.read}` };
    for (let run = 0; run < 3; run++) {
      const response = await fetch(url, { headers });
      expect([response.status, await response.text()]).toEqual([200, '{"data":{"__typename":"Query"}}\n']);
    }
  });
});
