import { connect } from 'node:net';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient, type Client, type SubscribePayload } from 'graphql-ws';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { WeftError } from '../../src/platform/errors.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { aTrack, anIdentify, HOUR_MS } from '../support/world.js';

interface Change {
  readonly cursor: string;
  readonly kind: string;
  readonly profileId: string;
  readonly segment: { readonly key: string };
  readonly profile: { readonly identifiers: readonly { readonly value: string }[] } | null;
}

const SUBSCRIPTION = `subscription ($segments: [String!], $profile: ID, $after: String) {
  segmentChanges(segments: $segments, profile: $profile, after: $after) {
    cursor kind at version cause { kind } profileId segment { key } profile { id identifiers { value } }
  } }`;

let world: ApiWorld;
const clients: { dispose: () => unknown }[] = [];

beforeEach(async () => {
  world = await createApiWorld();
  await world.defineSegment('keen', 'count("product_view", "1h") >= 1');
  await world.defineSegment('buyers', 'performed("purchase")');
  await world.drain();
});

afterEach(async () => {
  for (const client of clients.splice(0)) await client.dispose();
  expect(world.defects).toEqual([]);
  await world.close();
});

/** Everybody views something: one change each, in this order. */
async function visit(from: number, count: number): Promise<void> {
  await world.accept(
    Array.from({ length: count }, (_, i) => aTrack('product_view', { anonymous_id: `v${String(from + i)}` })),
  );
  await world.drain();
}

const visitors = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `v${String(from + i)}`);
const nameOf = (change: Change): string | undefined => change.profile?.identifiers[0]?.value;

const socketUrl = (): string => `${world.url.replace('http', 'ws')}/graphql`;

function wsClient(params: Record<string, unknown> = { apiKey: world.keys.pii }): Client {
  const client = createClient({
    url: socketUrl(),
    webSocketImpl: WebSocket,
    connectionParams: params,
    retryAttempts: 0,
  });
  clients.push(client);
  return client;
}

type Subscribe = (payload: SubscribePayload) => AsyncIterableIterator<{ data?: unknown; errors?: unknown }>;

const overSocket: Subscribe = (payload) => wsClient().iterate(payload) as ReturnType<Subscribe>;

const overSse: Subscribe = (payload) => {
  const client = createSseClient({
    url: `${world.url}/graphql/stream`,
    headers: { authorization: `Bearer ${world.keys.pii}` },
    retryAttempts: 0,
  });
  clients.push(client);
  return client.iterate(payload as Parameters<typeof client.iterate>[0]) as ReturnType<Subscribe>;
};

/** Reads until `count` changes are there, then leaves. */
async function take(subscribe: Subscribe, count: number, variables: Record<string, unknown> = {}): Promise<Change[]> {
  const changes: Change[] = [];
  if (count === 0) return changes;
  for await (const { data, errors } of subscribe({ query: SUBSCRIPTION, variables })) {
    if (errors !== undefined) throw new Error(JSON.stringify(errors));
    changes.push((data as { segmentChanges: Change }).segmentChanges);
    if (changes.length === count) break;
  }
  return changes;
}

const isListening = async (count = 1): Promise<void> => expect.poll(() => world.hub.subscribers).toBe(count);

