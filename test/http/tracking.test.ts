import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { aTrackCall, basic, createTrackingWorld, NOW, type TrackingWorld } from '../support/tracking-world.js';

let world: TrackingWorld;

beforeAll(async () => {
  world = await createTrackingWorld();
});
afterAll(() => world.close());
beforeEach(() => world.begin());

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
      const answer = await world.post(path, { userId: 'ann', messageId: `m-${path}`, ...body });
      expect(answer).toMatchObject({ status: 200, body: { success: true } });
    }
    expect((await world.logged()).map(({ type, messageId }) => [type, messageId])).toEqual([
      [name, `m-${name}`],
      [name, `m-${short}`],
    ]);
  });

  it('stores what was said, with the key deciding the source, the clock corrected and the address left out', async () => {
    await world.post('identify', {
      userId: 'ann',
      anonymousId: 'cookie-7',
      messageId: 'full',
      timestamp: new Date(NOW + 3_600_000 - 2000).toISOString(),
      sentAt: new Date(NOW + 3_600_000).toISOString(),
      traits: { email: ' Ann@Acme.org ' },
      context: { ip: '203.0.113.7', userAgent: 'Mozilla/5.0' },
      writeKey: 'ignored, the header counts',
    });
    const [event] = await world.logged();
    const source = await world.services.sources.findByKey('shop');
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
    expect(JSON.stringify(event)).not.toContain(world.writeKey);
  });

  it.each(['batch', 'b', 'import'])('takes a batch at /v1/%s', async (path) => {
    const batch = [aTrackCall(`${path}-1`), aTrackCall(`${path}-2`), aTrackCall(`${path}-2`)];
    expect(await world.post(path, { batch })).toMatchObject({ status: 200, body: { success: true } });
    expect(await world.logged()).toHaveLength(2);
  });

  it('takes the good events of a batch and says what is wrong with the others, which are kept', async () => {
    const answer = await world.post('batch', {
      batch: [
        aTrackCall('mix-1'),
        { type: 'nope' },
        aTrackCall('mix-2', { event: '' }),
        aTrackCall('mix-1'),
        aTrackCall('mix-3', { userId: 'null' }),
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
    const letters = await world.database.query<{ code: string; message_id: string | null; payload: Buffer }>(
      `SELECT code, message_id, payload FROM dead_letters WHERE stage = 'accept' ORDER BY id`,
    );
    expect(letters.map(({ code, message_id }) => [code, message_id])).toEqual([
      ['UNKNOWN_TYPE', null],
      ['NAME_MISSING', 'mix-2'],
      ['NO_IDENTIFIER', 'mix-3'],
    ]);
    expect(letters[0]?.payload.toString('utf8', 1)).toBe('{"type":"nope"}');
    expect(world.services.lost).toEqual([]);
  });

  it('refuses a single bad event with the reason', async () => {
    const answer = await world.post('track', { userId: 'ann' });
    expect(answer).toMatchObject({ status: 400, body: { success: false, code: 'NAME_MISSING' } });
    expect(await world.post('track', aTrackCall('late', { timestamp: 'soon' }))).toMatchObject({
      status: 400,
      body: { code: 'TIME_UNPARSABLE', reason: 'timestamp is not a time' },
    });
  });

  it('reads JSON whatever the content type, compressed or not, labelled or not', async () => {
    const body = JSON.stringify(aTrackCall('forms'));
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
      expect(await world.post('track', raw, headers), JSON.stringify(headers)).toMatchObject({ status: 200 });
    }
    expect(await world.logged()).toHaveLength(1);
  });

  it('refuses what is not a JSON object, without quoting it', async () => {
    for (const raw of ['', '{"userId":"secret-ann"', '[]', '"x"', 'null', Buffer.from([0x1f, 0x8b, 8, 0, 1])]) {
      const answer = await world.post('track', raw);
      expect(answer).toMatchObject({ status: 400, body: { success: false, code: 'BAD_REQUEST' } });
      expect(JSON.stringify(answer.body)).not.toContain('secret-ann');
    }
    expect(await world.post('batch', { batch: 'x' })).toMatchObject({ status: 400 });
  });

  it('takes a beacon, which can set no header, with the key in the query', async () => {
    const body = JSON.stringify(aTrackCall('beacon'));
    const url = (key: string): string => `${world.server.url}/v1/t?writeKey=${encodeURIComponent(key)}`;
    const beacon = { method: 'POST', body, headers: { 'content-type': 'text/plain;charset=UTF-8' } };
    expect((await fetch(url(world.writeKey), beacon)).status).toBe(200);
    expect((await fetch(url('wk_wrong'), beacon)).status).toBe(401);
    expect(await world.logged()).toHaveLength(1);
  });

  describe('pixels', () => {
    const pixel = (type: string, query: Record<string, string>): Promise<Response> =>
      fetch(`${world.server.url}/v1/pixel/${type}?${new URLSearchParams(query).toString()}`);

    it('take a call in base64, or field by field, and answer an image that nobody may keep', async () => {
      const data = Buffer.from(
        JSON.stringify(aTrackCall('px-1', { writeKey: world.writeKey, event: 'Email Opened' })),
      ).toString('base64url');
      const answer = await pixel('track', { data });
      expect(answer.status).toBe(200);
      expect(answer.headers.get('content-type')).toBe('image/gif');
      expect(answer.headers.get('cache-control')).toContain('no-store');
      expect(Buffer.from(await answer.arrayBuffer()).toString('latin1', 0, 6)).toBe('GIF89a');
      await pixel('page', {
        writeKey: world.writeKey,
        userId: 'ann',
        name: 'Newsletter',
        messageId: 'px-2',
        'properties.issue': '7',
      });
      const events = await world.logged();
      expect(events.map(({ type, name, messageId }) => [type, name, messageId])).toEqual([
        ['track', 'Email Opened', 'px-1'],
        ['page', 'page', 'px-2'],
      ]);
      expect(events[1]?.properties).toEqual({ issue: '7', name: 'Newsletter' });
    });

    it('are images also where the call is refused, which the status and a header say', async () => {
      const cases: [Record<string, string>, number, string][] = [
        [{ writeKey: world.writeKey, userId: 'ann' }, 400, 'NAME_MISSING'],
        [{ writeKey: 'wrong', userId: 'ann', event: 'x' }, 401, 'UNAUTHENTICATED'],
        [{ writeKey: world.writeKey, data: 'bm8' }, 400, 'BAD_REQUEST'],
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
      fetch(`${world.server.url}/v1/projects/${encodeURIComponent(key)}/settings`, { headers });

    it('say to send to the server that was asked, and nothing to anybody else', async () => {
      const answer = await settings(world.writeKey);
      expect(answer.headers.get('access-control-allow-origin')).toBe('*');
      expect(answer.headers.get('cache-control')).toBe('private, max-age=60');
      const { host } = new URL(world.server.url);
      const body = (await answer.json()) as { integrations: Record<string, unknown> };
      expect(Object.keys(body.integrations)).toEqual(['Segment.io']);
      expect(body).toMatchObject({
        integrations: { 'Segment.io': { apiKey: world.writeKey, apiHost: `${host}/v1`, protocol: 'http' } },
        metrics: { sampleRate: 0 },
      });
    });

    it('are for keys that may send', async () => {
      expect((await settings('wk_wrong')).status).toBe(401);
      expect((await settings(world.readKey)).status).toBe(403);
    });
  });

  it('lets pages of any origin call it', async () => {
    const preflight = await fetch(`${world.server.url}/v1/track`, { method: 'OPTIONS' });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-origin')).toBe('*');
    const allowed = preflight.headers.get('access-control-allow-headers');
    for (const header of ['authorization', 'content-type', 'x-retry-count']) expect(allowed).toContain(header);
    expect(preflight.headers.get('access-control-expose-headers')).toBe('retry-after');
    expect((await world.post('track', aTrackCall('cors'))).headers.get('access-control-allow-origin')).toBe('*');
    const refused = await world.post('track', aTrackCall('cors'), { authorization: basic('x') });
    expect(refused.headers.get('access-control-allow-origin')).toBe('*');
  });
});
