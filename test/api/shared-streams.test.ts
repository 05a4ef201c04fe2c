import { createClient, type Client } from 'graphql-sse';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CHANGE_CURSOR } from '../../src/api/graphql/cursors.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { aTrack } from '../support/world.js';

/* The single connection mode of graphql-sse: a stream is reserved, connected to once, and shared by operations. */

const CHANGES =
  'subscription ($after: String) { segmentChanges(after: $after) { kind profile { identifiers { value } } } }';
const FROM_START = CHANGE_CURSOR.encode({ seq: 0 });

let world: ApiWorld;
const clients: Client<true>[] = [];
const connections: AbortController[] = [];

async function start(streamLimits = {}): Promise<void> {
  world = await createApiWorld({ server: { streamLimits } });
  await world.defineSegment('keen', 'count("product_view", "1h") >= 1');
  await world.drain();
}

beforeEach(() => start());

afterEach(async () => {
  for (const client of clients.splice(0)) client.dispose();
  for (const connection of connections.splice(0)) connection.abort();
  expect(world.defects).toEqual([]);
  await world.close();
});

function sharingClient(secret = world.keys.read): Client<true> {
  const headers = { authorization: `Bearer ${secret}` };
  const client = createClient({
    singleConnection: true,
    url: `${world.url}/graphql/stream`,
    headers,
    retryAttempts: 0,
  });
  clients.push(client);
  return client;
}

async function visit(...names: string[]): Promise<void> {
  await world.accept(names.map((name) => aTrack('product_view', { anonymous_id: name })));
  await world.drain();
}

interface Sent {
  readonly method?: string;
  readonly token?: string;
  readonly secret?: string;
  readonly body?: object;
  readonly accept?: string;
  readonly path?: string;
}

