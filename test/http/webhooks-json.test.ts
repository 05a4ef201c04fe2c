import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { WebhookOptions } from '../../src/sources/webhooks/webhook.model.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { deliver, post, timelineOf } from '../support/webhook-client.js';
import type { Sign } from '../support/webhook-deliveries.js';

const SECRET = 'shared with the review tool';

const MAPPING = `
source: reviews
format: jsonl
key: '{id}'
when: kind == "review"
time: { column: created, format: epoch_s }
identifiers: { email: customer.email }
event: { type: track, name: Review Posted }
properties: { stars: stars, text: comment, product: product.sku }
columns: { stars: int }
`;

const OPTIONS: WebhookOptions = {
  keepMessages: false,
  mapping: MAPPING,
  items: 'data.items',
  textProperty: 'text',
  hmac: {
    header: 'X-Signature',
    algorithm: 'sha512',
    encoding: 'base64',
    prefix: 'v1=',
    timestampHeader: 'x-signed-at',
    signedContent: '{timestamp}.{body}',
    toleranceS: 60,
  },
};

const review = (more: object = {}) => ({
  id: 'r1',
  kind: 'review',
  created: 1_699_999_000,
  customer: { email: 'Ann@example.com' },
  stars: 5,
  comment: 'What a beautiful teapot, thank you!',
  product: { sku: 'T-1' },
  ...more,
});

const bodyOf = (...items: readonly object[]) => ({ data: { items } });

const sign: Sign = (body, secret, nowMs) => {
  const timestamp = String(Math.floor(nowMs / 1_000));
  const sum = createHmac('sha512', secret).update(`${timestamp}.`).update(body).digest('base64');
  return { 'x-signature': `v1=${sum}`, 'x-signed-at': timestamp };
};

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  const { service } = world.services.webhooks;
  await service.create({ key: 'reviews', adapter: 'json', options: OPTIONS, secret: SECRET });
  await service.create({
    key: 'unsigned',
    adapter: 'json',
    options: { keepMessages: false, mapping: MAPPING.replace('source: reviews', 'source: unsigned') },
  });
  await service.create({
    key: 'chat',
    adapter: 'json',
    options: { ...OPTIONS, mapping: MAPPING.replace('source: reviews', 'source: chat'), isPrivate: true },
    secret: SECRET,
  });
});

afterAll(async () => {
  expect(world.defects).toEqual([]);
  await world.close();
});

const toReviews = (delivery: object) => deliver(world, { key: 'reviews', secret: SECRET, sign }, delivery);

