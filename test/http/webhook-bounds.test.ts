import { createHmac } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { encodePayload } from '../../src/events/event-codec.js';
import { hashId } from '../../src/platform/ids.js';
import type { WebhookAdapterKey, WebhookOptions } from '../../src/sources/webhooks/webhook.model.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { deliver } from '../support/webhook-client.js';
import { accountActivity, PAGE_ID, signMeta, signX, X_BRAND, type Sign } from '../support/webhook-deliveries.js';

const SECRET = 'shared with the sender';

const mappingOf = (source: string): string => `
source: ${source}
format: jsonl
key: '{id}'
when: kind == "review"
identifiers: { email: email }
event: { type: track, name: Review Posted }
properties: { stars: stars, text: comment }
columns: { stars: int }
`;

const HMAC: NonNullable<WebhookOptions['hmac']> = {
  header: 'x-signature',
  algorithm: 'sha256',
  encoding: 'hex',
  prefix: '',
  timestampHeader: null,
  signedContent: '{body}',
  toleranceS: 300,
};

const signJson: Sign = (body, secret) => ({
  'x-signature': createHmac('sha256', secret).update(body).digest('hex'),
});

const SIGNS: Readonly<Record<string, Sign>> = { facebook: signMeta, x: signX };

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  const create = async (key: string, adapter: WebhookAdapterKey, options: Partial<WebhookOptions> = {}) =>
    world.services.webhooks.service.create({
      key,
      adapter,
      options: { keepMessages: false, ...options },
      secret: SECRET,
    });
  const json = (key: string, more: Partial<WebhookOptions> = {}) =>
    create(key, 'json', { hmac: HMAC, mapping: mappingOf(key), textProperty: 'text', ...more });
  await json('list');
  await json('nested', { items: 'data.items' });
  await json('limited');
  await json('private', { isPrivate: true });
  await create('facebook', 'meta');
  await create('x', 'x');
  await world.services.sources.update('limited', { maxEventsPerSecond: 10 });
});

afterEach(async () => {
  await world.db.query('DELETE FROM dead_letters');
  await world.db.query('DELETE FROM webhook_deliveries');
});

afterAll(async () => {
  expect(world.defects).toEqual([]);
  await world.close();
});

const to = (key: string, delivery: object) =>
  deliver(world, { key, secret: SECRET, sign: SIGNS[key] ?? signJson }, delivery);

const many = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));

const review = (id: number, more: object = {}) => ({
  id: `r${String(id)}`,
  kind: 'review',
  email: 'ann@example.com',
  stars: 5,
  comment: 'a fine teapot',
  ...more,
});

const countOf = async (table: 'dead_letters' | 'webhook_deliveries' | 'event_log'): Promise<number> => {
  const [row] = await world.db.query<{ count: number }>(`SELECT count(*)::int AS count FROM ${table}`);
  return row?.count ?? -1;
};

const metric = async (key: string): Promise<number> => {
  const text = await (await fetch(`${world.url}/metrics`)).text();
  const line = text
    .split('\n')
    .find(
      (each) =>
        each.startsWith('weft_webhook_deliveries_total{') && each.includes(`"${key}"`) && each.includes('"too_large"'),
    );
  return line === undefined ? 0 : Number(line.split(' ').at(-1));
};

const empty = () => ({});
const none = () => [];
/** Left out by the mapping's `when`. */
const ping = () => ({ kind: 'ping' });
const entry = (more: object) => ({ object: 'page', entry: [{ id: PAGE_ID, time: 1_700_000_000, ...more }] });

describe('a delivery with more items than it may have', () => {
  it.each<[string, string, number, (count: number) => object]>([
    ['list', 'objects in a list, 1 MB of them', 340_000, (count) => many(count, empty)],
    ['list', 'lists in a list, 1 MB of them', 340_000, (count) => many(count, none)],
    ['list', 'events, one too many', 2_501, (count) => many(count, (i) => review(i))],
    ['nested', 'a list within the body', 2_501, (count) => ({ data: { items: many(count, empty) } })],
    ['facebook', 'entries', 2_501, (count) => ({ object: 'page', entry: many(count, empty) })],
    ['facebook', 'changes of one entry', 2_501, (count) => entry({ changes: many(count, empty) })],
    ['facebook', 'messages of one entry', 2_501, (count) => entry({ messaging: many(count, none) })],
    ['facebook', 'copies in one entry', 2_501, (count) => entry({ standby: many(count, empty) })],
    ['x', 'posts', 2_501, (count) => ({ tweet_create_events: many(count, empty), for_user_id: X_BRAND.id_str })],
    ['x', 'fields', 2_501, (count) => accountActivity(Object.fromEntries(many(count, (i) => [`f${String(i)}`, []])))],
  ])('is refused as a whole by %s, and counted: %s', async (key, _, count, make) => {
    const [before, events] = [await metric(key), await countOf('event_log')];
    const answer = await to(key, make(count));
    expect(answer).toMatchObject({ status: 413, success: false, code: 'PAYLOAD_TOO_LARGE' });
    expect(answer['reason']).toMatch(/^the delivery has \d+ items, more than 2500$/);
    expect(answer['hint']).toContain('at most 2500 items');
    expect(await countOf('dead_letters')).toBe(0);
    expect(await countOf('webhook_deliveries')).toBe(0);
    expect(await countOf('event_log')).toBe(events);
    expect(await metric(key)).toBe(before + 1);
  });

  it.each<[string, object]>([
    ['list', many(2_500, ping)],
    ['facebook', entry({ changes: many(2_000, empty), messaging: many(500, empty) })],
    ['x', accountActivity({ tweet_create_events: many(2_499, empty) })],
  ])('is taken by %s with as many as it may have', async (key, delivery) => {
    expect(await to(key, delivery)).toMatchObject({ status: 200, accepted: 0, refused: 0 });
    expect(await countOf('webhook_deliveries')).toBe(1);
  });
});

