import { gzipSync } from 'node:zlib';
import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import {
  accountActivity,
  directMessage,
  feedChange,
  feedComment,
  instagramComment,
  messenger,
  PAGE_ID,
  post as aPost,
  PSID,
  signMeta,
  signSlack,
  signX,
  signZendesk,
  slackMessage,
  ticketComment,
  ticketEvent,
  X_ANN,
  X_BRAND,
  type Sign,
} from '../support/webhook-deliveries.js';
import { deliver as deliverTo, post, timelineOf } from '../support/webhook-client.js';
import { START_MS } from '../support/world.js';

const SECRET = 'a secret of the app';

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  const { service } = world.services.webhooks;
  for (const [key, adapter] of [
    ['facebook', 'meta'],
    ['x', 'x'],
    ['tickets', 'zendesk'],
    ['workspace', 'slack'],
  ] as const) {
    await service.create({
      key,
      adapter,
      options: { keepMessages: false },
      secret: SECRET,
      ...(adapter === 'meta' ? { verifyToken: 'the verify token' } : {}),
    });
  }
  await service.create({ key: 'kept', adapter: 'meta', options: { keepMessages: true }, secret: SECRET });
});

afterAll(async () => {
  expect(world.defects).toEqual([]);
  await world.close();
});

const send = (key: string, body: string | Buffer, headers: Record<string, string>) => post(world, key, body, headers);

const deliver = (key: string, delivery: object, sign: Sign) =>
  deliverTo(world, { key, secret: SECRET, sign }, delivery);

const timeline = (namespace: string, value: string, key?: string) => timelineOf(world, namespace, value, key);

