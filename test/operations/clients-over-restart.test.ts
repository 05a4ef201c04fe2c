import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { randomBytes } from 'node:crypto';
import { Analytics } from '@segment/analytics-node';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { ApiKeyEntity } from '../../src/api/auth/api-key.entity.js';
import { ApiKeyService } from '../../src/api/auth/api-key.service.js';
import { ApiKeyStore } from '../../src/api/auth/api-key.store.js';
import { systemClock } from '../../src/platform/clock.js';
import { NO_SECRET } from '../../src/platform/installation-secret.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { SourceService } from '../../src/sources/source.service.js';
import { SourceStore } from '../../src/sources/source.store.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const VISITORS_BEFORE = 40;
const VISITORS_AFTER = 40;
const ROOT = join(import.meta.dirname, '../..');

const SUBSCRIPTION = `subscription ($after: String) {
  segmentChanges(after: $after) { cursor kind profile { identifiers { namespace value } } } }`;

interface Change {
  readonly cursor: string;
  readonly kind: string;
  readonly profile: { readonly identifiers: readonly { readonly value: string }[] } | null;
}

let test: TestDatabase;
let port: number;
let adminKey: string;
let writeKey: string;
let server: ChildProcess;
const closing: (() => unknown)[] = [];

beforeEach(async () => {
  test = await createTestDatabase({ entities: [SourceEntity, ApiKeyEntity] });
  port = await freePort();
  const keys = new ApiKeyService({
    store: new ApiKeyStore(test.database.dataSource),
    clock: systemClock,
    secret: NO_SECRET,
    randomBytes,
    onLastUsedError: () => undefined,
  });
  const sources = new SourceService(new SourceStore(test.database.dataSource), systemClock);
  const source = await sources.create({ key: 'web', kind: 'http' });
  adminKey = (await keys.create({ name: 'tools', scopes: ['admin'] })).secret;
  writeKey = (await keys.create({ name: 'site', scopes: ['ingest'], sourceId: source.id })).secret;
  server = await startServer();
});

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  await kill();
  await test.drop();
});

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port: found } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return found;
}

/** `weft serve` as a process of its own, once it says that it is ready. */
async function startServer(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [join(ROOT, 'bin/weft.js'), 'serve'], {
    cwd: ROOT,
    env: { ...process.env, WEFT_DATABASE_URL: test.url, WEFT_REDIS_URL: '', WEFT_PORT: String(port) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise<void>((resolve, reject) => {
    createInterface(child.stdout)
      .on('line', (line) => {
        if (line.includes('"ready"')) resolve();
      })
      .on('close', () => {
        reject(new Error('the server ended before it was ready'));
      });
  });
  return child;
}

async function kill(): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const exited = once(server, 'exit');
  server.kill('SIGKILL');
  await exited;
}

/** What a subscriber has been told, as the visitor of each change. */
class Told {
  readonly visitors: string[] = [];
  /** Read anew by the clients whenever they connect. */
  readonly variables: { after?: string } = {};

  take({ data, errors }: { data?: unknown; errors?: unknown }): void {
    if (errors !== undefined) throw new Error(JSON.stringify(errors));
    const { cursor, profile } = (data as { segmentChanges: Change }).segmentChanges;
    this.variables.after = cursor;
    this.visitors.push(profile?.identifiers[0]?.value ?? '');
  }
}

/** As graphql-ws does by itself when its connection is lost: it subscribes again with the variables as they are then. */
function subscribeOverSocket(told: Told): void {
  const client = createWsClient({
    url: `ws://127.0.0.1:${String(port)}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { apiKey: adminKey },
    retryAttempts: 100,
    retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
    shouldRetry: () => true,
  });
  closing.push(() => client.dispose());
  client.subscribe(
    { query: SUBSCRIPTION, variables: told.variables },
    { next: (value) => told.take(value as { data?: unknown }), error: () => undefined, complete: () => undefined },
  );
}

function subscribeOverSse(told: Told): void {
  const client = createSseClient({
    url: `http://127.0.0.1:${String(port)}/graphql/stream`,
    headers: { authorization: `Bearer ${adminKey}` },
    retryAttempts: 100,
    retry: () => new Promise((resolve) => setTimeout(resolve, 50)),
  });
  closing.push(() => {
    client.dispose();
  });
  client.subscribe(
    { query: SUBSCRIPTION, variables: told.variables },
    { next: (value) => told.take(value as { data?: unknown }), error: () => undefined, complete: () => undefined },
  );
}

async function mutate(mutation: string): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${String(port)}/graphql`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ query: mutation }),
  });
  const { data, errors } = (await response.json()) as {
    data?: Record<string, { __typename: string }>;
    errors?: unknown;
  };
  expect(errors).toBeUndefined();
  for (const { __typename } of Object.values(data ?? {})) expect(__typename).toBe('Segment');
}

const names = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `visitor-${String(from + i)}`);

it('clients that people already run lose and double nothing when the server is killed and started again', async () => {
  await mutate(`mutation { upsertSegment(segment: { key: "keen", name: "Keen", expression: "performed('Product Viewed')" }) { __typename }
             activateSegment(key: "keen") { __typename } }`);
  const [socket, stream] = [new Told(), new Told()];
  subscribeOverSocket(socket);
  subscribeOverSse(stream);
  const analytics = new Analytics({
    writeKey,
    host: `http://127.0.0.1:${String(port)}`,
    flushAt: 5,
    flushInterval: 50,
    maxRetries: 30,
  });
  const lost: unknown[] = [];
  analytics.on('error', (error) => lost.push(error));
  const visit = (visitors: readonly string[]): void => {
    for (const anonymousId of visitors) analytics.track({ anonymousId, event: 'Product Viewed' });
  };
  // A subscription without a cursor tells what comes from now on, so both have to be there first.
  const warmUp = 'visitor-of-warm-up';
  let sent = 0;
  const isHeard = (): boolean => {
    analytics.track({ anonymousId: `${warmUp}-${String(sent++)}`, event: 'Product Viewed' });
    return socket.visitors.length > 0 && stream.visitors.length > 0;
  };
  await expect.poll(isHeard, { timeout: 20_000 }).toBe(true);

  const before = names(0, VISITORS_BEFORE);
  visit(before);
  await expect.poll(() => socket.visitors.length, { timeout: 20_000 }).toBeGreaterThan(VISITORS_BEFORE / 4);
  await kill();
  const after = names(VISITORS_BEFORE, VISITORS_AFTER);
  visit(after);
  server = await startServer();
  await analytics.closeAndFlush();

  expect(lost).toEqual([]);
  const all = [...before, ...after].sort();
  for (const told of [socket, stream]) {
    const seen = (): string[] => told.visitors.filter((name) => !name.startsWith(warmUp)).sort();
    await expect.poll(() => seen().length, { timeout: 20_000 }).toBeGreaterThanOrEqual(all.length);
    expect(seen()).toEqual(all);
  }
  expect(socket.visitors.slice(-VISITORS_AFTER)).toEqual(stream.visitors.slice(-VISITORS_AFTER));
}, 90_000);
