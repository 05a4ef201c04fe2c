import { Analytics } from '@segment/analytics-node';
import type { AnalyticsSettings } from '@segment/analytics-node';
import type { FastifyInstance } from 'fastify';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LoggedEvent } from '../../src/events/event.model.js';
import { systemClock } from '../../src/platform/clock.js';
import { RateLimiter } from '../../src/platform/rate-limiter.js';
import { createTestDatabase } from '../support/database.js';
import type { TestDatabase } from '../support/database.js';
import { readLog, startTrackingServer, TRACKING_ENTITIES, trackingServices } from '../support/tracking-server.js';
import type { TrackingServer, TrackingServices } from '../support/tracking-server.js';

let test: TestDatabase;
let services: TrackingServices;
let writeKey: string;
let startPos = 0;
const servers: TrackingServer[] = [];

beforeAll(async () => {
  test = await createTestDatabase({ entities: TRACKING_ENTITIES });
  services = trackingServices(test.database, systemClock);
  const source = await services.sources.create({ key: 'backend', kind: 'http' });
  writeKey = (await services.keys.create({ name: 'backend', scopes: ['ingest'], sourceId: source.id })).secret;
});

afterAll(async () => {
  await services.keys.drain();
  await test.drop();
});

beforeEach(async () => {
  startPos = (await services.log.head()).pos;
});

afterEach(async () => {
  await Promise.all(servers.splice(0).map(({ app }) => app.close()));
});

async function start(options: Parameters<typeof startTrackingServer>[1] = {}): Promise<TrackingServer> {
  const server = await startTrackingServer(services, options);
  servers.push(server);
  return server;
}

function newClient(host: string, settings: Partial<AnalyticsSettings> = {}): { client: Analytics; errors: unknown[] } {
  const client = new Analytics({ writeKey, host, flushAt: 5, flushInterval: 200, ...settings });
  const errors: unknown[] = [];
  client.on('error', (error) => errors.push(error));
  return { client, errors };
}

function trackMany(client: Analytics, from: number, count: number): string[] {
  return Array.from({ length: count }, (_, i) => {
    const event = `event-${String(from + i)}`;
    client.track({ userId: `user-${String(i % 7)}`, event });
    return event;
  });
}

async function loggedNames(): Promise<string[]> {
  const events: LoggedEvent[] = await readLog(services.log, startPos);
  return events.map(({ name }) => name).sort();
}

/** Destroys the connection instead of the first answers: the events are durable, the client cannot know. */
function loseAnswers(app: FastifyInstance, count: number): { lost: number } {
  const state = { lost: 0 };
  app.addHook('onSend', (request, reply, payload, done) => {
    if (state.lost < count && reply.statusCode === 200) {
      state.lost += 1;
      request.raw.socket.destroy();
    }
    done(null, payload);
  });
  return state;
}

describe('@segment/analytics-node, unmodified', () => {
  it('delivers every kind of call exactly once', async () => {
    const { client, errors } = newClient((await start()).url);
    const timestamp = new Date(Date.now() - 60_000);
    client.identify({ userId: 'ann', traits: { email: 'ann@acme.org', plan: 'pro' } });
    client.track({ userId: 'ann', event: 'Order Completed', properties: { total: 12.5 }, timestamp });
    client.page({ anonymousId: 'cookie-1', name: 'Home', properties: { path: '/' } });
    client.screen({ anonymousId: 'cookie-1', name: 'Start' });
    client.group({ userId: 'ann', groupId: 'acme', traits: { seats: 5 } });
    client.alias({ userId: 'ann', previousId: 'cookie-1' });
    await client.closeAndFlush();

    const events = await readLog(services.log, startPos);
    const byType = new Map(events.map((event) => [event.type, event]));
    expect(events).toHaveLength(6);
    expect(byType.size).toBe(6);
    expect(errors).toEqual([]);
    expect(byType.get('identify')).toMatchObject({ traits: { email: 'ann@acme.org', plan: 'pro' } });
    expect(byType.get('track')).toMatchObject({ name: 'Order Completed', properties: { total: 12.5 } });
    const shiftMs = (byType.get('track')?.occurredAt ?? 0) - timestamp.getTime();
    expect(shiftMs).toBeGreaterThanOrEqual(0);
    expect(shiftMs).toBeLessThan(5_000);
    expect(byType.get('page')).toMatchObject({ properties: { path: '/', name: 'Home' } });
    expect(byType.get('group')).toMatchObject({ groupId: 'acme', properties: { seats: 5 } });
    expect(byType.get('alias')?.identifiers.map(({ ns }) => ns)).toEqual(['user_id', 'anonymous_id']);
    expect(byType.get('track')?.context).toMatchObject({ library: { name: '@segment/analytics-node' } });
  });

  it('loses and doubles nothing when it is told to slow down', async () => {
    const limiter = new RateLimiter({ tokensPerSecond: 20, burstTokens: 10, maxKeys: 10 }, systemClock);
    let refusals = 0;
    const { url } = await start({
      limit: (key, tokens) => {
        const waitMs = limiter.take(key, tokens);
        if (waitMs > 0) refusals += 1;
        return waitMs;
      },
    });
    const { client, errors } = newClient(url);
    const sent = trackMany(client, 0, 23);
    await client.closeAndFlush();
    expect(await loggedNames()).toEqual(sent.sort());
    expect(refusals).toBeGreaterThan(0);
    expect(errors).toEqual([]);
  });

  it('loses and doubles nothing when its source is paused and resumed', async () => {
    const { client, errors } = newClient((await start()).url);
    await services.sources.update('backend', { paused: true });
    const sent = trackMany(client, 0, 12);
    await new Promise<void>((resolve) => client.once('http_request', () => resolve()));
    expect(await loggedNames()).toEqual([]);
    await services.sources.update('backend', { paused: false });
    await client.closeAndFlush();
    expect(await loggedNames()).toEqual(sent.sort());
    expect(errors).toEqual([]);
  });

  it('loses and doubles nothing when answers are lost and the server is restarted', async () => {
    let lossy = { lost: 0 };
    const first = await start({ prepare: (app) => (lossy = loseAnswers(app, 2)) });
    const { client, errors } = newClient(first.url);
    const sent = trackMany(client, 0, 20);
    // The first answers are lost by now or soon; the server goes away while the client still sends.
    await new Promise<void>((resolve) => client.once('http_request', () => resolve()));
    await first.app.close();
    sent.push(...trackMany(client, 20, 20));
    const refused = new Promise<void>((resolve) => client.once('http_request', () => resolve()));
    await refused;
    servers.length = 0;
    await start({ port: first.port, prepare: (app) => (lossy = loseAnswers(app, 2)) });
    await client.closeAndFlush();
    expect(await loggedNames()).toEqual(sent.sort());
    expect(lossy.lost).toBe(2);
    expect(errors).toEqual([]);
  });
});
