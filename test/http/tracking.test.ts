import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { EventAcceptor } from '../../src/events/accept.model.js';
import type { LoggedEvent } from '../../src/events/event.model.js';
import { ManualClock } from '../../src/platform/clock.js';
import { WeftError } from '../../src/platform/errors.js';
import { RateLimiter } from '../../src/platform/rate-limiter.js';
import { createTestDatabase } from '../support/database.js';
import type { TestDatabase } from '../support/database.js';
import { readLog, startTrackingServer, TRACKING_ENTITIES, trackingServices } from '../support/tracking-server.js';
import type { TrackingServer, TrackingServices } from '../support/tracking-server.js';

const NOW = Date.UTC(2026, 0, 31, 12);

let test: TestDatabase;
let services: TrackingServices;
let server: TrackingServer;
let clock: ManualClock;
let writeKey: string;
let readKey: string;
let limitedKey: string;
let failure: Error | null = null;
let startPos = 0;

beforeAll(async () => {
  test = await createTestDatabase({ entities: TRACKING_ENTITIES });
  clock = new ManualClock(NOW);
  services = trackingServices(test.database, clock);
  const source = await services.sources.create({ key: 'shop', kind: 'http' });
  writeKey = (await services.keys.create({ name: 'shop', scopes: ['ingest'], sourceId: source.id })).secret;
  readKey = (await services.keys.create({ name: 'cms', scopes: ['read'] })).secret;
  const accept: EventAcceptor = {
    accept: (...call) => (failure === null ? services.accept.accept(...call) : Promise.reject(failure)),
  };
  const limiter = new RateLimiter({ tokensPerSecond: 10, burstTokens: 5, maxKeys: 10 }, clock);
  const limited = await services.keys.create({ name: 'limited', scopes: ['ingest'], sourceId: source.id });
  limitedKey = limited.secret;
  const limit = (key: string, tokens: number): number => (key === limited.key.id ? limiter.take(key, tokens) : 0);
  server = await startTrackingServer({ ...services, accept }, { limit });
});

afterAll(async () => {
  await server.app.close();
  await services.keys.drain();
  await test.drop();
});

beforeEach(async () => {
  failure = null;
  startPos = (await services.log.head()).pos;
});

interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Headers;
}

async function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const isRaw = typeof body === 'string' || body instanceof Uint8Array;
  const response = await fetch(`${server.url}/v1/${path}`, {
    method: 'POST',
    body: isRaw ? (body as string) : JSON.stringify(body),
    headers: { authorization: basic(writeKey), 'content-type': 'application/json', ...headers },
  });
  return { status: response.status, body: await response.json(), headers: response.headers };
}

function basic(secret: string): string {
  return `Basic ${Buffer.from(`${secret}:`).toString('base64')}`;
}

function logged(): Promise<LoggedEvent[]> {
  return readLog(services.log, startPos);
}

function aTrack(messageId: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  return { type: 'track', event: 'x', userId: 'ann', messageId, ...more };
}

