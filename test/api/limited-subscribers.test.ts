import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { aTrack } from '../support/world.js';

const SUBSCRIPTION = `subscription ($after: String) {
  segmentChanges(after: $after) { cursor profile { identifiers { value } } } }`;
const READ = '{ __typename }';

interface Change {
  readonly cursor: string;
  readonly profile: { readonly identifiers: readonly { readonly value: string }[] } | null;
}

/** Between the clients and the server, so that connections can break without either wanting it. */
interface Line {
  readonly port: number;
  cut(): void;
  close(): Promise<void>;
}

let world: ApiWorld;
let line: Line;
const closing: (() => unknown)[] = [];

beforeEach(async () => {
  world = await createApiWorld();
  await world.defineSegment('keen', 'performed("product_view")');
  await world.drain();
  line = await openLine(Number(new URL(world.url).port));
});

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  await line.close();
  expect(world.defects).toEqual([]);
  await world.close();
});

async function openLine(targetPort: number): Promise<Line> {
  const sockets = new Set<Socket>();
  const hold = (socket: Socket, other: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => other.destroy());
    socket.on('close', () => {
      sockets.delete(socket);
      other.destroy();
    });
    socket.pipe(other);
  };
  const server: Server = createServer((near) => {
    const far = connect(targetPort, '127.0.0.1');
    hold(near, far);
    hold(far, near);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    close: async () => {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** What one subscriber was told, and how often it was refused. */
class Subscriber {
  readonly visitors: string[] = [];
  readonly ends: unknown[] = [];
  refusals = 0;
  /** Read anew by the clients whenever they subscribe. */
  readonly variables: { after?: string } = {};

  readonly sink = {
    next: ({ data, errors }: { data?: unknown; errors?: unknown }) => {
      if (errors !== undefined) throw new Error(JSON.stringify(errors));
      const { cursor, profile } = (data as { segmentChanges: Change }).segmentChanges;
      this.variables.after = cursor;
      this.visitors.push(profile?.identifiers[0]?.value ?? '');
    },
    error: (error: unknown) => this.ends.push(error),
    complete: () => this.ends.push('complete'),
  };
}

const soon = () => new Promise<void>((resolve) => setTimeout(resolve, 20));

/** With the client's own answer to the question after which closes it comes back. */
function subscribeOverSocket(secret: string): Subscriber {
  const subscriber = new Subscriber();
  const client = createWsClient({
    url: `ws://127.0.0.1:${String(line.port)}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { apiKey: secret },
    retryAttempts: Infinity,
    retryWait: soon,
    on: {
      closed: (event) => {
        if ((event as { code: number }).code === 1013) subscriber.refusals++;
      },
    },
  });
  closing.push(() => client.dispose());
  client.subscribe({ query: SUBSCRIPTION, variables: subscriber.variables }, subscriber.sink);
  return subscriber;
}

function subscribeOverSse(secret: string): Subscriber {
  const subscriber = new Subscriber();
  const client = createSseClient({
    url: `http://127.0.0.1:${String(line.port)}/graphql/stream`,
    headers: { authorization: `Bearer ${secret}` },
    retryAttempts: Infinity,
    retry: soon,
    fetchFn: async (...asked: Parameters<typeof fetch>) => {
      const response = await fetch(...asked);
      if (response.status === 429) subscriber.refusals++;
      return response;
    },
  });
  closing.push(() => {
    client.dispose();
  });
  client.subscribe({ query: SUBSCRIPTION, variables: subscriber.variables }, subscriber.sink);
  return subscriber;
}

const visitors = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `v${String(from + i)}`);

async function visit(names: readonly string[]): Promise<void> {
  await world.accept(names.map((name) => aTrack('product_view', { anonymous_id: name })));
  await world.drain();
}

/** Two at once, then one a second of the world's clock, which stands still. */
const slowKey = async (): Promise<string> =>
  (await world.services.keys.create({ name: 'slow', scopes: ['read', 'pii'], ratePerSecond: 1 })).secret;

async function exhaust(key: string): Promise<void> {
  let status: number;
  do ({ status } = await world.ask(READ, {}, { key }));
  while (status === 200);
  expect(status).toBe(429);
}

describe.each([
  ['graphql-ws', subscribeOverSocket],
  ['graphql-sse', subscribeOverSse],
])('%s, cut off and refused by the rate of its key', (_name, subscribe) => {
  it('comes back by itself once it may, and is told each change once', async () => {
    const key = await slowKey();
    const subscriber = subscribe(key);
    await expect.poll(() => world.hub.subscribers).toBe(1);
    const before = visitors(0, 5);
    await visit(before);
    await expect.poll(() => subscriber.visitors).toEqual(before);

    await exhaust(key);
    line.cut();
    await expect.poll(() => subscriber.refusals).toBeGreaterThan(2);
    const meanwhile = visitors(5, 5);
    await visit(meanwhile);
    expect(subscriber).toMatchObject({ visitors: before, ends: [] });

    world.clock.advance(1_000);
    await expect.poll(() => subscriber.visitors).toEqual([...before, ...meanwhile]);
    const after = visitors(10, 5);
    await visit(after);
    await expect.poll(() => subscriber.visitors.length).toBeGreaterThanOrEqual(15);
    expect(subscriber).toMatchObject({ visitors: [...before, ...meanwhile, ...after], ends: [] });
  });
});
