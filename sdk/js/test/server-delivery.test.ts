import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDelivery } from '../src/delivery.js';
import type { Delivery } from '../src/delivery.model.js';
import { createMemoryQueue } from '../src/memory-queue.js';
import type { Problem } from '../src/problem.js';
import { createWeftServer, type WeftServer, type WeftServerOptions } from '../src/server.js';
import { createTrackedSite, first, refuseWith, type Fault, type TrackedSite } from './support/tracked-site.js';

/* The client of a server sends to Weft itself; faults are put between the two. */

const FLUSH_MS = 30_000;

let site: TrackedSite;

beforeAll(async () => {
  site = await createTrackedSite();
});

beforeEach(() => site.begin());

afterAll(() => site.close());

function client(options: Partial<WeftServerOptions> = {}): { weft: WeftServer; problems: Problem[] } {
  const problems: Problem[] = [];
  const weft = createWeftServer({
    url: site.url,
    writeKey: site.writeKey,
    flushDelayMs: 5,
    onProblem: (problem) => problems.push(problem),
    ...options,
  });
  return { weft, problems };
}

function trackMany(weft: WeftServer, from: number, count: number): string[] {
  return Array.from({ length: count }, (_, i) => {
    const event = `event-${String(from + i)}`;
    weft.track({ userId: `user-${String(i % 7)}`, event });
    return event;
  });
}

const names = async (): Promise<string[]> => (await site.events()).map(({ name }) => name).sort();

describe('the client of a server', () => {
  it('sends every kind of call, and each arrives once', async () => {
    const { weft, problems } = client();
    weft.identify({ userId: 'ann', anonymousId: 'visitor-1', traits: { email: 'ann@acme.org', plan: 'pro' } });
    weft.track({ userId: 'ann', event: 'Order Completed', properties: { total: 12.5 } });
    weft.page({ anonymousId: 'visitor-1', name: 'Home', properties: { path: '/' } });
    expect(await weft.flush()).toBe(true);
    const byType = new Map((await site.events()).map((event) => [event.type, event]));
    expect(byType.size).toBe(3);
    expect(byType.get('identify')).toMatchObject({ traits: { email: 'ann@acme.org', plan: 'pro' } });
    expect(byType.get('track')).toMatchObject({ name: 'Order Completed', properties: { total: 12.5 } });
    expect(byType.get('track')?.context).toEqual({
      library: { name: '@weft/js', version: expect.any(String) as string },
    });
    expect(byType.get('page')).toMatchObject({ properties: { path: '/', name: 'Home' } });
    expect(weft.stats()).toEqual({ sent: 3, dropped: 0, queued: 0 });
    expect(problems).toEqual([]);
  });

  it('sends by itself, many events in few requests', async () => {
    const { weft } = client();
    const sent = trackMany(weft, 0, 1_200);
    await site.arrived(1_200);
    expect(await names()).toEqual(sent.sort());
    expect(site.received.length).toBeLessThanOrEqual(4);
  });

  it('waits as long as it is told to, and loses and doubles nothing', async () => {
    const { weft } = client();
    const refusedAt: number[] = [];
    const refuse = refuseWith(429, { 'retry-after': '1' });
    site.setFault(
      first(2, (request, reply) => {
        refusedAt.push(performance.now());
        return refuse(request, reply);
      }),
    );
    const sent = trackMany(weft, 0, 30);
    expect(await weft.flush(FLUSH_MS)).toBe(true);
    expect(await names()).toEqual(sent.sort());
    expect(site.faults()).toBe(2);
    expect((refusedAt[1] ?? 0) - (refusedAt[0] ?? 0)).toBeGreaterThan(990);
  });

  it('loses and doubles nothing over answers that are lost, 503 and a restart of the server', async () => {
    const { weft } = client();
    site.setFault(first(1, () => 'lose the answer'));
    const sent = trackMany(weft, 0, 20);
    expect(await weft.flush()).toBe(false);
    await site.stop();
    sent.push(...trackMany(weft, 20, 20));
    expect(await weft.flush()).toBe(false);
    await site.start();
    site.setFault(first(1, refuseWith(503)));
    expect(await weft.flush(FLUSH_MS)).toBe(true);
    expect(await names()).toEqual(sent.sort());
    expect(weft.stats()).toEqual({ sent: 40, dropped: 0, queued: 0 });
  });

  it('takes what is not of Weft for no answer, as the login page of a hotel', async () => {
    const { weft } = client();
    site.setFault(
      first(1, (_request, reply) => {
        void reply.type('text/html').send('<h1>Welcome</h1>');
        return 'answered';
      }),
    );
    const sent = trackMany(weft, 0, 3);
    expect(await weft.flush(FLUSH_MS)).toBe(true);
    expect(await names()).toEqual(sent);
  });

  it('cuts what is too much in two, until it is not', async () => {
    const { weft, problems } = client();
    site.setFault((request, reply) =>
      String(request.body).split('messageId').length > 4 ? refuseWith(413)(request, reply) : 'pass',
    );
    const sent = trackMany(weft, 0, 11);
    expect(await weft.flush()).toBe(true);
    expect(await names()).toEqual(sent.sort());
    expect(problems).toEqual([]);
  });

  it('gives up an event that is refused for good, and no other', async () => {
    const { weft, problems } = client();
    site.setFault((request, reply) =>
      String(request.body).includes('"poison"') ? refuseWith(400)(request, reply) : 'pass',
    );
    const sent = trackMany(weft, 0, 5);
    weft.track({ userId: 'ann', event: 'poison' });
    sent.push(...trackMany(weft, 5, 5));
    expect(await weft.flush()).toBe(true);
    expect(await names()).toEqual(sent.sort());
    expect(problems).toMatchObject([{ code: 'REFUSED', events: 1 }]);
    expect(weft.stats()).toEqual({ sent: 10, dropped: 1, queued: 0 });
  });

  it('says what Weft refused of a batch that it took', async () => {
    const { weft, problems } = client();
    weft.track({ event: 'of nobody' });
    weft.track({ userId: 'ann', event: 'of somebody' });
    expect(await weft.flush()).toBe(true);
    expect(await names()).toEqual(['of somebody']);
    expect(problems).toMatchObject([{ code: 'REFUSED', events: 1 }]);
    expect(weft.stats()).toMatchObject({ sent: 1, dropped: 1 });
  });

  it('keeps events that a wrong key cannot send, and says so', async () => {
    const { weft, problems } = client({ writeKey: 'weft_i_wrong' });
    trackMany(weft, 0, 3);
    expect(await weft.flush()).toBe(false);
    expect(problems).toMatchObject([{ code: 'KEY_REFUSED' }]);
    expect(weft.stats()).toMatchObject({ queued: 3, dropped: 0 });
  });

  it('never throws at its caller, whatever it is given', async () => {
    const { weft, problems } = client();
    const circle: Record<string, unknown> = {};
    circle['self'] = circle;
    weft.track({ userId: 'ann', event: 'circle', properties: circle });
    weft.track({ userId: 'ann', event: 'number', properties: { n: 1n } });
    weft.track({ userId: 'ann', event: 'large', properties: { text: 'x'.repeat(33_000) } });
    expect(await weft.flush()).toBe(true);
    expect(problems.map(({ code }) => code)).toEqual(['NOT_AN_EVENT', 'NOT_AN_EVENT', 'NOT_AN_EVENT']);
    expect(weft.stats().dropped).toBe(3);
  });

  it('keeps the newest where more waits than it may hold, and counts the others', async () => {
    const { weft, problems } = client({ maxQueuedEvents: 10, flushDelayMs: 60_000 });
    const sent = trackMany(weft, 0, 25);
    expect(weft.stats()).toMatchObject({ queued: 10, dropped: 15 });
    expect(await weft.flush()).toBe(true);
    expect(await names()).toEqual(sent.slice(15).sort());
    expect(problems).toHaveLength(15);
  });

  it('without a key for sending does nothing, quietly', async () => {
    const weft = createWeftServer({ url: site.url });
    weft.track({ userId: 'ann', event: 'nowhere' });
    expect(await weft.flush()).toBe(true);
    expect(weft.stats()).toEqual({ sent: 0, dropped: 0, queued: 0 });
  });
});

