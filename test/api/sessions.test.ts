import { createClient as createSseClient } from 'graphql-sse';
import { createClient, type Client } from 'graphql-ws';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';

const SUBSCRIPTION = 'subscription { segmentChanges { cursor } }';
const READ = '{ segments { edges { cursor } } }';

let world: ApiWorld;
const clients: { dispose: () => unknown }[] = [];

beforeEach(async () => {
  world = await createApiWorld();
});

afterEach(async () => {
  for (const client of clients.splice(0)) await client.dispose();
  expect(world.defects).toEqual([]);
  await world.close();
});

function wsClient(apiKey: string, onClosed: (code: number) => void = () => undefined): Client {
  const client = createClient({
    url: `${world.url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { apiKey },
    lazy: false,
    retryAttempts: 0,
    onNonLazyError: () => undefined,
    on: {
      closed: (event) => {
        onClosed((event as { code: number }).code);
      },
    },
  });
  clients.push(client);
  return client;
}

const sseClient = (key: string) => {
  const client = createSseClient({
    url: `${world.url}/graphql/stream`,
    headers: { authorization: `Bearer ${key}` },
    retryAttempts: 0,
  });
  clients.push(client);
  return client;
};

async function first(results: AsyncIterable<unknown>): Promise<unknown> {
  for await (const result of results) return result;
  return null;
}

describe('a key that expires', () => {
  const shortKey = () =>
    world.services.keys.create({ name: 'short', scopes: ['read'], expiresAt: world.clock.now() + 5_000 });

  it('closes a socket in which nothing happens, with 4401', async () => {
    const { secret } = await shortKey();
    let code: number | undefined;
    const client = wsClient(secret, (closed) => (code = closed));
    await new Promise<void>((resolve) => client.on('connected', () => resolve()));
    world.clock.advance(4_999);
    expect(await first(client.iterate({ query: READ }))).toMatchObject({ data: { segments: { edges: [] } } });
    world.clock.advance(1);
    await expect.poll(() => code).toBe(4401);
  });

  it('ends a stream in which nothing happens, which says why', async () => {
    const { secret } = await shortKey();
    const reading = first(sseClient(secret).iterate({ query: SUBSCRIPTION }));
    await expect.poll(() => world.hub.subscribers).toBe(1);
    world.clock.advance(5_000);
    expect(await reading).toMatchObject({ errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
    await expect.poll(() => world.hub.subscribers).toBe(0);
  });

  it('ends both when it is revoked, though nothing happens', async () => {
    const { key, secret } = await world.services.keys.create({ name: 'short', scopes: ['read'] });
    let code: number | undefined;
    const client = wsClient(secret, (closed) => (code = closed));
    await new Promise<void>((resolve) => client.on('connected', () => resolve()));
    const reading = first(sseClient(secret).iterate({ query: SUBSCRIPTION }));
    await expect.poll(() => world.hub.subscribers).toBe(1);
    await world.services.keys.revoke(key.id);
    world.clock.advance(10_000);
    await expect.poll(() => code).toBe(4401);
    expect(await reading).toMatchObject({ errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
  });
});

describe('a key with a rate', () => {
  const slowKey = async () =>
    (await world.services.keys.create({ name: 'slow', scopes: ['read'], ratePerSecond: 1 })).secret;

  it('is answered 429 with Retry-After over HTTP, then served again', async () => {
    const secret = await slowKey();
    const ask = () =>
      fetch(`${world.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${secret}` },
        body: JSON.stringify({ query: READ }),
      });
    expect([(await ask()).status, (await ask()).status]).toEqual([200, 200]);
    const refused = await ask();
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await refused.json()).toMatchObject({ errors: [{ extensions: { code: 'RATE_LIMITED' } }] });
    world.clock.advance(1_000);
    expect((await ask()).status).toBe(200);
  });

  it('shares it over HTTP, WebSocket and streams; a socket stays open', async () => {
    const secret = await slowKey();
    const client = wsClient(secret);
    expect(await first(client.iterate({ query: READ }))).toHaveProperty('data.segments');
    expect(await first(sseClient(secret).iterate({ query: READ }))).toHaveProperty('data.segments');
    expect(await world.ask(READ, {}, { key: secret })).toMatchObject({ status: 429 });
    await expect(first(client.iterate({ query: READ }))).rejects.toMatchObject([
      { extensions: { code: 'RATE_LIMITED', retryAfterMs: 1_000 } },
    ]);
    await expect(first(sseClient(secret).iterate({ query: READ }))).rejects.toMatchObject({
      response: { status: 429 },
    });
    world.clock.advance(1_000);
    expect(await first(client.iterate({ query: READ }))).toHaveProperty('data.segments');
  });
});

describe('an edge key', () => {
  it('holds neither sockets nor streams: it has nothing to subscribe to', async () => {
    let code: number | undefined;
    wsClient(world.keys.edge, (closed) => (code = closed));
    await expect.poll(() => code).toBe(4403);
    for (const method of ['POST', 'PUT']) {
      const response = await fetch(`${world.url}/graphql/stream`, {
        method,
        headers: { authorization: `Bearer ${world.keys.edge}`, accept: 'text/event-stream' },
      });
      expect([response.status, await response.json()]).toMatchObject([403, { errors: [{}] }]);
    }
  });
});

describe('a socket that is closed while its key is looked up', () => {
  const connections = () => new Promise((resolve) => world.app.server.getConnections((_, count) => resolve(count)));

  it('is not watched from then on', async () => {
    const { keys } = world.services;
    const verify = keys.verify.bind(keys);
    const verified: string[] = [];
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    vi.spyOn(keys, 'verify').mockImplementation(async (secret) => {
      verified.push(secret);
      if (secret === world.keys.read) await gate;
      return verify(secret);
    });
    const hasty = new WebSocket(`${world.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    hasty.on('open', () =>
      hasty.send(JSON.stringify({ type: 'connection_init', payload: { apiKey: world.keys.read } })),
    );
    await expect.poll(() => verified).toEqual([world.keys.read]);
    hasty.terminate();
    await expect.poll(connections).toBe(0);
    open();
    const patient = wsClient(world.keys.admin);
    await new Promise<void>((resolve) => patient.on('connected', () => resolve()));
    world.clock.advance(10_000);
    // Those watched are asked about in turn: this one is after the other.
    await expect.poll(() => verified.filter((secret) => secret === world.keys.admin).length).toBe(2);
    expect(verified.filter((secret) => secret === world.keys.read)).toHaveLength(1);
  });
});

describe('a key that holds as many connections open as it may', () => {
  let small: ApiWorld;

  beforeEach(async () => {
    small = await createApiWorld({ connectionsPerKey: 2 });
  });

  afterEach(async () => {
    expect(small.defects).toEqual([]);
    await small.close();
  });

  const connect = (apiKey: string, retryAttempts = 0): { client: Client; codes: number[] } => {
    const codes: number[] = [];
    const client = createClient({
      url: `${small.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { apiKey },
      lazy: false,
      retryAttempts,
      retryWait: () => new Promise((resolve) => setTimeout(resolve, 20)),
      onNonLazyError: () => undefined,
      on: { closed: (event) => codes.push((event as { code: number }).code) },
    });
    clients.push(client);
    return { client, codes };
  };
  const connected = ({ client }: { client: Client }): Promise<void> =>
    new Promise((resolve) => client.on('connected', () => resolve()));
  const stream = (secret: string, leaving: AbortController): Promise<Response> =>
    fetch(`${small.url}/graphql/stream`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        authorization: `Bearer ${secret}`,
      },
      body: JSON.stringify({ query: SUBSCRIPTION }),
      signal: leaving.signal,
    });

  it('is refused another, of either kind; a client comes back by itself once there is room', async () => {
    const { read, admin } = small.keys;
    const leaving = new AbortController();
    expect((await stream(read, leaving)).status).toBe(200);
    await connected(connect(read));
    const late = connect(read, 500);
    await expect.poll(() => late.codes[0]).toBe(1013);
    const refused = await stream(read, leaving);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '5']);
    expect(await refused.json()).toMatchObject({ errors: [{ extensions: { code: 'RATE_LIMITED' } }] });
    await connected(connect(admin));
    const back = connected(late);
    leaving.abort();
    await back;
  });

  it('is refused to connect to a stream that it reserved, too, which stays reserved', async () => {
    const { read } = small.keys;
    const headers = { authorization: `Bearer ${read}` };
    const reserved = await fetch(`${small.url}/graphql/stream`, { method: 'PUT', headers });
    const token = await reserved.text();
    const sockets = [connect(read), connect(read)];
    await Promise.all(sockets.map(connected));
    const leaving = new AbortController();
    const join = (): Promise<Response> =>
      fetch(`${small.url}/graphql/stream?token=${token}`, {
        headers: { ...headers, accept: 'text/event-stream' },
        signal: leaving.signal,
      });
    expect((await join()).status).toBe(429);
    await sockets[0]?.client.dispose();
    await expect.poll(async () => (await join()).status).toBe(200);
    leaving.abort();
  });
});
