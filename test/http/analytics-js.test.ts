import { EventEmitter, once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import Fastify, { type FastifyInstance } from 'fastify';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/platform/clock.js';
import { chromiumPath, startBrowser } from '../support/browser.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import {
  readLog,
  startTrackingServer,
  TRACKING_ENTITIES,
  trackingServices,
  type TrackingServer,
  type TrackingServices,
} from '../support/tracking-server.js';

const path = chromiumPath();

/** What a page does with the library; the real one is only known in the page. */
interface InPage {
  readonly analytics: {
    page(name: string): void;
    identify(userId: string, traits: object): void;
    track(event: string, properties?: object): void;
  };
}

/** A shop on another origin than Weft, whose pages load analytics.js as its makers say: the queue first, then the script. */
async function startShop(writeKey: string, weftUrl: string): Promise<FastifyInstance> {
  const entry = createRequire(import.meta.url).resolve('@segment/analytics-next');
  const library = await readFile(join(dirname(entry), '../umd/standalone.js'), 'utf8');
  const methods = JSON.stringify(['page', 'identify', 'track', 'group', 'alias', 'reset', 'ready', 'on', 'once']);
  const app = Fastify();
  app.get('/analytics.js', (_request, reply) => reply.type('text/javascript').send(library));
  app.get('/', (_request, reply) =>
    reply.type('text/html').send(`<!doctype html><title>Shop</title><script>
      const analytics = (window.analytics = []);
      for (const method of ${methods}) analytics[method] = (...args) => (analytics.push([method, ...args]), analytics);
      analytics._writeKey = ${JSON.stringify(writeKey)};
      analytics._cdn = ${JSON.stringify(weftUrl)};
      analytics.page('Home');
    </script><script async src="/analytics.js"></script>`),
  );
  await app.listen({ host: '127.0.0.1', port: 0 });
  return app;
}

describe.skipIf(path === null)('analytics.js in Chromium, unmodified', () => {
  let test: TestDatabase;
  let services: TrackingServices;
  let browser: Browser;
  let writeKey: string;
  let weft: TrackingServer;
  let shop: FastifyInstance;
  let page: Page;
  let startPos = 0;
  let refuse = (): number => 0;
  const answers = new EventEmitter();
  const strangers: string[] = [];

  beforeAll(async () => {
    test = await createTestDatabase({ entities: TRACKING_ENTITIES });
    services = trackingServices(test.database, systemClock);
    const source = await services.sources.create({ key: 'shop', kind: 'http' });
    writeKey = (await services.keys.create({ name: 'shop', scopes: ['ingest'], sourceId: source.id })).secret;
    browser = await startBrowser(path ?? '');
  });

  afterAll(async () => {
    await browser.close();
    await services.keys.drain();
    await test.drop();
  });

  beforeEach(async () => {
    refuse = () => 0;
    strangers.length = 0;
    startPos = (await services.log.head()).pos;
    weft = await startWeft(0);
    shop = await startShop(writeKey, weft.url);
    const context = await browser.newContext();
    page = await context.newPage();
    page.on('request', (request) => {
      if (!request.url().startsWith('http://127.0.0.1:')) strangers.push(request.url());
    });
    await page.goto(`http://127.0.0.1:${String((shop.server.address() as AddressInfo).port)}/?utm_source=mail`);
  });

  afterEach(async () => {
    await page.context().close();
    await shop.close();
    await weft.app.close();
  });

  /** Weft on this port, telling of every answer that it gave. */
  const startWeft = (port: number): Promise<TrackingServer> =>
    startTrackingServer(services, {
      port,
      limit: () => refuse(),
      prepare: (app) => {
        app.addHook('onResponse', (_request, _reply, done) => {
          answers.emit('answer');
          done();
        });
      },
    });

  /** What has arrived once there is at least as much; the test's own time-out bounds the wait. */
  async function arrived(count: number) {
    for (;;) {
      const answered = once(answers, 'answer');
      const events = await readLog(services.log, startPos);
      if (events.length >= count) return events;
      await answered;
    }
  }

  it('sends page, identify and track, and they arrive as one visitor', async () => {
    await arrived(1);
    await page.evaluate(() => {
      const { analytics } = globalThis as unknown as InPage;
      analytics.identify('ann', { email: 'ann@acme.org', plan: 'pro' });
      analytics.track('Product Viewed', { sku: 'A-7', price: 12.5 });
    });
    const events = await arrived(3);
    expect(events.map(({ type }) => type).sort()).toEqual(['identify', 'page', 'track']);
    const byType = new Map(events.map((event) => [event.type, event]));
    expect(byType.get('page')).toMatchObject({ properties: { name: 'Home', title: 'Shop' } });
    expect(byType.get('identify')).toMatchObject({ traits: { email: 'ann@acme.org', plan: 'pro' } });
    expect(byType.get('track')).toMatchObject({ name: 'Product Viewed', properties: { sku: 'A-7', price: 12.5 } });
    expect(byType.get('track')?.context).toMatchObject({ campaign: { source: 'mail' } });
    const cookies = events.map(({ identifiers }) => identifiers.find(({ ns }) => ns === 'anonymous_id')?.value);
    expect(new Set(cookies).size).toBe(1);
    expect(cookies[0]).toMatch(/^[\w-]{36}$/);
    expect(strangers).toEqual([]);
  });

  it('loses and doubles nothing when it is told to wait', async () => {
    await arrived(1);
    let refusals = 0;
    refuse = () => (++refusals <= 3 ? 1_000 : 0);
    await page.evaluate(() => {
      const { analytics } = globalThis as unknown as InPage;
      for (const n of [1, 2, 3]) analytics.track(`Step ${String(n)}`);
    });
    const events = await arrived(4);
    expect(events.map(({ name }) => name).sort()).toEqual(['Step 1', 'Step 2', 'Step 3', 'page']);
    expect(refusals).toBeGreaterThan(3);
  });

  it('loses and doubles nothing when the server is away for a while', async () => {
    await arrived(1);
    await weft.app.close();
    const failed = page.waitForEvent('requestfailed');
    await page.evaluate(() => {
      const { analytics } = globalThis as unknown as InPage;
      for (const n of [1, 2, 3]) analytics.track(`Step ${String(n)}`);
    });
    await failed;
    weft = await startWeft(weft.port);
    const events = await arrived(4);
    expect(events.map(({ name }) => name).sort()).toEqual(['Step 1', 'Step 2', 'Step 3', 'page']);
  });
});
