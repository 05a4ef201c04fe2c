import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { aFeature } from '../support/a-feature.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { feedComment, post as aPost, accountActivity, signMeta, signX } from '../support/webhook-deliveries.js';
import { deliver, post } from '../support/webhook-client.js';

const HOUR_MS = 3_600_000;

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
});

afterAll(async () => {
  expect(world.defects).toEqual([]);
  await world.close();
});

const CREATE = `mutation ($webhook: WebhookInput!) { createWebhook(webhook: $webhook) {
  ... on CreatedWebhook { verifyToken webhook { key adapter path keepMessages } }
  ... on Failure { code message where hint } } }`;

const ROTATE = `mutation ($secret: String!) { rotateWebhookSecret(key: "facebook", secret: $secret, overlap: "1h") {
  ... on Webhook { key } ... on Failure { code message } } }`;

const status = async (secret: string) => {
  const text = JSON.stringify(feedComment({ comment_id: secret }));
  return (await post(world, 'facebook', text, signMeta(text, secret, 0))).status;
};

describe('a webhook made by GraphQL', () => {
  it('says its verify token once, and its secrets never', async () => {
    const { createWebhook } = await world.data<{ createWebhook: { verifyToken: string; webhook: object } }>(CREATE, {
      webhook: { key: 'facebook', adapter: 'META', secret: 'the first secret' },
    });
    expect(createWebhook.webhook).toEqual({
      key: 'facebook',
      adapter: 'META',
      path: '/v1/webhooks/facebook',
      keepMessages: false,
    });
    const query = `hub.mode=subscribe&hub.challenge=1&hub.verify_token=${createWebhook.verifyToken}`;
    expect((await fetch(`${world.url}/v1/webhooks/facebook?${query}`)).status).toBe(200);
    const rows = await world.db.query<{ sealed: Buffer }>('SELECT sealed FROM webhook_secrets');
    for (const { sealed } of rows) {
      expect(sealed.toString('latin1')).not.toContain('the first secret');
      expect(sealed.toString('latin1')).not.toContain(createWebhook.verifyToken);
    }
  });

  it.each([
    [{ key: 'facebook', adapter: 'META', secret: 'another secret' }, 'CONFLICT'],
    [{ key: 'Face', adapter: 'META', secret: 'another secret' }, 'BAD_REQUEST'],
    [{ key: 'x', adapter: 'X' }, 'BAD_REQUEST'],
    [{ key: 'x', adapter: 'X', secret: 'short' }, 'BAD_REQUEST'],
    [{ key: 'x', adapter: 'X', secret: 'another secret', options: { mapping: 'source: x' } }, 'BAD_REQUEST'],
    [{ key: 'j', adapter: 'JSON', options: { mapping: 'source: other' } }, 'DEFINITION_INVALID'],
    [{ key: 'web', adapter: 'X', secret: 'another secret' }, 'CONFLICT'],
  ])('is refused where it makes no sense: %j', async (webhook, code) => {
    const { createWebhook } = await world.data<{ createWebhook: object }>(CREATE, { webhook });
    expect(createWebhook).toMatchObject({ code });
  });
});

describe('a secret that is rotated', () => {
  it('is valid beside the new one for as long as was said', async () => {
    expect(await status('the first secret')).toBe(200);
    await world.data(ROTATE, { secret: 'the second secret' });
    expect([await status('the first secret'), await status('the second secret')]).toEqual([200, 200]);
    world.clock.advance(HOUR_MS);
    expect([await status('the first secret'), await status('the second secret')]).toEqual([401, 200]);
  });

  it('leaves two at most: the one before the one before ends at once', async () => {
    await world.data(ROTATE, { secret: 'the third secret' });
    await world.data(ROTATE, { secret: 'the fourth secret' });
    expect(await Promise.all(['second', 'third', 'fourth'].map((name) => status(`the ${name} secret`)))).toEqual([
      401, 200, 200,
    ]);
  });

  it('is asked for anew where it cannot be opened any more', async () => {
    await world.db.execute(`UPDATE webhook_secrets SET sealed = '\\x01' || sealed`);
    world.services.webhooks.receiver.forget('facebook');
    await expect(world.services.webhooks.receiver.open('facebook')).rejects.toThrow('cannot be opened');
    await world.services.webhooks.service.rotateSecret('facebook', 'signing', 'the fifth secret', 0);
    expect(await status('the fifth secret')).toBe(200);
  });
});

describe('what people say', () => {
  it('makes features and segments by its sentiment, for every network alike', async () => {
    await world.services.webhooks.service.create({
      key: 'x',
      adapter: 'x',
      options: { keepMessages: false },
      secret: 'a secret of the app',
    });
    await world.defineFeatures([
      aFeature('sentiment_30d', {
        type: 'double',
        events: ['Comment Posted', 'Message Received'],
        aggregate: 'avg',
        value: 'properties.sentiment.compound',
        windowMs: 30 * 24 * HOUR_MS,
      }),
    ]);
    await world.defineSegment('unhappy', 'f.sentiment_30d < -0.3');
    await world.drain();
    await deliver(
      world,
      { key: 'x', secret: 'a secret of the app', sign: signX },
      accountActivity({ tweet_create_events: [aPost({ timestamp_ms: String(world.clock.now()) })] }),
    );
    const { profile } = await world.data<{
      profile: object;
    }>(`{ profile(identifier: { namespace: "twitter", value: "@Ann_Amber" }) {
      features(names: ["sentiment_30d"]) { status value } segments { segment { key } } } }`);
    expect(profile).toEqual({
      features: [{ status: 'PRESENT', value: expect.toSatisfy((value: number) => value < -0.5) as number }],
      segments: [{ segment: { key: 'unhappy' } }],
    });
  });
});