const databaseHolds = async (text: string): Promise<string[]> => {
  const tables = await world.db.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`,
  );
  const found: string[] = [];
  for (const { name } of tables) {
    const columns = await world.db.query<{ name: string; type: string }>(
      `SELECT column_name AS name, data_type AS type FROM information_schema.columns WHERE table_name = $1 AND table_schema = 'public'`,
      [name],
    );
    for (const column of columns) {
      const value = column.type === 'bytea' ? `encode("${column.name}", 'escape')` : `"${column.name}"::text`;
      const [row] = await world.db.query<{ count: number }>(
        `SELECT count(*)::int AS count FROM "${name}" WHERE position($1 IN ${value}) > 0`,
        [text],
      );
      if ((row?.count ?? 0) > 0) found.push(`${name}.${column.name}`);
    }
  }
  return found;
};

describe('a Facebook page', () => {
  it('is found by the handshake with the verify token, and by no other', async () => {
    const ask = (token: string) =>
      fetch(`${world.url}/v1/webhooks/facebook?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=${token}`);
    const right = await ask(encodeURIComponent('the verify token'));
    expect([right.status, await right.text(), right.headers.get('x-content-type-options')]).toEqual([
      200,
      '1158201444',
      'nosniff',
    ]);
    expect((await ask('another')).status).toBe(403);
    expect((await ask('')).status).toBe(403);
  });

  it('makes a comment an event of the one who wrote it, with sentiment, once however often it is delivered', async () => {
    expect(await deliver('facebook', feedComment(), signMeta)).toMatchObject({
      status: 200,
      success: true,
      accepted: 1,
    });
    expect(await deliver('facebook', feedComment(), signMeta)).toMatchObject({
      status: 200,
      accepted: 0,
      duplicates: 1,
    });
    const [event, ...others] = await timeline('facebook_id', PSID);
    expect(others).toEqual([]);
    expect(event).toMatchObject({
      name: 'Comment Posted',
      source: 'facebook',
      messageId: 'facebook:comment:1_11',
      occurredAt: '2023-11-14T21:56:40.000Z',
      properties: {
        network: 'facebook',
        direction: 'inbound',
        text: 'I love this teapot, it is wonderful!',
        text_length: 36,
        language: 'en',
        sentiment: { label: 'positive' },
        in_reply_to: `${PAGE_ID}_1`,
        permalink: 'https://www.facebook.com/teapot/posts/1',
      },
    });
  });

  it('says nothing of the sentiment of what is not English', async () => {
    const german = feedComment({ comment_id: '1_12', message: 'Wo ist meine Bestellung? Das ist wirklich furchtbar.' });
    await deliver('facebook', german, signMeta);
    const found = (await timeline('facebook_id', PSID)).find(({ messageId }) => messageId.endsWith('1_12'));
    expect(found?.properties).toMatchObject({ language: 'de', sentiment: null });
  });

  it('counts a like that comes as like and as reaction once', async () => {
    const like = { from: { id: PSID }, post_id: `${PAGE_ID}_1`, created_time: 1_699_999_100, verb: 'add' };
    await deliver('facebook', feedChange({ ...like, item: 'like' }), signMeta);
    await deliver('facebook', feedChange({ ...like, item: 'reaction', reaction_type: 'like' }), signMeta);
    expect((await timeline('facebook_id', PSID)).filter(({ name }) => name === 'Post Liked')).toHaveLength(1);
  });

  it('leaves out what the page itself writes, and acknowledges what it does not know', async () => {
    const own = feedComment({ from: { id: PAGE_ID, name: 'Teapot' }, comment_id: '1_13' });
    expect(await deliver('facebook', own, signMeta)).toMatchObject({ status: 200, accepted: 0, skipped: 1 });
    const unknown = { object: 'page', entry: [{ id: PAGE_ID, time: 1, changes: [{ field: 'ratings', value: {} }] }] };
    expect(await deliver('facebook', unknown, signMeta)).toMatchObject({ status: 200, accepted: 0, skipped: 1 });
    const text = await (await fetch(`${world.url}/metrics`)).text();
    expect(text).toContain('weft_webhook_left_out_total{source="facebook",reason="own"} 1');
    expect(text).toContain('weft_webhook_left_out_total{source="facebook",reason="unknown"} 1');
  });
});

describe('direct messages', () => {
  const words = 'a very private amethyst sentence, and I hate it';

  it('leave nothing of what they say: not in the timeline, the log, dead letters or deliveries', async () => {
    await deliver('facebook', messenger({ message: { mid: 'm_1', text: words } }), signMeta);
    const [event] = (await timeline('facebook_id', PSID)).filter(({ name }) => name === 'Message Received');
    expect(event?.properties).toEqual({
      network: 'facebook',
      direction: 'inbound',
      is_private: true,
      text_length: words.length,
      language: 'en',
      sentiment: { compound: expect.any(Number) as number, label: 'negative' },
    });
    expect(await databaseHolds('amethyst')).toEqual([]);
  });

  it('tell ours from theirs: an echo is ours, to the one who gets it', async () => {
    const echo = {
      sender: { id: PAGE_ID },
      recipient: { id: PSID },
      message: { mid: 'm_2', text: 'Hello Ann', is_echo: true },
    };
    await deliver('facebook', messenger(echo), signMeta);
    const [event] = (await timeline('facebook_id', PSID)).filter(
      ({ messageId }) => messageId === 'facebook:message:m_2',
    );
    expect(event).toMatchObject({ name: 'Message Sent', properties: { direction: 'outbound' } });
    expect(await timeline('facebook_id', PAGE_ID)).toEqual([]);
  });

  it('are kept where the webhook says so, and shown to admins alone', async () => {
    const kept = messenger({ sender: { id: '7000000000000002' }, message: { mid: 'm_3', text: 'a beryl sentence' } });
    await deliver('kept', kept, signMeta);
    const [forAdmin] = await timeline('facebook_id', '7000000000000002');
    expect(forAdmin?.properties['$private']).toEqual({ text: 'a beryl sentence' });
    const [forReader] = await timeline('facebook_id', '7000000000000002', world.keys.read);
    expect(forReader?.properties).toMatchObject({ network: 'facebook', text_length: 16 });
    expect(JSON.stringify(forReader)).not.toContain('beryl');
    expect(await databaseHolds('beryl')).toEqual(['event_log.payload']);
    const names = await world.db.query<{ field: string }>(
      `SELECT DISTINCT field FROM seen_names WHERE field LIKE '%private%'`,
    );
    expect(names).toEqual([{ field: 'properties.is_private' }]);
  });

  it('stay out of dead letters, whatever is wrong with the delivery', async () => {
    const blocked = messenger({ sender: { id: '0' }, message: { mid: 'm_4', text: 'a citrine sentence' } });
    expect(await deliver('kept', blocked, signMeta)).toMatchObject({ status: 200, refused: 1 });
    const broken = '{"object":"page","entry":[{"messaging":[{"message":{"mid":"m_5","text":"a diamond \\"sentence';
    expect((await send('kept', broken, signMeta(broken, SECRET, 0))).status).toBe(200);
    const letters = await world.db.query<{ code: string; payload: Buffer }>(
      `SELECT code, payload FROM dead_letters ORDER BY id DESC LIMIT 2`,
    );
    expect(letters.map(({ code }) => code)).toEqual(['BODY_UNREADABLE', 'NO_IDENTIFIER']);
    expect(String(letters[0]?.payload)).toContain(`{"redacted":true,"bytes":${String(broken.length)}}`);
    expect(await databaseHolds('citrine')).toEqual([]);
    expect(await databaseHolds('diamond')).toEqual([]);
  });
});

describe('Instagram', () => {
  it('knows who comments by handle and by id', async () => {
    expect(await deliver('facebook', instagramComment(), signMeta)).toMatchObject({ status: 200, accepted: 1 });
    const [event] = await timeline('instagram', 'ann.amber');
    expect(event).toMatchObject({
      name: 'Comment Posted',
      properties: { network: 'instagram', in_reply_to: '17800000000000000', sentiment: { label: 'neutral' } },
    });
    expect(await timeline('instagram_id', '9000000000000001')).toHaveLength(1);
  });
});

describe('X', () => {
  it('answers the challenge with the token, signed', async () => {
    const response = await fetch(`${world.url}/v1/webhooks/x?crc_token=challenge&nonce=n`);
    const sum = createHmac('sha256', SECRET).update('challenge').digest('base64');
    expect([response.status, await response.json()]).toEqual([200, { response_token: `sha256=${sum}` }]);
  });

  it('signs nothing that could be delivered', async () => {
    const forged = JSON.stringify({ for_user_id: X_BRAND.id_str, tweet_create_events: [{ id_str: '1' }] });
    const response = await fetch(`${world.url}/v1/webhooks/x?crc_token=${encodeURIComponent(forged)}`);
    expect(response.status).toBe(403);
    expect(await response.text()).not.toContain('sha256=');
    const answered = await fetch(`${world.url}/v1/webhooks/x?crc_token=12345`);
    const { response_token: signature } = (await answered.json()) as { response_token: string };
    expect(await send('x', '12345', { 'x-twitter-webhooks-signature': signature })).toMatchObject({ status: 401 });
  });

  it('makes replies, likes and follows events of the handle, and tells our own answer to it', async () => {
    const timestamp = 1_699_999_500_000;
    await deliver('x', accountActivity({ tweet_create_events: [aPost()] }), signX);
    const like = {
      id: 'a7ba',
      created_at: 'Tue Nov 14 21:58:20 +0000 2023',
      timestamp_ms: timestamp,
      favorited_status: aPost({ user: X_BRAND }),
      user: X_ANN,
    };
    await deliver('x', accountActivity({ favorite_events: [like] }), signX);
    const follow = { type: 'follow', created_timestamp: String(timestamp), target: X_BRAND, source: X_ANN };
    await deliver('x', accountActivity({ follow_events: [follow] }), signX);
    const answer = aPost({
      id_str: '1724500000000000002',
      user: X_BRAND,
      in_reply_to_user_id_str: X_ANN.id_str,
      in_reply_to_screen_name: X_ANN.screen_name,
      text: 'Sorry!',
    });
    await deliver(
      'x',
      accountActivity({
        tweet_create_events: [answer, aPost({ id_str: '9', user: X_BRAND, in_reply_to_user_id_str: null })],
      }),
      signX,
    );
    await deliver('x', directMessage(X_ANN, X_BRAND, 'hello'), signX);
    await deliver('x', directMessage(X_BRAND, X_ANN, 'hello yourself'), signX);
    const events = await timeline('twitter', 'ann_amber');
    expect(events.map(({ name }) => name).sort()).toEqual([
      'Comment Posted',
      'Followed',
      'Message Received',
      'Message Sent',
      'Post Liked',
      'Reply Sent',
    ]);
    expect(events.find(({ name }) => name === 'Comment Posted')).toMatchObject({
      occurredAt: '2023-11-14T21:56:40.000Z',
      properties: {
        sentiment: { label: 'negative' },
        in_reply_to: '1724400000000000001',
        permalink: 'https://x.com/Ann_Amber/status/1724500000000000001',
        like_count: 3,
        share_count: 2,
      },
    });
    expect(await timeline('twitter_id', X_BRAND.id_str)).toEqual([]);
  });
});

describe('Zendesk', () => {
  it('makes tickets, comments and answers events of the requester, without what they say', async () => {
    await deliver('tickets', ticketEvent('created', {}), signZendesk);
    await deliver(
      'tickets',
      ticketComment({ id: '380000000001', is_staff: false, name: 'Ann' }, 'Where is it?'),
      signZendesk,
    );
    const staff = { id: '380000000009', is_staff: true, name: 'Bo' };
    await deliver(
      'tickets',
      { ...ticketComment(staff, 'On its way'), id: 'cbe4028c-0000-495d-b020-000000000001' },
      signZendesk,
    );
    const note = {
      ...ticketComment(staff, 'what a pain', { is_public: false }),
      id: 'cbe4028c-0000-495d-b020-000000000002',
    };
    expect(await deliver('tickets', note, signZendesk)).toMatchObject({ accepted: 0, skipped: 1 });
    await deliver('tickets', ticketEvent('status_changed', { current: 'SOLVED', previous: 'OPEN' }), signZendesk);
    const events = await timeline('zendesk', '380000000001');
    expect(events.map(({ name }) => name).sort()).toEqual([
      'Ticket Comment Added',
      'Ticket Created',
      'Ticket Reply Sent',
      'Ticket Status Changed',
    ]);
    expect(events.find(({ name }) => name === 'Ticket Created')?.properties).toMatchObject({
      ticket_id: '5158',
      priority: 'high',
      channel: 'email',
      language: 'en',
      is_private: true,
    });
    expect(JSON.stringify(events)).not.toMatch(/never arrived|missing/);
  });

  it('refuses a delivery that was signed too long ago', async () => {
    const text = JSON.stringify(ticketEvent('created', {}));
    const late = await send('tickets', text, signZendesk(text, SECRET, START_MS - 301_000));
    expect(late.status).toBe(401);
    expect(late.text).toContain('too long ago');
  });
});

describe('Slack', () => {
  it('shakes hands when signed, and only then', async () => {
    const body = JSON.stringify({ token: 't', challenge: '3eZbrw1a', type: 'url_verification' });
    const signed = await send('workspace', body, signSlack(body, SECRET, world.clock.now()));
    expect(signed).toEqual({ status: 200, text: '3eZbrw1a' });
    expect((await send('workspace', body, {})).status).toBe(401);
  });

  it('makes a message an event, and leaves bots out', async () => {
    expect(await deliver('workspace', slackMessage(), signSlack)).toMatchObject({ accepted: 1 });
    expect(await deliver('workspace', slackMessage({ bot_id: 'B1' }), signSlack)).toMatchObject({
      accepted: 0,
      skipped: 1,
    });
    expect(await timeline('slack', 'T0000001:U0000001')).toMatchObject([
      { name: 'Message Received', occurredAt: '2023-11-14T21:56:40.000Z', properties: { text_length: 30 } },
    ]);
  });
});

describe('a delivery', () => {
  it('that nobody signed, or that was changed since, is refused and leaves nothing', async () => {
    const text = JSON.stringify(feedComment({ comment_id: 'forged' }));
    const before = await world.db.query('SELECT id FROM webhook_deliveries');
    for (const headers of [{}, signMeta(text, 'another secret', 0), signMeta(`${text} `, SECRET, 0)]) {
      const refused = await send('facebook', text, headers);
      expect(refused.status).toBe(401);
      // What is to be signed is told, and never what would have been right.
      expect(refused.text).toContain('header x-hub-signature-256: sha256=<hex of HMAC-SHA-256>');
      expect(refused.text).not.toContain(signMeta(text, SECRET, 0)['x-hub-signature-256']?.slice(7));
    }
    expect(await world.db.query('SELECT id FROM webhook_deliveries')).toHaveLength(before.length);
    expect(await databaseHolds('forged')).toEqual([]);
    expect(await (await fetch(`${world.url}/metrics`)).text()).toMatch(
      /weft_webhook_deliveries_total\{source="facebook",outcome="invalid"\} 2/,
    );
  });

  it('is taken compressed, signed before or after', async () => {
    for (const [id, isSignedAfter] of [
      ['gz1', true],
      ['gz2', false],
    ] as const) {
      const text = JSON.stringify(feedComment({ comment_id: id }));
      const packed = gzipSync(text);
      const headers = signMeta(isSignedAfter ? packed : text, SECRET, 0);
      expect((await send('facebook', packed, { ...headers, 'content-encoding': 'gzip' })).status).toBe(200);
    }
  });

  it('that is too large, also when expanded, is refused', async () => {
    const large = Buffer.alloc(1_048_577, 0x20);
    expect((await send('facebook', large, signMeta(large, SECRET, 0))).status).toBe(413);
    const bomb = gzipSync(Buffer.alloc(8 * 1_048_576, 0x20));
    expect((await send('facebook', bomb, signMeta(bomb, SECRET, 0))).status).toBe(413);
  });

  it('to a webhook that is not there is not found', async () => {
    expect((await send('nothing', '{}', {})).status).toBe(404);
    expect((await send('web', '{}', {})).status).toBe(404);
  });
});
