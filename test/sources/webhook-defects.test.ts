import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createWebhooks, type Webhooks } from '../../src/create-webhooks.js';
import { Metrics } from '../../src/platform/metrics.js';
import { RepeatedLog } from '../../src/platform/repeated-log.js';
import { createLogger } from '../../src/platform/logger.js';
import { observeWebhooks } from '../../src/sources/webhooks/observe-webhooks.js';
import { newId } from '../../src/platform/ids.js';
import { replayDeliveries } from '../../src/sources/webhooks/replay-deliveries.js';
import { WebhookDeliveryStore } from '../../src/sources/webhooks/webhook-delivery.store.js';
import { WebhookReceiver, type ReceiveResult } from '../../src/sources/webhooks/webhook-receiver.js';
import { WebhookStore } from '../../src/sources/webhooks/webhook.store.js';
import { partsOfWebhooks, replayDoors } from '../support/replay-builders.js';
import { createWorld, type World } from '../support/world.js';

const KEYS = ['reviews', 'tickets'] as const;
type Key = (typeof KEYS)[number];

const mapping = (key: Key): string => `
source: ${key}
format: jsonl
key: '{id}'
identifiers: { email: email }
event: { type: track, name: Sent }
properties: { text: text }
`;

/** What is private in one of them, and told nowhere. */
const CANARY = 'a canary in words';

let world: World;
let webhooks: Webhooks;
/** Takes in with a mapper that fails on one word, as a defect of ours would. */
let faulty: WebhookReceiver;
let metrics: Metrics;
let logged: string;

beforeEach(async () => {
  world = await createWorld();
  metrics = new Metrics({ defaults: false });
  logged = '';
  const destination = { write: (line: string) => (logged += line) };
  const log = new RepeatedLog(createLogger({ level: 'warn', destination }), world.clock);
  const parts = { ...partsOfWebhooks(world.db, world.clock, world.engine), observer: observeWebhooks(metrics, log) };
  webhooks = createWebhooks(parts);
  const { db, clock, secret, acceptor, deadLetters, observer } = parts;
  const deliveries = new WebhookDeliveryStore(db);
  faulty = new WebhookReceiver({
    find: (key) => new WebhookStore(db).find(key),
    acceptor,
    keepDelivery: (delivery) => deliveries.insert(delivery),
    keepDeadLetters: (letters) => deadLetters.insert(db, letters),
    secret,
    clock,
    textReader: () =>
      Promise.resolve({
        read: (text) => {
          if (text.includes('canary')) throw new TypeError(`cannot read ${text}`);
          return { language: null, sentiment: null };
        },
      }),
    observer,
  });
  for (const key of KEYS) {
    const options = { keepMessages: false, mapping: mapping(key), textProperty: 'text', isPrivate: key === 'tickets' };
    await webhooks.service.create({ key, adapter: 'json', options });
  }
});

afterEach(() => world.close());

const item = (id: string, text: string): object => ({ id, email: 'ann@example.com', text });

async function receive(by: WebhookReceiver, key: Key, ...items: object[]): Promise<ReceiveResult> {
  const hook = await by.open(key);
  if (hook === null) throw new Error('no webhook');
  const raw = Buffer.from(JSON.stringify(items));
  return by.receive(hook, { headers: {}, raw }, raw, () => undefined);
}

const letters = () =>
  world.db.query<{ state: string; code: string; text: string }>(
    `SELECT state, code, reason || convert_from(substr(payload, 2), 'UTF8') AS text FROM dead_letters ORDER BY id`,
  );
const logIds = async (): Promise<string[]> => {
  const all = { afterPos: 0, parts: [...Array(16).keys()], limit: 100, maxBytes: 2 ** 20 };
  return (await world.engine.log.readBatch(all)).events.map(({ messageId }) => messageId).sort();
};
const counted = async (): Promise<string[]> =>
  (await metrics.text()).split('\n').filter((line) => line.startsWith('weft_webhook_deliveries'));