function send({ method = 'POST', token, secret = world.keys.read, body, accept, path = '' }: Sent): Promise<Response> {
  const connection = new AbortController();
  connections.push(connection);
  return fetch(`${world.url}/graphql/stream${path}`, {
    method,
    signal: connection.signal,
    headers: {
      authorization: `Bearer ${secret}`,
      ...(accept === undefined ? {} : { accept }),
      ...(token === undefined ? {} : { 'x-graphql-event-stream-token': token }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

const reserve = async (secret?: string): Promise<string> => {
  const response = await send({ method: 'PUT', ...(secret === undefined ? {} : { secret }) });
  expect(response.status).toBe(201);
  return response.text();
};

const connect = (token: string, secret = world.keys.read): Promise<Response> =>
  send({ method: 'GET', token, secret, accept: 'text/event-stream' });
const operation = (operationId: unknown, query = '{ __typename }'): object => ({ query, extensions: { operationId } });
const codeOf = async (response: Response): Promise<unknown> =>
  ((await response.json()) as { errors: { extensions: { code: string } }[] }).errors[0]?.extensions.code;

describe('a stream that operations share', () => {
  it('carries queries, mutations and subscriptions side by side, each with its own answers', async () => {
    const client = sharingClient(world.keys.admin);
    const seen: unknown[] = [];
    const following = (async () => {
      for await (const { data } of client.iterate({ query: CHANGES, variables: { after: FROM_START } })) {
        seen.push((data as { segmentChanges: unknown }).segmentChanges);
        if (seen.length === 3) break;
      }
    })();
    await visit('a', 'b');
    const first = async (query: string): Promise<unknown> => {
      for await (const result of client.iterate({ query })) return result;
      return null;
    };
    expect(await first('{ segments { edges { node { key } } } }')).toEqual({
      data: { segments: { edges: [{ node: { key: 'keen' } }] } },
    });
    expect(await first('mutation { archiveSegment(key: "none") { __typename } }')).toEqual({
      data: { archiveSegment: { __typename: 'NotFound' } },
    });
    expect(await first('{ nothing }')).toMatchObject({
      errors: [{ message: expect.stringContaining('nothing') as unknown }],
    });
    await visit('c');
    await following;
    const change = (value: string): object => ({ kind: 'ENTER', profile: { identifiers: [{ value }] } });
    expect(seen).toEqual([change('a'), change('b'), change('c')]);
    await expect.poll(() => world.hub.subscribers).toBe(0);
  });

  it('tells a long past in order to a slow reader, and holds back what it cannot send', async () => {
    // Who may see by what people are known.
    const secret = world.keys.admin;
    const token = await reserve(secret);
    const names = Array.from({ length: 200 }, (_, i) => `v${String(i)}`);
    await visit(...names);
    const query = { ...operation('a', CHANGES), variables: { after: FROM_START } };
    expect((await send({ token, secret, body: query })).status).toBe(202);
    expect((await send({ token, secret, body: operation('b') })).status).toBe(202);
    const response = await connect(token, secret);
    const seen: string[] = [];
    let text = '';
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk as Uint8Array).toString();
      seen.splice(0, seen.length, ...[...text.matchAll(/"value":"(v\d+)"/g)].map(([, value]) => value ?? ''));
      if (seen.length === names.length) break;
    }
    expect(seen).toEqual(names);
    expect(text).toContain('event: complete\ndata: {"id":"b"}');
    await expect.poll(() => world.hub.subscribers).toBe(0);
  });

  it('and one that is not shared are answered in an event where the operation cannot be executed', async () => {
    for (const [query, message] of [
      ['{ nothing }', 'Cannot query field "nothing" on type "Query".'],
      ['{ segment(key: ', 'Syntax Error: Unexpected <EOF>.'],
    ] as const) {
      const response = await send({ accept: 'text/event-stream', body: { query } });
      const text = await response.text();
      expect(response.status).toBe(200);
      expect(JSON.parse(/event: next\ndata: (.*)/.exec(text)?.[1] ?? '')).toMatchObject({ errors: [{ message }] });
      expect(text).not.toContain('"data"');
      expect(text).toContain('event: complete');
    }
  });

  it('stops one operation when it is told to', async () => {
    const token = await reserve();
    await connect(token);
    await send({ token, body: operation('a', CHANGES) });
    await expect.poll(() => world.hub.subscribers).toBe(1);
    expect((await send({ token, body: operation('a') })).status).toBe(409);
    expect((await send({ method: 'DELETE', token, path: '?operationId=a' })).status).toBe(200);
    await expect.poll(() => world.hub.subscribers).toBe(0);
    expect((await send({ token, body: operation('a') })).status).toBe(202);
  });

  it('belongs to the key that reserved it; for another key there is none', async () => {
    const token = await reserve();
    const other = (await world.services.keys.create({ name: 'other', scopes: ['read'] })).secret;
    for (const secret of [other, world.keys.admin]) {
      const attempts: Sent[] = [
        { method: 'GET', accept: 'text/event-stream' },
        { body: operation('x') },
        { method: 'DELETE', path: '?operationId=x' },
      ];
      for (const attempt of attempts) {
        const stolen = await send({ ...attempt, token, secret });
        const unknown = await send({ ...attempt, token: 'x'.repeat(32), secret });
        expect(stolen.status).toBe(404);
        expect(await stolen.text()).toBe(await unknown.text());
      }
      expect((await send({ method: 'GET', path: `?token=${token}`, secret, accept: 'text/event-stream' })).status).toBe(
        404,
      );
    }
    expect((await connect(token)).status).toBe(200);
    expect((await connect(token)).status).toBe(409);
  });

  it('does nothing for a key that was revoked since', async () => {
    const { key, secret } = await world.services.keys.create({ name: 'short', scopes: ['read'] });
    const token = await reserve(secret);
    const stream = await send({ method: 'GET', token, secret, accept: 'text/event-stream' });
    await send({ token, secret, body: operation('a', CHANGES) });
    await expect.poll(() => world.hub.subscribers).toBe(1);
    await world.services.keys.revoke(key.id);
    world.clock.advance(10_000);
    expect((await send({ token, secret, body: operation('b') })).status).toBe(401);
    await visit('a');
    let text = '';
    for await (const chunk of stream.body ?? []) {
      text += Buffer.from(chunk as Uint8Array).toString();
      if (text.includes('event: complete')) break;
    }
    expect(text).toContain('"code":"UNAUTHENTICATED"');
    expect(text).not.toContain('ENTER');
  });

  it('wants ids of operations that can be named again', async () => {
    const token = await reserve();
    for (const id of [undefined, '', 7, 'a b', 'x'.repeat(101), { a: 1 }]) {
      const response = await send({ token, body: operation(id) });
      expect([response.status, await codeOf(response)]).toEqual([400, 'BAD_REQUEST']);
    }
    for (const id of ['__proto__', 'constructor', 'toString']) {
      const { status } = await send({ token, body: operation(id) });
      expect([202, 204, 409]).toContain(status);
    }
    expect(({} as Record<string, unknown>)['next']).toBeUndefined();
  });
});

describe('bounds of shared streams', () => {
  it('are reservations of a key, and operations of a stream', async () => {
    await world.close();
    await start({ maxReservationsPerKey: 2, maxOperations: 2 });
    const token = await reserve();
    await reserve();
    const refused = await send({ method: 'PUT' });
    expect([refused.status, await codeOf(refused)]).toEqual([429, 'RATE_LIMITED']);
    await reserve(world.keys.admin);
    for (const id of ['a', 'b']) expect((await send({ token, body: operation(id, CHANGES) })).status).toBe(202);
    expect((await send({ token, body: operation('c', CHANGES) })).status).toBe(429);
    const connection = await connect(token);
    await connection.body?.cancel();
    await expect.poll(async () => (await send({ method: 'PUT' })).status).toBe(201);
    await expect.poll(() => world.hub.subscribers).toBe(0);
  });

  it('are times: nobody connects, nothing runs', async () => {
    await world.close();
    await start({ maxReservationsPerKey: 1, connectWithinMs: 30, idleMs: 30 });
    const abandoned = await reserve();
    await send({ token: abandoned, body: operation('a', CHANGES) });
    await expect.poll(async () => (await send({ method: 'PUT' })).status).toBe(201);
    await expect.poll(() => world.hub.subscribers).toBe(0);
    expect((await connect(abandoned)).status).toBe(404);
    await world.close();
    await start({ idleMs: 30 });
    const token = await reserve();
    const response = await connect(token);
    expect(await response.text()).toBe(':\n\n');
    expect((await send({ token, body: operation('a') })).status).toBe(404);
  });
});