describe.each([
  ['WebSocket', overSocket],
  ['SSE', overSse],
])('segmentChanges over %s', (_name, subscribe) => {
  it('tells what comes from now on, in order, with who it is', async () => {
    await visit(0, 2);
    const watching = take(subscribe, 4);
    await isListening();
    await visit(2, 3);
    await world.accept([aTrack('purchase', { anonymous_id: 'v2' })]);
    await world.drain();
    const changes = await watching;
    expect(changes.map((change) => [nameOf(change), change.kind, change.segment.key])).toEqual([
      ['v2', 'ENTER', 'keen'],
      ['v3', 'ENTER', 'keen'],
      ['v4', 'ENTER', 'keen'],
      ['v2', 'ENTER', 'buyers'],
    ]);
    await isListening(0);
  });

  it('goes on from a cursor: nothing is missed and nothing comes twice, wherever the connection broke', async () => {
    await visit(0, 5);
    const seen = await take(subscribe, 2, { after: await startOfFeed() });
    let sent = 5;
    for (let round = 0; round < 8; round++) {
      const after = seen.at(-1)?.cursor;
      const wanted = 1 + ((round * 7) % 5);
      const isAhead = sent - seen.length >= wanted;
      const reading = take(subscribe, wanted, { after });
      if (!isAhead || round % 2 === 0) {
        await visit(sent, 4);
        sent += 4;
      }
      seen.push(...(await reading));
    }
    seen.push(...(await take(subscribe, sent - seen.length, { after: seen.at(-1)?.cursor })));
    expect(seen.map(nameOf)).toEqual(visitors(0, sent));
  });

  it('keeps to segments and to a profile, also after a merge', async () => {
    const watching = take(subscribe, 1, { segments: ['buyers'] });
    await isListening();
    await visit(0, 2);
    await world.accept([aTrack('purchase', { anonymous_id: 'v1' })]);
    await world.drain();
    const [bought] = await watching;
    expect(bought).toMatchObject({ segment: { key: 'buyers' }, profile: { identifiers: [{ value: 'v1' }] } });
    await world.accept([
      anIdentify({ anonymous_id: 'v0', user_id: 'u' }),
      anIdentify({ anonymous_id: 'v1', user_id: 'u' }),
    ]);
    await world.drain();
    const { segmentChanges } = await world.data<{ segmentChanges: { edges: { node: Change }[] } }>(
      'query ($profile: ID) { segmentChanges(profile: $profile) { edges { node { cursor } } } }',
      { profile: bought?.profileId },
    );
    const all = await take(subscribe, segmentChanges.edges.length, {
      profile: bought?.profileId,
      after: await startOfFeed(),
    });
    expect(all.map(({ cursor }) => cursor)).toEqual(segmentChanges.edges.map(({ node }) => node.cursor));
    expect(new Set(all.map(({ profileId }) => profileId)).size).toBe(2);
  });

  it('tells what the clock alone does, and what another process committed', async () => {
    await visit(0, 1);
    const watching = take(subscribe, 1);
    await isListening();
    const elsewhere = await world.another();
    world.clock.advance(HOUR_MS);
    await world.engine.worker.stop();
    await elsewhere.worker.drain();
    expect(await watching).toMatchObject([{ kind: 'LEAVE', segment: { key: 'keen' }, cause: { kind: 'TIMER' } }]);
  });

  it('refuses a cursor that is none, and one of another feed', async () => {
    const beyond = Buffer.from(JSON.stringify(['changes.1', 1_000])).toString('base64url');
    for (const after of ['nonsense', beyond]) {
      await expect(take(subscribe, 1, { after })).rejects.toThrow(/CURSOR_INVALID/);
    }
  });
});

/** The cursor of what lies before the first change. */
async function startOfFeed(): Promise<string> {
  return Promise.resolve(Buffer.from(JSON.stringify(['changes.1', 0])).toString('base64url'));
}