describe('whatever happens on the way', () => {
  const faults: Readonly<Record<string, Fault>> = {
    pass: () => 'pass',
    lose: () => 'lose the answer',
    later: refuseWith(429, { 'retry-after': '2' }),
    away: refuseWith(503),
    split: (request, reply) =>
      String(request.body).split('messageId').length > 3 ? refuseWith(413)(request, reply) : 'pass',
    cut: (request) => {
      request.raw.socket.destroy();
      return 'answered';
    },
  };

  it('every event arrives exactly once', async () => {
    let run = 0;
    const schedule = fc.array(fc.constantFrom(...Object.keys(faults)), { maxLength: 8 });
    const adds = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(schedule, adds, async (kinds, counts) => {
        run += 1;
        await site.begin();
        const waiting = [...kinds];
        site.setFault((request, reply) => faults[waiting.shift() ?? 'pass']?.(request, reply) ?? 'pass');
        const delivery = hurriedDelivery();
        const sent: string[] = [];
        for (const count of counts) {
          for (let i = 0; i < count; i++) {
            const messageId = `run-${String(run)}-${String(sent.length)}`;
            sent.push(messageId);
            delivery.add({ type: 'track', event: messageId, messageId, userId: 'ann' });
          }
          await delivery.flush();
        }
        expect(await delivery.flush(600_000)).toBe(true);
        expect((await site.events()).map(({ name }) => name)).toEqual(sent);
        expect(delivery.stats()).toEqual({ sent: sent.length, dropped: 0, queued: 0 });
      }),
      { numRuns: 25 },
    );
  });

  /** A delivery for which a second is two milliseconds. */
  function hurriedDelivery(): Delivery {
    const factor = 500;
    return createDelivery({
      url: site.url,
      writeKey: site.writeKey,
      queue: createMemoryQueue(1_000, 1_000_000),
      exclusive: {
        run: async (task) => {
          await task();
          return true;
        },
        renew: () => undefined,
        release: () => undefined,
      },
      flushDelayMs: 250,
      isAllowed: () => true,
      now: () => performance.timeOrigin + performance.now() * factor,
      random: Math.random,
      later: (task, delayMs) => {
        const timer = setTimeout(task, delayMs / factor);
        return () => clearTimeout(timer);
      },
      sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms / factor)),
      onToken: () => undefined,
      onProblem: (problem) => {
        throw new Error(problem.message);
      },
    });
  }
});