describe('a delivery with much that cannot be taken', () => {
  it('has 100 dead letters, and one that counts the others and says why', async () => {
    const delivery = [
      ...many(90, (i) => review(i, { stars: 'many' })),
      ...many(60, none),
      review(1_000),
      ...many(30, (i) => review(i, { email: 'a'.repeat(2_000) })),
    ];
    expect(await to('list', delivery)).toMatchObject({ status: 200, accepted: 1, refused: 180 });
    const letters = await world.db.query<{ code: string; reason: string; payload: Buffer; form: unknown }>(
      'SELECT code, reason, payload, form FROM dead_letters ORDER BY id',
    );
    expect(letters).toHaveLength(101);
    expect(letters.filter(({ code }) => code === 'BAD_VALUE')).toHaveLength(90);
    expect(letters.filter(({ code }) => code === 'ROW_MALFORMED')).toHaveLength(10);
    const last = letters.at(-1);
    expect(last).toMatchObject({ code: 'MORE_REFUSED', form: { kind: 'webhook', adapter: 'json', index: 100 } });
    expect(last?.reason).toMatch(/^80 more items of the delivery were refused: ROW_MALFORMED 50, [A-Z_]+ 30$/);
    expect(JSON.parse(String(last?.payload.subarray(1)))).toMatchObject({ refused: 80, codes: { ROW_MALFORMED: 50 } });
  });

  it('has a letter for each where they are 100', async () => {
    expect(await to('list', many(100, none))).toMatchObject({ status: 200, refused: 100 });
    const codes = await world.db.query<{ code: string }>('SELECT DISTINCT code FROM dead_letters');
    expect(codes).toEqual([{ code: 'ROW_MALFORMED' }]);
    expect(await countOf('dead_letters')).toBe(100);
  });

  it('repeats no word of a private text where it counts the others', async () => {
    const delivery = many(150, (i) => review(i, { stars: 'a canary', comment: 'a canary' }));
    expect(await to('private', delivery)).toMatchObject({ status: 200, refused: 150 });
    const letters = await world.db.query<{ reason: string; payload: Buffer }>(
      'SELECT reason, payload FROM dead_letters',
    );
    expect(letters).toHaveLength(101);
    for (const { reason, payload } of letters) expect(`${reason} ${String(payload)}`).not.toContain('canary');
  });
});

describe('a delivery that comes while the log cannot write all that arrives', () => {
  it('is told to come again, keeps nothing, and is taken then', async () => {
    const body = JSON.stringify([review(5_000), review(5_001, { stars: 'many' })]);
    const send = () =>
      fetch(`${world.url}/v1/webhooks/list`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...signJson(body, SECRET, 0) },
        body,
      });
    // The queue holds 20,000 events beside the 1,000 that are being written.
    const filling: Promise<unknown>[] = [];
    const event = {
      sourceId: 1,
      dedupeId: hashId('one'),
      anchorId: hashId('one'),
      identifiers: [],
      occurredAt: world.clock.now(),
      rulesVersion: 1,
      historical: true,
      payload: encodePayload({
        type: 'track',
        name: 'filling',
        messageId: 'one',
        identifiers: [{ ns: 'user_id', value: 'one', id: hashId('user_id', 'one') }],
        properties: {},
        traits: {},
        context: {},
        groupId: null,
      }),
    };
    await world.db.transaction(async (tx) => {
      await tx.query('SELECT FROM log_head FOR UPDATE');
      filling.push(world.engine.log.append(many(1_000, () => event)));
      while (world.engine.log.queuedEvents > 0) await setImmediate();
      filling.push(world.engine.log.append(many(20_000, () => event)));
      const refused = await send();
      expect(refused.status).toBe(503);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await refused.json()).toMatchObject({ success: false, code: 'OVERLOADED' });
      expect(await countOf('webhook_deliveries')).toBe(0);
      expect(await countOf('dead_letters')).toBe(0);
    });
    await Promise.all(filling);
    const events = await countOf('event_log');
    const taken = await send();
    expect(taken.status).toBe(200);
    expect(await taken.json()).toMatchObject({ success: true, accepted: 1, refused: 1 });
    expect(await countOf('event_log')).toBe(events + 1);
    expect(await countOf('webhook_deliveries')).toBe(1);
    expect(await countOf('dead_letters')).toBe(1);
    await world.drain();
  });
});

describe('the rate of a source', () => {
  it('is asked for all items of a delivery, before any of them is mapped', async () => {
    expect(await to('limited', many(20, ping))).toMatchObject({ status: 200, skipped: 20 });
    expect(await to('limited', many(150, none))).toMatchObject({ status: 429, code: 'RATE_LIMITED' });
    expect(await countOf('dead_letters')).toBe(0);
    expect(await countOf('webhook_deliveries')).toBe(1);
    world.clock.advance(2_000);
    expect(await to('limited', many(20, none))).toMatchObject({ status: 200, refused: 20 });
  });
});