describe('tracking API', () => {
  it.each([
    ['identify', 'i', { traits: { email: 'ann@acme.org' } }],
    ['track', 't', { event: 'Order Completed' }],
    ['page', 'p', { name: 'Home' }],
    ['screen', 's', { name: 'Home' }],
    ['group', 'g', { groupId: 'acme' }],
    ['alias', 'a', { previousId: 'cookie-1' }],
  ])('takes %s and its short form %s', async (name, short, body) => {
    for (const path of [name, short]) {
      const answer = await post(path, { userId: 'ann', messageId: `m-${path}`, ...body });
      expect(answer).toMatchObject({ status: 200, body: { success: true } });
    }
    expect((await logged()).map(({ type, messageId }) => [type, messageId])).toEqual([
      [name, `m-${name}`],
      [name, `m-${short}`],
    ]);
  });

  it('stores what was said, with the key deciding the source, the clock corrected and the address left out', async () => {
    await post('identify', {
      userId: 'ann',
      anonymousId: 'cookie-7',
      messageId: 'full',
      timestamp: new Date(NOW + 3_600_000 - 2000).toISOString(),
      sentAt: new Date(NOW + 3_600_000).toISOString(),
      traits: { email: ' Ann@Acme.org ' },
      context: { ip: '203.0.113.7', userAgent: 'Mozilla/5.0' },
      writeKey: 'ignored, the header counts',
    });
    const [event] = await logged();
    const source = await services.sources.findByKey('shop');
    expect(event).toMatchObject({
      type: 'identify',
      sourceId: source?.id,
      occurredAt: NOW - 2000,
      acceptedAt: NOW,
      traits: { email: ' Ann@Acme.org ' },
      context: { userAgent: 'Mozilla/5.0' },
    });
    expect(event?.identifiers.map(({ ns, value }) => `${ns}=${value}`)).toEqual([
      'user_id=ann',
      'email=ann@acme.org',
      'anonymous_id=cookie-7',
    ]);
    expect(JSON.stringify(event)).not.toContain('203.0.113.7');
    expect(JSON.stringify(event)).not.toContain(writeKey);
  });

  it.each(['batch', 'b', 'import'])('takes a batch at /v1/%s', async (path) => {
    const batch = [aTrack(`${path}-1`), aTrack(`${path}-2`), aTrack(`${path}-2`)];
    expect(await post(path, { batch })).toMatchObject({ status: 200, body: { success: true } });
    expect(await logged()).toHaveLength(2);
  });

  it('takes the good events of a batch and says what is wrong with the others, which are kept', async () => {
    const answer = await post('batch', {
      batch: [
        aTrack('mix-1'),
        { type: 'nope' },
        aTrack('mix-2', { event: '' }),
        aTrack('mix-1'),
        aTrack('mix-3', { userId: 'null' }),
      ],
    });
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({
      success: true,
      token: expect.any(String) as string,
      accepted: 1,
      duplicates: 1,
      rejected: [
        { index: 1, code: 'UNKNOWN_TYPE', reason: 'type is missing or not known' },
        { index: 2, code: 'NAME_MISSING', reason: 'a track event needs a name' },
        { index: 4, code: 'NO_IDENTIFIER', reason: 'no identifier is usable: user_id is blocked' },
      ],
    });
    const letters = await test.database.query<{ code: string; message_id: string | null; payload: Buffer }>(
      `SELECT code, message_id, payload FROM dead_letters WHERE stage = 'accept' ORDER BY id`,
    );
    expect(letters.map(({ code, message_id }) => [code, message_id])).toEqual([
      ['UNKNOWN_TYPE', null],
      ['NAME_MISSING', 'mix-2'],
      ['NO_IDENTIFIER', 'mix-3'],
    ]);
    expect(letters[0]?.payload.toString('utf8', 1)).toBe('{"type":"nope"}');
    expect(services.lost).toEqual([]);
  });

  it('refuses a single bad event with the reason', async () => {
    const answer = await post('track', { userId: 'ann' });
    expect(answer).toMatchObject({ status: 400, body: { success: false, code: 'NAME_MISSING' } });
    expect(await post('track', aTrack('late', { timestamp: 'soon' }))).toMatchObject({
      status: 400,
      body: { code: 'TIME_UNPARSABLE', reason: 'timestamp is not a time' },
    });
  });

  it('reads JSON whatever the content type, compressed or not, labelled or not', async () => {
    const body = JSON.stringify(aTrack('forms'));
    const variants: [string | Buffer, Record<string, string>][] = [
      [body, { 'content-type': 'text/plain' }],
      [body, { 'content-type': 'application/x-www-form-urlencoded' }],
      [body, { 'content-type': 'what is this' }],
      [`\ufeff${body}`, {}],
      [gzipSync(body), {}],
      [gzipSync(body), { 'content-encoding': 'gzip', 'content-type': 'application/octet-stream' }],
      [body, { 'content-encoding': 'gzip' }],
    ];
    for (const [raw, headers] of variants) {
      expect(await post('track', raw, headers), JSON.stringify(headers)).toMatchObject({ status: 200 });
    }
    expect(await logged()).toHaveLength(1);
  });

  it('refuses what is not a JSON object, without quoting it', async () => {
    for (const raw of ['', '{"userId":"secret-ann"', '[]', '"x"', 'null', Buffer.from([0x1f, 0x8b, 8, 0, 1])]) {
      const answer = await post('track', raw);
      expect(answer).toMatchObject({ status: 400, body: { success: false, code: 'BAD_REQUEST' } });
      expect(JSON.stringify(answer.body)).not.toContain('secret-ann');
    }
    expect(await post('batch', { batch: 'x' })).toMatchObject({ status: 400 });
  });

  describe('limits', () => {
    it('refuses a body over 500 KB, and one that expands to more', async () => {
      const large = JSON.stringify({ batch: [aTrack('large', { properties: { text: 'x'.repeat(512_000) } })] });
      expect(await post('batch', large)).toMatchObject({ status: 413, body: { code: 'PAYLOAD_TOO_LARGE' } });
      expect(await post('batch', gzipSync(large))).toMatchObject({ status: 413, body: { code: 'PAYLOAD_TOO_LARGE' } });
      const bomb = gzipSync(Buffer.alloc(20_000_000));
      expect(bomb.length).toBeLessThan(500_000);
      expect(await post('batch', bomb)).toMatchObject({ status: 413, body: { code: 'PAYLOAD_TOO_LARGE' } });
    });

    it('refuses an event over 32 KB', async () => {
      const large = aTrack('large-one', { properties: { text: 'x'.repeat(33_000) } });
      expect(await post('track', large)).toMatchObject({ status: 413, body: { code: 'TOO_LARGE' } });
      expect(await post('batch', { batch: [large] })).toMatchObject({
        status: 200,
        body: { accepted: 0, rejected: [{ index: 0, code: 'TOO_LARGE' }] },
      });
    });

    it('takes 2,500 events and refuses 2,501', async () => {
      const batch = Array.from({ length: 2501 }, (_, i) => aTrack(`many-${String(i)}`));
      expect(await post('batch', { batch })).toMatchObject({ status: 413, body: { code: 'PAYLOAD_TOO_LARGE' } });
      expect(await logged()).toHaveLength(0);
      expect(await post('batch', { batch: batch.slice(1) })).toMatchObject({ status: 200 });
      expect(await logged()).toHaveLength(2500);
    });

    it('answers 429 with Retry-After when a key sends more events than it may, and leaves other keys alone', async () => {
      const authorization = basic(limitedKey);
      const batch = Array.from({ length: 5 }, (_, i) => aTrack(`limited-${String(i)}`));
      expect(await post('batch', { batch }, { authorization })).toMatchObject({ status: 200 });
      const more = { batch: Array.from({ length: 12 }, (_, i) => aTrack(`more-${String(i)}`)) };
      const answer = await post('batch', more, { authorization });
      expect(answer).toMatchObject({ status: 429, body: { success: false, code: 'RATE_LIMITED' } });
      expect(answer.headers.get('retry-after')).toBe('1');
      expect(await post('track', aTrack('other-key'))).toMatchObject({ status: 200 });
      expect(await logged()).toHaveLength(6);
      clock.advance(1000);
      expect(await post('batch', more, { authorization })).toMatchObject({ status: 200 });
      expect(await logged()).toHaveLength(18);
    });

    it('answers 503 with Retry-After under backpressure, and 500 without detail for a defect', async () => {
      failure = new WeftError('OVERLOADED', 'more events arrive than the event log can write', { retryAfterMs: 1000 });
      const busy = await post('track', aTrack('busy'));
      expect(busy).toMatchObject({ status: 503, body: { success: false, code: 'OVERLOADED' } });
      expect(busy.headers.get('retry-after')).toBe('1');

      failure = new Error('password in here');
      const broken = await post('track', aTrack('broken'));
      expect(broken).toMatchObject({ status: 500, body: { success: false, code: 'INTERNAL' } });
      expect(JSON.stringify(broken.body)).not.toContain('password');
      expect(server.defects).toEqual([failure]);
    });
  });

  describe('keys', () => {
    it('takes the key as Basic user, as Bearer token or in the body', async () => {
      const ways: [Record<string, unknown>, Record<string, string>][] = [
        [{}, { authorization: basic(writeKey) }],
        [{}, { authorization: `Basic ${Buffer.from(writeKey).toString('base64')}` }],
        [{}, { authorization: `Bearer ${writeKey}` }],
      ];
      for (const [body, headers] of ways) {
        expect(await post('track', aTrack('auth', body), headers)).toMatchObject({ status: 200 });
      }
      const response = await fetch(`${server.url}/v1/track`, {
        method: 'POST',
        body: JSON.stringify(aTrack('auth', { writeKey })),
      });
      expect(response.status).toBe(200);
    });

    it('refuses missing, malformed, unknown and revoked keys', async () => {
      const source = await services.sources.findByKey('shop');
      const { key, secret } = await services.keys.create({
        name: 'old',
        scopes: ['ingest'],
        sourceId: source?.id ?? 0,
      });
      expect(await post('track', aTrack('k0'), { authorization: basic(secret) })).toMatchObject({ status: 200 });
      await services.keys.revoke(key.id);
      const unknown = `${writeKey.slice(0, -1)}${writeKey.endsWith('0') ? '1' : '0'}`;
      for (const authorization of [basic(secret), basic(unknown), basic(''), 'Bearer', 'Digest x', basic('\0ÿ')]) {
        const answer = await post('track', aTrack('k1', { writeKey }), { authorization });
        expect(answer, authorization).toMatchObject({ status: 401, body: { success: false, code: 'UNAUTHENTICATED' } });
      }
      const response = await fetch(`${server.url}/v1/track`, { method: 'POST', body: JSON.stringify(aTrack('k2')) });
      expect(response.status).toBe(401);
      expect((await logged()).map(({ messageId }) => messageId)).toEqual(['k0']);
    });

    it('refuses a key that may only read', async () => {
      const answer = await post('track', aTrack('k3'), { authorization: basic(readKey) });
      expect(answer).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } });
    });
  });

  describe('limits', () => {
    const keyOf = async (source: string, ratePerSecond?: number): Promise<string> => {
      const found = await services.sources.findByKey(source);
      const rate = ratePerSecond === undefined ? {} : { ratePerSecond };
      const key = await services.keys.create({ name: source, scopes: ['ingest'], sourceId: found?.id ?? 0, ...rate });
      return basic(key.secret);
    };

    it('hold all keys of a source to its rate', async () => {
      await services.sources.create({ key: 'slow', kind: 'http', maxEventsPerSecond: 2 });
      const [first, second] = [await keyOf('slow'), await keyOf('slow')];
      const batch = { batch: ['s1', 's2', 's3'].map((id) => ({ ...aTrack(id), type: 'track' })) };
      expect(await post('batch', batch, { authorization: first })).toMatchObject({ status: 200 });
      const refused = await post('batch', batch, { authorization: second });
      expect(refused).toMatchObject({ status: 429, body: { success: false, code: 'RATE_LIMITED' } });
      expect(refused.headers.get('retry-after')).toBe('1');
      clock.advance(1_000);
      expect(await post('batch', batch, { authorization: second })).toMatchObject({ status: 200 });
    });

    it('send away what comes to a paused source, with 503 and when to come again, whichever way it came', async () => {
      await services.sources.create({ key: 'halted', kind: 'http' });
      const authorization = await keyOf('halted');
      await services.sources.update('halted', { paused: true });
      const refused = await post('track', aTrack('h1'), { authorization });
      expect(refused).toMatchObject({ status: 503, body: { success: false, code: 'SOURCE_PAUSED' } });
      expect(refused.headers.get('retry-after')).toBe('10');
      expect(await post('batch', { batch: [aTrack('h1')] }, { authorization })).toMatchObject({ status: 503 });
      expect(await logged()).toEqual([]);
      await services.sources.update('halted', { paused: false });
      expect(await post('track', aTrack('h1'), { authorization })).toMatchObject({ status: 200 });
      expect((await logged()).map(({ messageId }) => messageId)).toEqual(['h1']);
    });
  });

  it('takes a beacon, which can set no header, with the key in the query', async () => {
    const body = JSON.stringify(aTrack('beacon'));
    const url = (key: string): string => `${server.url}/v1/t?writeKey=${encodeURIComponent(key)}`;
    const beacon = { method: 'POST', body, headers: { 'content-type': 'text/plain;charset=UTF-8' } };
    expect((await fetch(url(writeKey), beacon)).status).toBe(200);
    expect((await fetch(url('wk_wrong'), beacon)).status).toBe(401);
    expect(await logged()).toHaveLength(1);
  });

  describe('pixels', () => {
    const pixel = (type: string, query: Record<string, string>): Promise<Response> =>
      fetch(`${server.url}/v1/pixel/${type}?${new URLSearchParams(query).toString()}`);

    it('take a call in base64, or field by field, and answer an image that nobody may keep', async () => {
      const data = Buffer.from(JSON.stringify(aTrack('px-1', { writeKey, event: 'Email Opened' }))).toString(
        'base64url',
      );
      const answer = await pixel('track', { data });
      expect(answer.status).toBe(200);
      expect(answer.headers.get('content-type')).toBe('image/gif');
      expect(answer.headers.get('cache-control')).toContain('no-store');
      expect(Buffer.from(await answer.arrayBuffer()).toString('latin1', 0, 6)).toBe('GIF89a');
      await pixel('page', { writeKey, userId: 'ann', name: 'Newsletter', messageId: 'px-2', 'properties.issue': '7' });
      const events = await logged();
      expect(events.map(({ type, name, messageId }) => [type, name, messageId])).toEqual([
        ['track', 'Email Opened', 'px-1'],
        ['page', 'page', 'px-2'],
      ]);
      expect(events[1]?.properties).toEqual({ issue: '7', name: 'Newsletter' });
    });

    it('are images also where the call is refused, which the status and a header say', async () => {
      const cases: [Record<string, string>, number, string][] = [
        [{ writeKey, userId: 'ann' }, 400, 'NAME_MISSING'],
        [{ writeKey: 'wrong', userId: 'ann', event: 'x' }, 401, 'UNAUTHENTICATED'],
        [{ writeKey, data: 'bm8' }, 400, 'BAD_REQUEST'],
      ];
      for (const [query, status, code] of cases) {
        const answer = await pixel('track', query);
        expect([answer.status, answer.headers.get('x-weft-refusal')]).toEqual([status, code]);
        expect((await answer.arrayBuffer()).byteLength).toBeGreaterThan(0);
      }
    });
  });

  describe('settings of analytics.js', () => {
    const settings = (key: string, headers: Record<string, string> = {}): Promise<Response> =>
      fetch(`${server.url}/v1/projects/${encodeURIComponent(key)}/settings`, { headers });

    it('say to send to the server that was asked, and nothing to anybody else', async () => {
      const answer = await settings(writeKey);
      expect(answer.headers.get('access-control-allow-origin')).toBe('*');
      expect(answer.headers.get('cache-control')).toBe('private, max-age=60');
      const { host } = new URL(server.url);
      const body = (await answer.json()) as { integrations: Record<string, unknown> };
      expect(Object.keys(body.integrations)).toEqual(['Segment.io']);
      expect(body).toMatchObject({
        integrations: { 'Segment.io': { apiKey: writeKey, apiHost: `${host}/v1`, protocol: 'http' } },
        metrics: { sampleRate: 0 },
      });
    });

    it('are for keys that may send', async () => {
      expect((await settings('wk_wrong')).status).toBe(401);
      expect((await settings(readKey)).status).toBe(403);
    });
  });

  it('lets pages of any origin call it', async () => {
    const preflight = await fetch(`${server.url}/v1/track`, { method: 'OPTIONS' });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-origin')).toBe('*');
    const allowed = preflight.headers.get('access-control-allow-headers');
    for (const header of ['authorization', 'content-type', 'x-retry-count']) expect(allowed).toContain(header);
    expect(preflight.headers.get('access-control-expose-headers')).toBe('retry-after');
    expect((await post('track', aTrack('cors'))).headers.get('access-control-allow-origin')).toBe('*');
    const refused = await post('track', aTrack('cors'), { authorization: basic('x') });
    expect(refused.headers.get('access-control-allow-origin')).toBe('*');
  });
});
