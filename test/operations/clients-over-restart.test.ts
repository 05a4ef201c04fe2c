import { Analytics } from '@segment/analytics-node';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { serveWeft, type ServedWeft } from '../support/served-weft.js';

const VISITORS_BEFORE = 30;
const VISITORS_AFTER = 30;
/** As long as it takes: how fast a server is back is the machine's business, and 100 attempts are over in 6 s. */
const RETRY = { attempts: Infinity, wait: () => new Promise<void>((resolve) => setTimeout(resolve, 100)) };

const SUBSCRIPTION = `subscription ($after: String) {
  segmentChanges(after: $after) { cursor kind profile { identifiers { namespace value } } } }`;

interface Change {
  readonly cursor: string;
  readonly kind: string;
  readonly profile: { readonly identifiers: readonly { readonly value: string }[] } | null;
}

let weft: ServedWeft;
const closing: (() => unknown)[] = [];

beforeEach(async () => {
  weft = await serveWeft();
});

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  await weft.close();
});

/** What a subscriber has been told, as the visitor of each change. */
class Told {
  readonly visitors: string[] = [];
  /** Why the client ended the subscription by itself: then nothing more comes, however long one waits. */
  readonly ends: unknown[] = [];
  /** Read anew by the clients whenever they connect. */
  readonly variables: { after?: string } = {};

  take({ data, errors }: { data?: unknown; errors?: unknown }): void {
    if (errors !== undefined) throw new Error(JSON.stringify(errors));
    const { cursor, profile } = (data as { segmentChanges: Change }).segmentChanges;
    this.variables.after = cursor;
    this.visitors.push(profile?.identifiers[0]?.value ?? '');
  }

  sink() {
    return {
      next: (value: object) => {
        this.take(value);
      },
      error: (error: unknown) => this.ends.push(error),
      complete: () => this.ends.push('complete'),
    };
  }
}

/** As graphql-ws does by itself when its connection is lost: it subscribes again with the variables as they are then. */
function subscribeOverSocket(told: Told): void {
  const client = createWsClient({
    url: `${weft.url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { apiKey: weft.adminKey },
    retryAttempts: RETRY.attempts,
    retryWait: RETRY.wait,
    shouldRetry: () => true,
  });
  closing.push(() => client.dispose());
  client.subscribe({ query: SUBSCRIPTION, variables: told.variables }, told.sink());
}

function subscribeOverSse(told: Told): void {
  const client = createSseClient({
    url: `${weft.url}/graphql/stream`,
    headers: { authorization: `Bearer ${weft.adminKey}` },
    retryAttempts: RETRY.attempts,
    retry: RETRY.wait,
  });
  closing.push(() => {
    client.dispose();
  });
  client.subscribe({ query: SUBSCRIPTION, variables: told.variables }, told.sink());
}

const names = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `visitor-${String(from + i)}`);

it('clients that people already run lose and double nothing when the server is killed and started again', async () => {
  await weft.defineEdgeSegment('keen', "performed('Product Viewed')");
  const [socket, stream] = [new Told(), new Told()];
  subscribeOverSocket(socket);
  subscribeOverSse(stream);
  const analytics = new Analytics({
    writeKey: weft.writeKey,
    host: weft.url,
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
  await expect.poll(isHeard).toBe(true);

  const before = names(0, VISITORS_BEFORE);
  visit(before);
  await expect.poll(() => socket.visitors.length).toBeGreaterThan(VISITORS_BEFORE / 4);
  await weft.kill();
  const after = names(VISITORS_BEFORE, VISITORS_AFTER);
  visit(after);
  await weft.start();
  await analytics.closeAndFlush();

  const all = [...before, ...after].sort();
  for (const told of [socket, stream]) {
    const seen = (): string[] => told.visitors.filter((name) => !name.startsWith(warmUp)).sort();
    await expect.poll(() => told.ends.length > 0 || seen().length >= all.length).toBe(true);
    expect(told.ends).toEqual([]);
    expect(seen()).toEqual(all);
  }
  expect(lost).toEqual([]);
  expect(socket.visitors.slice(-VISITORS_AFTER)).toEqual(stream.visitors.slice(-VISITORS_AFTER));
}, 120_000);
