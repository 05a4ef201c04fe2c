import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WeftError } from '../../src/platform/errors.js';
import { aTrackCall, basic, createTrackingWorld, type TrackingWorld } from '../support/tracking-world.js';

let world: TrackingWorld;

beforeAll(async () => {
  world = await createTrackingWorld();
});
afterAll(() => world.close());
beforeEach(() => world.begin());

describe('tracking API', () => {
  describe('limits', () => {
    it('refuses a body over 500 KB, and one that expands to more', async () => {
      const large = JSON.stringify({ batch: [aTrackCall('large', { properties: { text: 'x'.repeat(512_000) } })] });
      expect(await world.post('batch', large)).toMatchObject({ status: 413, body: { code: 'PAYLOAD_TOO_LARGE' } });
      expect(await world.post('batch', gzipSync(large))).toMatchObject({
        status: 413,
        body: { code: 'PAYLOAD_TOO_LARGE' },
      });
      const bomb = gzipSync(Buffer.alloc(20_000_000));
      expect(bomb.length).toBeLessThan(500_000);
      expect(await world.post('batch', bomb)).toMatchObject({ status: 413, body: { code: 'PAYLOAD_TOO_LARGE' } });
    });

    it('refuses an event over 32 KB', async () => {
      const large = aTrackCall('large-one', { properties: { text: 'x'.repeat(33_000) } });
      expect(await world.post('track', large)).toMatchObject({ status: 413, body: { code: 'TOO_LARGE' } });
      expect(await world.post('batch', { batch: [large] })).toMatchObject({
        status: 200,
        body: { accepted: 0, rejected: [{ index: 0, code: 'TOO_LARGE' }] },
      });
    });

    it('takes 2,500 events and refuses 2,501', async () => {
      const batch = Array.from({ length: 2501 }, (_, i) => aTrackCall(`many-${String(i)}`));
      expect(await world.post('batch', { batch })).toMatchObject({ status: 413, body: { code: 'PAYLOAD_TOO_LARGE' } });
      expect(await world.logged()).toHaveLength(0);
      expect(await world.post('batch', { batch: batch.slice(1) })).toMatchObject({ status: 200 });
      expect(await world.logged()).toHaveLength(2500);
    });

    it('answers 429 with Retry-After when a key sends more events than it may, and leaves other keys alone', async () => {
      const authorization = basic(world.limitedKey);
      const batch = Array.from({ length: 5 }, (_, i) => aTrackCall(`limited-${String(i)}`));
      expect(await world.post('batch', { batch }, { authorization })).toMatchObject({ status: 200 });
      const more = { batch: Array.from({ length: 12 }, (_, i) => aTrackCall(`more-${String(i)}`)) };
      const answer = await world.post('batch', more, { authorization });
      expect(answer).toMatchObject({ status: 429, body: { success: false, code: 'RATE_LIMITED' } });
      expect(answer.headers.get('retry-after')).toBe('1');
      expect(await world.post('track', aTrackCall('other-key'))).toMatchObject({ status: 200 });
      expect(await world.logged()).toHaveLength(6);
      world.clock.advance(1000);
      expect(await world.post('batch', more, { authorization })).toMatchObject({ status: 200 });
      expect(await world.logged()).toHaveLength(18);
    });

    it('answers 503 with Retry-After under backpressure, and 500 without detail for a defect', async () => {
      world.failWith(
        new WeftError('OVERLOADED', 'more events arrive than the event log can write', { retryAfterMs: 1000 }),
      );
      const busy = await world.post('track', aTrackCall('busy'));
      expect(busy).toMatchObject({ status: 503, body: { success: false, code: 'OVERLOADED' } });
      expect(busy.headers.get('retry-after')).toBe('1');

      const defect = new Error('password in here');
      world.failWith(defect);
      const broken = await world.post('track', aTrackCall('broken'));
      expect(broken).toMatchObject({ status: 500, body: { success: false, code: 'INTERNAL' } });
      expect(JSON.stringify(broken.body)).not.toContain('password');
      expect(world.server.defects).toEqual([defect]);
    });
  });

  describe('keys', () => {
    it('takes the key as Basic user, as Bearer token or in the body', async () => {
      const ways: [Record<string, unknown>, Record<string, string>][] = [
        [{}, { authorization: basic(world.writeKey) }],
        [{}, { authorization: `Basic ${Buffer.from(world.writeKey).toString('base64')}` }],
        [{}, { authorization: `Bearer ${world.writeKey}` }],
      ];
      for (const [body, headers] of ways) {
        expect(await world.post('track', aTrackCall('auth', body), headers)).toMatchObject({ status: 200 });
      }
      const response = await fetch(`${world.server.url}/v1/track`, {
        method: 'POST',
        body: JSON.stringify(aTrackCall('auth', { writeKey: world.writeKey })),
      });
      expect(response.status).toBe(200);
    });

    it('refuses missing, malformed, unknown and revoked keys', async () => {
      const source = await world.services.sources.findByKey('shop');
      const { key, secret } = await world.services.keys.create({
        name: 'old',
        scopes: ['ingest'],
        sourceId: source?.id ?? 0,
      });
      expect(await world.post('track', aTrackCall('k0'), { authorization: basic(secret) })).toMatchObject({
        status: 200,
      });
      await world.services.keys.revoke(key.id);
      const unknown = `${world.writeKey.slice(0, -1)}${world.writeKey.endsWith('0') ? '1' : '0'}`;
      for (const authorization of [basic(secret), basic(unknown), basic(''), 'Bearer', 'Digest x', basic('\0ÿ')]) {
        const answer = await world.post('track', aTrackCall('k1', { writeKey: world.writeKey }), { authorization });
        expect(answer, authorization).toMatchObject({ status: 401, body: { success: false, code: 'UNAUTHENTICATED' } });
      }
      const response = await fetch(`${world.server.url}/v1/track`, {
        method: 'POST',
        body: JSON.stringify(aTrackCall('k2')),
      });
      expect(response.status).toBe(401);
      expect((await world.logged()).map(({ messageId }) => messageId)).toEqual(['k0']);
    });

    it('refuses a key that may only read', async () => {
      const answer = await world.post('track', aTrackCall('k3'), { authorization: basic(world.readKey) });
      expect(answer).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } });
    });
  });

  describe('limits', () => {
    const keyOf = async (source: string, ratePerSecond?: number): Promise<string> => {
      const found = await world.services.sources.findByKey(source);
      const rate = ratePerSecond === undefined ? {} : { ratePerSecond };
      const key = await world.services.keys.create({
        name: source,
        scopes: ['ingest'],
        sourceId: found?.id ?? 0,
        ...rate,
      });
      return basic(key.secret);
    };

    it('hold all keys of a source to its rate', async () => {
      await world.services.sources.create({ key: 'slow', kind: 'http', maxEventsPerSecond: 2 });
      const [first, second] = [await keyOf('slow'), await keyOf('slow')];
      const batch = { batch: ['s1', 's2', 's3'].map((id) => ({ ...aTrackCall(id), type: 'track' })) };
      expect(await world.post('batch', batch, { authorization: first })).toMatchObject({ status: 200 });
      const refused = await world.post('batch', batch, { authorization: second });
      expect(refused).toMatchObject({ status: 429, body: { success: false, code: 'RATE_LIMITED' } });
      expect(refused.headers.get('retry-after')).toBe('1');
      world.clock.advance(1_000);
      expect(await world.post('batch', batch, { authorization: second })).toMatchObject({ status: 200 });
    });

    it('send away what comes to a paused source, with 503 and when to come again, whichever way it came', async () => {
      await world.services.sources.create({ key: 'halted', kind: 'http' });
      const authorization = await keyOf('halted');
      await world.services.sources.update('halted', { paused: true });
      const refused = await world.post('track', aTrackCall('h1'), { authorization });
      expect(refused).toMatchObject({ status: 503, body: { success: false, code: 'SOURCE_PAUSED' } });
      expect(refused.headers.get('retry-after')).toBe('10');
      expect(await world.post('batch', { batch: [aTrackCall('h1')] }, { authorization })).toMatchObject({
        status: 503,
      });
      expect(await world.logged()).toEqual([]);
      await world.services.sources.update('halted', { paused: false });
      expect(await world.post('track', aTrackCall('h1'), { authorization })).toMatchObject({ status: 200 });
      expect((await world.logged()).map(({ messageId }) => messageId)).toEqual(['h1']);
    });
  });
});