describe('a webhook of any program', () => {
  it('makes each item of a list the event that the mapping says, with language and sentiment of a text', async () => {
    const answer = await toReviews(
      bodyOf(review(), review({ id: 'r2', stars: 1 }), review({ id: 'r3', kind: 'ping' })),
    );
    expect(answer).toMatchObject({ status: 200, accepted: 2, duplicates: 0, refused: 0, skipped: 1 });
    const events = await timelineOf(world, 'email', 'ann@example.com');
    expect(events.map(({ messageId }) => messageId).sort()).toEqual(['r1', 'r2']);
    expect(events.find(({ messageId }) => messageId === 'r1')).toMatchObject({
      name: 'Review Posted',
      source: 'reviews',
      occurredAt: '2023-11-14T21:56:40.000Z',
      properties: {
        stars: 5,
        text: review().comment,
        language: 'en',
        sentiment: { label: 'positive' },
        product: 'T-1',
      },
    });
    expect(await toReviews(bodyOf(review()))).toMatchObject({ accepted: 0, duplicates: 1 });
  });

  it('keeps an item that does not fit the mapping as a dead letter, and takes the others', async () => {
    const answer = await toReviews(bodyOf(review({ id: 'r4', stars: 'many' }), review({ id: 'r5' }), [] as never));
    expect(answer).toMatchObject({ status: 200, accepted: 1, refused: 2 });
    const letters = await world.db.query<{ code: string; reason: string; payload: Buffer }>(
      `SELECT code, reason, payload FROM dead_letters ORDER BY id`,
    );
    expect(letters.map(({ code }) => code)).toEqual(['BAD_VALUE', 'ROW_MALFORMED']);
    expect(letters[0]?.reason).toContain('item 1: column "stars"');
    expect(String(letters[0]?.payload)).toContain('"id":"r4"');
  });

  it('is refused where the signature is of another time, and keeps nothing of it', async () => {
    const text = JSON.stringify(bodyOf(review({ id: 'r6' })));
    const now = world.clock.now();
    expect((await post(world, 'reviews', text, sign(text, SECRET, now - 62_000))).status).toBe(401);
    expect((await post(world, 'reviews', text, sign(text, SECRET, now + 62_000))).status).toBe(401);
    expect((await post(world, 'reviews', text, sign(text, SECRET, now - 50_000))).status).toBe(200);
  });

  it('that says its text is private keeps what can be said about it and nothing else', async () => {
    await deliver(
      world,
      { key: 'chat', secret: SECRET, sign },
      bodyOf(review({ id: 'c1', customer: { email: 'bo@example.com' } })),
    );
    const [event] = await timelineOf(world, 'email', 'bo@example.com');
    expect(event?.properties).toMatchObject({ stars: 5, text_length: 35, sentiment: { label: 'positive' } });
    expect(event?.properties).not.toHaveProperty('text');
  });

  it('that says its text is private leaves no word of it anywhere, whatever it is and however it is called', async () => {
    const { service } = world.services.webhooks;
    const mapping = MAPPING.replace('source: reviews', 'source: notes').replace('text: comment', 'text: note');
    const options = {
      ...OPTIONS,
      mapping: mapping.replace('{ stars: int', '{ stars: int, pin: int').replace('product: product.sku', 'pin: pin'),
      isPrivate: true,
    };
    await service.create({ key: 'notes', adapter: 'json', options, secret: SECRET });
    const to = (...items: readonly object[]) =>
      deliver(
        world,
        { key: 'notes', secret: SECRET, sign },
        bodyOf(...items.map((item) => review({ comment: 0, ...item }))),
      );
    const customer = { email: 'cy@example.com' };
    expect(
      await to(
        { id: 'n1', customer, note: ['a canary'] },
        { id: 'n2', customer, note: { said: 'a canary' } },
        { id: 'n3', customer, note: 'a canary' },
        { id: 'n4', customer, note: ['a canary'], stars: 'a canary' },
        { id: 'n5', customer, note: 'a canary', pin: 'canary' },
        { id: 'n6', customer: {}, note: ['a canary'] },
      ),
    ).toMatchObject({ status: 200, accepted: 3, refused: 3 });
    const text = '{"data":{"items":[{"note":["a canary"';
    expect((await post(world, 'notes', text, sign(text, SECRET, world.clock.now()))).status).toBe(200);
    const events = await timelineOf(world, 'email', 'cy@example.com', world.keys.admin);
    expect(events).toHaveLength(3);
    expect(JSON.stringify(events)).not.toContain('canary');
    for (const { properties } of events) expect(properties).not.toHaveProperty('text');
    const letters = await world.db.query<{ code: string; reason: string; payload: Buffer }>(
      `SELECT d.code, d.reason, d.payload FROM dead_letters d JOIN sources s ON s.id = d.source_id
       WHERE s.key = 'notes' ORDER BY d.id`,
    );
    expect(letters).toHaveLength(4);
    for (const { reason, payload } of letters) expect(`${reason} ${String(payload)}`).not.toContain('canary');
    expect(letters.map(({ reason }) => reason)).toContain('item 4: column "stars" does not fit the mapping');
  });

  it.each([[undefined], ['comment']])('is not made private without a property that is: %s', async (textProperty) => {
    const { service } = world.services.webhooks;
    const { textProperty: _, ...options } = OPTIONS;
    const named = textProperty === undefined ? {} : { textProperty };
    const mapping = MAPPING.replace('source: reviews', 'source: refused');
    await expect(
      service.create({
        key: 'refused',
        adapter: 'json',
        options: { ...options, ...named, mapping, isPrivate: true },
        secret: SECRET,
      }),
    ).rejects.toMatchObject({ code: 'BAD_REQUEST', where: 'textProperty' });
  });

  it('without a signature wants a write key of its source', async () => {
    const { keys, sources } = world.services;
    const source = await sources.findByKey('unsigned');
    const { secret } = await keys.create({
      name: 'tool',
      scopes: ['ingest'],
      ...(source === null ? {} : { sourceId: source.id }),
    });
    const text = JSON.stringify([review({ id: 'u1' })]);
    expect((await post(world, 'unsigned', text, {})).status).toBe(401);
    expect((await post(world, 'unsigned', text, { authorization: `Bearer ${world.keys.ingest}` })).status).toBe(403);
    expect((await post(world, 'unsigned', text, { authorization: `Bearer ${secret}` })).status).toBe(200);
  });
});