describe('the WebSocket', () => {
  const closeCode = (
    send: readonly unknown[],
    protocol: string[] = ['graphql-transport-ws'],
    headers: Record<string, string> = {},
  ) =>
    new Promise<number>((resolve, reject) => {
      const socket = new WebSocket(socketUrl(), protocol, { headers });
      socket.on('error', reject);
      socket.on('close', (code) => {
        resolve(code);
      });
      socket.on('open', () => {
        for (const message of send) socket.send(typeof message === 'string' ? message : JSON.stringify(message));
      });
    });

  const init = (payload: Record<string, unknown> = { apiKey: world.keys.pii }) => ({
    type: 'connection_init',
    payload,
  });
  const subscribeMessage = { type: 'subscribe', id: '1', payload: { query: SUBSCRIPTION } };

  it('is closed with the codes of the protocol', async () => {
    expect(await closeCode(['no json'])).toBe(4400);
    expect(await closeCode([subscribeMessage])).toBe(4401);
    expect(await closeCode([init({ apiKey: 'wrong' })])).toBe(4401);
    expect(await closeCode([init({})])).toBe(4401);
    expect(await closeCode([init(), init()])).toBe(4429);
    expect(await closeCode([], [])).toBe(4406);
    expect(await closeCode([])).toBe(4408);
  });

  it('is closed for a second operation of the same name', async () => {
    const code = await new Promise<number>((resolve) => {
      const socket = new WebSocket(socketUrl(), 'graphql-transport-ws');
      socket.on('close', (reason) => {
        resolve(reason);
      });
      socket.on('open', () => {
        socket.send(JSON.stringify(init()));
      });
      socket.on('message', () => {
        socket.send(JSON.stringify(subscribeMessage));
        socket.send(JSON.stringify(subscribeMessage));
      });
    });
    expect(code).toBe(4409);
  });

  it('pings, keeps who answers, and cuts off who does not', async () => {
    await world.close();
    world = await createApiWorld({ server: { socketLimits: { keepAliveMs: 40 } } });
    const open = (autoPong: boolean): WebSocket => new WebSocket(socketUrl(), 'graphql-transport-ws', { autoPong });
    const alive = open(true);
    const silent = open(false);
    let pings = 0;
    alive.on('ping', () => pings++);
    for (const socket of [alive, silent]) socket.on('open', () => socket.send(JSON.stringify(init())));
    expect(await new Promise((resolve) => silent.on('close', resolve))).toBe(1006);
    await expect.poll(() => pings).toBeGreaterThan(3);
    expect(alive.readyState).toBe(WebSocket.OPEN);
    const pong = new Promise<string>((resolve) => alive.on('message', (data: Buffer) => resolve(data.toString())));
    alive.send(JSON.stringify({ type: 'ping', payload: { a: 1 } }));
    expect(JSON.parse(await pong)).toMatchObject({ type: 'pong' });
    alive.close();
  });

  it('takes the key as a header too, and answers queries', async () => {
    const authorization = `Bearer ${world.keys.pii}`;
    const client = wsClient({ authorization });
    for await (const { data } of client.iterate({ query: '{ segments { edges { node { key } } } }' })) {
      expect(data).toEqual({ segments: { edges: [{ node: { key: 'buyers' } }, { node: { key: 'keen' } }] } });
    }
  });

  it('demands scopes and bounds as HTTP does', async () => {
    const first = async (key: string, query: string): Promise<unknown> => {
      const client = wsClient({ apiKey: key });
      for await (const result of client.iterate({ query })) return result;
      return null;
    };
    expect(await first(world.keys.ingest, 'subscription { segmentChanges { cursor } }')).toMatchObject({
      errors: [{ extensions: { code: 'FORBIDDEN' } }],
    });
    const aliases = Array.from({ length: 101 }, (_, i) => `a${String(i)}: cursor`).join(' ');
    await expect(first(world.keys.pii, `subscription { segmentChanges { ${aliases} } }`)).rejects.toMatchObject([
      { message: expect.stringContaining('aliases') as unknown },
    ]);
  });

  it('goes on while keys cannot be looked up for a moment, and ends where that lasts', async () => {
    await world.close();
    let isAway = false;
    world = await createApiWorld({
      credentials: ({ keys }) => ({
        verifyKnown: (secret) => keys.verifyKnown(secret),
        verify: async (secret) => {
          if (isAway) throw new WeftError('UNAVAILABLE', 'the key cannot be looked up now');
          return keys.verify(secret);
        },
      }),
    });
    await world.defineSegment('keen', 'count("product_view", "1h") >= 1');
    await world.drain();
    const ended = expect(take(overSocket, 3)).rejects.toMatchObject([{ extensions: { code: 'UNAVAILABLE' } }]);
    await isListening();
    isAway = true;
    for (const [from, ms] of [
      [0, 15_000],
      [1, 15_000],
      [2, 60_000],
    ] as const) {
      world.clock.advance(ms);
      await visit(from, 1);
    }
    await ended;
    isAway = false;
    // Sessions that cannot be asked about are told of, and stay.
    expect(world.defects.every((defect) => (defect as { code?: unknown }).code === 'UNAVAILABLE')).toBe(true);
    world.defects.length = 0;
    expect((await take(overSocket, 3, { after: await startOfFeed() })).map(nameOf)).toEqual(visitors(0, 3));
  });

  it('is closed when its key is revoked, before it tells anything more', async () => {
    const { key, secret } = await world.services.keys.create({ name: 'short', scopes: ['read'] });
    let code: number | undefined;
    const client = createClient({
      url: socketUrl(),
      webSocketImpl: WebSocket,
      connectionParams: { apiKey: secret },
      retryAttempts: 0,
      on: { closed: (event) => (code = (event as { code: number }).code) },
    });
    clients.push(client);
    const seen: unknown[] = [];
    const reading = (async () => {
      for await (const result of client.iterate({ query: SUBSCRIPTION })) seen.push(result);
    })().catch(() => undefined);
    await isListening();
    await world.services.keys.revoke(key.id);
    world.clock.advance(10_000);
    await visit(0, 1);
    await expect.poll(() => code).toBe(4401);
    await reading;
    expect(seen).toEqual([]);
  });

  it('does nothing more for a key that was revoked, queries and mutations included', async () => {
    const { key, secret } = await world.services.keys.create({ name: 'short', scopes: ['admin'] });
    let code: number | undefined;
    const client = createClient({
      url: socketUrl(),
      webSocketImpl: WebSocket,
      connectionParams: { apiKey: secret },
      lazy: false,
      retryAttempts: 0,
      on: { closed: (event) => (code = (event as { code: number }).code) },
    });
    clients.push(client);
    const archive = async (): Promise<unknown> => {
      const query = 'mutation { archiveSegment(key: "buyers") { __typename } }';
      for await (const result of client.iterate({ query })) return result;
      return null;
    };
    await new Promise<void>((resolve) => client.on('connected', () => resolve()));
    await world.services.keys.revoke(key.id);
    await archive().catch(() => undefined);
    expect(code).toBe(4401);
    const [row] = await world.db.query<{ stage: string }>(`SELECT stage FROM segments WHERE key = 'buyers'`);
    expect(row?.stage).toBe('active');
  });

  it('may be asked for at the wrong place and broken off at any moment; the server goes on', async () => {
    const { hostname, port } = new URL(world.url);
    const head = 'GET /nope HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
    for (let i = 0; i < 300; i++) {
      await new Promise<void>((resolve) => {
        const socket = connect(Number(port), hostname, () => {
          socket.write(head);
          setImmediate(() => socket.resetAndDestroy());
        });
        socket.on('error', () => undefined).on('close', () => resolve());
      });
    }
    expect((await fetch(`${world.url}/healthz`)).status).toBe(200);
  });

  it('is closed with 1001 when the server stops, so that clients come back with their cursor', async () => {
    let code: number | undefined;
    const client = createClient({
      url: socketUrl(),
      webSocketImpl: WebSocket,
      connectionParams: { apiKey: world.keys.pii },
      retryAttempts: 0,
      on: { closed: (event) => (code = (event as { code: number }).code) },
    });
    clients.push(client);
    const reading = (async () => {
      for await (const result of client.iterate({ query: SUBSCRIPTION })) expect(result).toBeNull();
    })();
    reading.catch(() => undefined);
    await isListening();
    await world.app.close();
    await expect(reading).rejects.toBeDefined();
    expect(code).toBe(1001);
  });
});