describe('a delivery that cannot be mapped, by a defect', () => {
  it('is taken, kept whole, and becomes events once the defect is gone', async () => {
    const counts = { accepted: 0, duplicates: 0, refused: 1, skipped: 0 };
    expect(await receive(faulty, 'reviews', item('r1', 'fine'), item('r2', CANARY))).toEqual({ kind: 'taken', counts });
    expect(await receive(faulty, 'reviews', item('r3', 'fine'))).toMatchObject({ counts: { accepted: 1 } });
    const [letter, ...others] = await letters();
    expect(others).toEqual([]);
    expect(letter).toMatchObject({ state: 'open', code: 'MAPPING_FAILED' });
    expect(letter?.text).toContain('"r2"');
    expect(logged).toContain('a delivery could not be mapped');
    expect(logged).not.toContain(CANARY);
    expect(await counted()).toEqual(
      expect.arrayContaining([
        'weft_webhook_deliveries_total{source="reviews",outcome="unmappable"} 1',
        'weft_webhook_deliveries_total{source="reviews",outcome="taken"} 1',
      ]),
    );
    const replayed = await webhooks.service.replay('reviews', {
      mode: 'add',
      sinceMs: 0,
      doors: replayDoors(world.engine),
    });
    expect(replayed).toMatchObject({ deliveries: 2, accepted: 2, duplicates: 1, unmappable: 0 });
    expect(await logIds()).toEqual(['r1', 'r2', 'r3']);
  });

  it('keeps its mark in a replay, which goes on with the others', async () => {
    await receive(webhooks.receiver, 'reviews', item('r1', 'fine'));
    await receive(webhooks.receiver, 'reviews', item('r2', CANARY));
    await world.drain();
    await world.db.query('UPDATE webhook_deliveries SET taken_back_by = gen_random_uuid()');
    await world.db.query('DELETE FROM event_log');
    const hook = await faulty.open('reviews');
    if (hook === null) throw new Error('no webhook');
    const { db, clock, secret } = partsOfWebhooks(world.db, world.clock, world.engine);
    const counts = await replayDeliveries(
      {
        hook,
        mode: 'add',
        sinceMs: 0,
        doors: replayDoors(world.engine),
        replayId: newId(clock.now()),
        signal: undefined,
      },
      { deliveries: new WebhookDeliveryStore(db), receiver: faulty, secret, pageSize: 1 },
    );
    expect(counts).toMatchObject({ deliveries: 2, accepted: 1, unmappable: 1, waiting: 1 });
    expect(await logIds()).toEqual(['r1']);
  });

  it('tells nobody what it says where that is private', async () => {
    await receive(faulty, 'tickets', item('t1', CANARY));
    const told = [...(await letters()).map(({ text }) => text), logged, ...(await counted())].join();
    expect(told).toContain('t1');
    expect(told).not.toContain('canary');
  });
});

describe('deliveries of which a webhook has more than it may keep', () => {
  it('are deleted, the oldest first, and counted; those of other webhooks stay', async () => {
    for (let i = 0; i < 4; i++) await receive(faulty, 'reviews', item(`r${String(i)}`, 'fine'));
    await receive(faulty, 'tickets', item('t1', 'fine'));
    // Two of this size are within the limit of 256 MB.
    await world.db.query('UPDATE webhook_deliveries SET bytes = 120000000');
    const before = await world.db.query<{ id: number }>('SELECT id FROM webhook_deliveries ORDER BY id');
    await webhooks.service.sweep();
    expect(await world.db.query('SELECT id FROM webhook_deliveries ORDER BY id')).toEqual(before.slice(2));
    expect(await counted()).toContain('weft_webhook_deliveries_swept_total 2');
    await webhooks.service.sweep();
    expect(await counted()).toContain('weft_webhook_deliveries_swept_total 2');
  });
});