describe('a source that is paused', () => {
  it('sends deliveries away to come again, and then takes them', async () => {
    const { sources } = world.services;
    await sources.update('reviews', { paused: true });
    const delivery = bodyOf(review({ id: 'p1' }));
    expect(await toReviews(delivery)).toMatchObject({ status: 503, code: 'SOURCE_PAUSED' });
    await sources.update('reviews', { paused: false });
    expect(await toReviews(delivery)).toMatchObject({ status: 200, accepted: 1 });
  });
});

describe('what a webhook delivered', () => {
  it('can be mapped anew once the mapping was mended: what was refused is added, as history', async () => {
    await toReviews(bodyOf(review({ id: 'm1', stars: 'four' }), review({ id: 'm2' })));
    const { service } = world.services.webhooks;
    await service.update('reviews', {
      mapping: MAPPING.replace('columns: { stars: int }', '').replace('stars: stars', 'rating: stars'),
    });
    const since = world.clock.now() - 3_600_000;
    const checker = {
      accept: async (...call: Parameters<typeof world.engine.accept.check>) => world.engine.accept.check(...call),
    };
    const nothing = () => Promise.resolve();
    const doors = { acceptor: world.engine.accept, checker, takeBack: nothing, settled: nothing };
    const adding = { mode: 'add', sinceMs: since, doors } as const;
    const dry = await service.replay('reviews', { ...adding, mode: 'check' });
    expect(dry).toMatchObject({ duplicates: 0, unopened: 0 });
    const counts = await service.replay('reviews', adding);
    expect(counts.accepted + counts.duplicates).toBe(dry.accepted);
    expect(counts.accepted).toBe(2);
    await world.drain();
    const events = await timelineOf(world, 'email', 'ann@example.com');
    expect(events.find(({ messageId }) => messageId === 'm1')).toMatchObject({
      historical: true,
      properties: { rating: 'four' },
    });
    expect(events.find(({ messageId }) => messageId === 'm2')).toMatchObject({
      historical: false,
      properties: { stars: 5 },
    });
    expect(await service.replay('reviews', adding)).toMatchObject({ accepted: 0 });
  });

  it('takes the place of what it had become, where that is wanted', async () => {
    const { service } = world.services.webhooks;
    const { retractions } = world.services;
    const checker = {
      accept: async (...call: Parameters<typeof world.engine.accept.check>) => world.engine.accept.check(...call),
    };
    const before = await timelineOf(world, 'email', 'ann@example.com');
    expect(before.some(({ properties }) => 'stars' in properties)).toBe(true);
    const counts = await service.replay('reviews', {
      mode: 'replace',
      sinceMs: world.clock.now() - 3_600_000,
      doors: {
        acceptor: world.engine.accept,
        checker,
        takeBack: async (source, messageIds, guard) => {
          const { id } = await retractions.takeBackMessages(source, messageIds, guard);
          await world.drain();
          expect((await retractions.done(id)).status).toBe('done');
        },
        settled: (source) => retractions.settled(source),
      },
    });
    await world.drain();
    const after = await timelineOf(world, 'email', 'ann@example.com');
    expect(after.map(({ messageId }) => messageId).sort()).toEqual(before.map(({ messageId }) => messageId).sort());
    const reviews = after.filter(({ source }) => source === 'reviews');
    expect(reviews.length).toBeGreaterThan(3);
    for (const { properties } of reviews) {
      expect(properties).toHaveProperty('rating');
      expect(properties).not.toHaveProperty('stars');
    }
    expect(counts.accepted).toBeGreaterThan(3);
  });

  it('is sealed, and gone after seven days', async () => {
    const rows = await world.db.query<{ sealed: Buffer }>('SELECT sealed FROM webhook_deliveries');
    expect(rows.length).toBeGreaterThan(5);
    for (const { sealed } of rows) expect(sealed.toString('latin1')).not.toContain('example.com');
    const { service } = world.services.webhooks;
    await service.sweep();
    expect(await world.db.query('SELECT id FROM webhook_deliveries')).toHaveLength(rows.length);
    world.clock.advance(7 * 86_400_000 + 1);
    await service.sweep();
    expect(await world.db.query('SELECT id FROM webhook_deliveries')).toEqual([]);
  });
});