describe('the stream', () => {
  const open = (init: RequestInit): Promise<Response> => fetch(`${world.url}/graphql/stream`, init);
  const headers = (): Record<string, string> => ({
    authorization: `Bearer ${world.keys.pii}`,
    accept: 'text/event-stream',
    'content-type': 'application/json',
  });

  it('demands a key and the right kind of answer', async () => {
    const body = JSON.stringify({ query: SUBSCRIPTION });
    const { authorization, ...rest } = headers();
    expect((await open({ method: 'POST', headers: rest, body })).status).toBe(401);
    const plain = { authorization: authorization ?? '', 'content-type': 'application/json' };
    expect((await open({ method: 'POST', headers: plain, body })).status).toBe(400);
  });

  it('tells a long past in order and ends when its client leaves', async () => {
    await visit(0, 400);
    const response = await open({
      method: 'POST',
      headers: headers(),
      body: JSON.stringify({ query: SUBSCRIPTION, variables: { after: await startOfFeed() } }),
    });
    const seen: string[] = [];
    let text = '';
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk as Uint8Array).toString();
      const parts = text.split('\n\n');
      text = parts.pop() ?? '';
      for (const part of parts) {
        const value = /"value":"(v\d+)"/.exec(part)?.[1];
        if (value !== undefined) seen.push(value);
      }
      if (seen.length >= 400) break;
    }
    expect(seen).toEqual(visitors(0, 400));
    await isListening(0);
  });
});

describe('a stream whose key is revoked', () => {
  it('says so before it completes, and tells nothing more', async () => {
    const { key, secret } = await world.services.keys.create({ name: 'short', scopes: ['read'] });
    const response = await fetch(`${world.url}/graphql/stream`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, accept: 'text/event-stream', 'content-type': 'application/json' },
      body: JSON.stringify({ query: SUBSCRIPTION }),
    });
    await isListening();
    await world.services.keys.revoke(key.id);
    world.clock.advance(10_000);
    await visit(0, 1);
    const events = (await response.text()).split('\n\n').filter((event) => event.startsWith('event: '));
    expect(events).toHaveLength(2);
    expect(JSON.parse(events[0]?.replace('event: next\ndata: ', '') ?? '')).toMatchObject({
      errors: [{ message: 'the API key is missing or not valid', extensions: { code: 'UNAUTHENTICATED' } }],
    });
    expect(events[1]).toContain('event: complete');
    await isListening(0);
  });
});

describe('a slow consumer', () => {
  it('is read for at its own speed, from the table, and misses nothing', async () => {
    await world.close();
    world = await createApiWorld({ hub: { maxQueuedChanges: 20, maxPageChanges: 10 } });
    await world.defineSegment('keen', 'count("product_view", "1h") >= 1');
    await world.drain();
    const iterator = overSocket({ query: SUBSCRIPTION });
    const pending = iterator.next();
    await isListening();
    const socket = world.hub;
    await visit(0, 1);
    await pending;
    // The hub is told of far more than a queue holds in one go, faster than any client could take it.
    await visit(1, 500);
    await expect.poll(() => socket.overflows).toBeGreaterThan(0);
    const seen: (string | undefined)[] = [];
    while (seen.length < 500) {
      const { value } = (await iterator.next()) as { value: { data: { segmentChanges: Change } } };
      seen.push(nameOf(value.data.segmentChanges));
    }
    expect(seen).toEqual(visitors(1, 500));
    await iterator.return?.();
  });
});
