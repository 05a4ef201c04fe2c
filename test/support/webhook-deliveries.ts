import { createHmac } from 'node:crypto';

/** Deliveries in the networks' own formats. All people, pages and ids are made up. */

export const PAGE_ID = '100200300400500';
export const PSID = '7000000000000001';
export const INSTAGRAM_ID = '17840000000000001';
export const IGSID = '9000000000000001';
export const X_BRAND = { id: 800100200, id_str: '800100200', screen_name: 'teapot_example', name: 'Teapot Example' };
export const X_ANN = {
  id: 900100200,
  id_str: '900100200',
  screen_name: 'Ann_Amber',
  name: 'Ann Amber',
  followers_count: 12,
};

const SECONDS = 1_699_999_000;

export function feedChange(value: Readonly<Record<string, unknown>>, time = SECONDS + 1): object {
  return { object: 'page', entry: [{ id: PAGE_ID, time, changes: [{ field: 'feed', value }] }] };
}

export function feedComment(more: Readonly<Record<string, unknown>> = {}): object {
  return feedChange({
    from: { id: PSID, name: 'Ann Amber' },
    post: { status_type: 'added_photos', is_published: true, permalink_url: 'https://www.facebook.com/teapot/posts/1' },
    message: 'I love this teapot, it is wonderful!',
    post_id: `${PAGE_ID}_1`,
    comment_id: '1_11',
    created_time: SECONDS,
    item: 'comment',
    parent_id: `${PAGE_ID}_1`,
    verb: 'add',
    ...more,
  });
}

export function messenger(item: Readonly<Record<string, unknown>>, object: 'page' | 'instagram' = 'page'): object {
  const [own, other] = object === 'page' ? [PAGE_ID, PSID] : [INSTAGRAM_ID, IGSID];
  const messaging = [{ sender: { id: other }, recipient: { id: own }, timestamp: SECONDS * 1_000, ...item }];
  return { object, entry: [{ id: own, time: SECONDS * 1_000 + 5, messaging }] };
}

export function instagramComment(): object {
  const value = {
    from: { id: IGSID, username: 'Ann.Amber' },
    media: { id: '17900000000000001', media_product_type: 'FEED' },
    id: '17800000000000001',
    parent_id: '17800000000000000',
    text: 'Where can I buy the blue one?',
  };
  return { object: 'instagram', entry: [{ id: INSTAGRAM_ID, time: SECONDS, changes: [{ field: 'comments', value }] }] };
}

export function post(more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    created_at: 'Tue Nov 14 21:56:40 +0000 2023',
    id: 1724500000000000000,
    id_str: '1724500000000000001',
    text: '@teapot_example this is terrible, the worst service ever',
    truncated: false,
    in_reply_to_status_id_str: '1724400000000000001',
    in_reply_to_user_id_str: X_BRAND.id_str,
    in_reply_to_screen_name: X_BRAND.screen_name,
    user: X_ANN,
    is_quote_status: false,
    quote_count: 0,
    reply_count: 1,
    retweet_count: 2,
    favorite_count: 3,
    entities: { user_mentions: [{ screen_name: X_BRAND.screen_name, id_str: X_BRAND.id_str }] },
    lang: 'en',
    timestamp_ms: String(SECONDS * 1_000),
    ...more,
  };
}

export function accountActivity(fields: Readonly<Record<string, unknown>>): object {
  return { for_user_id: X_BRAND.id_str, ...fields };
}

export function directMessage(
  from: typeof X_ANN | typeof X_BRAND,
  to: typeof X_ANN | typeof X_BRAND,
  text: string,
): object {
  return accountActivity({
    direct_message_events: [
      {
        type: 'message_create',
        id: `1724500000000000${from.id_str.slice(0, 3)}`,
        created_timestamp: String(SECONDS * 1_000),
        message_create: {
          target: { recipient_id: to.id_str },
          sender_id: from.id_str,
          message_data: { text, entities: { hashtags: [], symbols: [], user_mentions: [], urls: [] } },
        },
      },
    ],
    apps: {},
    users: { [from.id_str]: from, [to.id_str]: to },
  });
}

export function ticketEvent(kind: string, event: object, detail: Readonly<Record<string, unknown>> = {}): object {
  return {
    account_id: 12000001,
    detail: {
      actor_id: '380000000001',
      assignee_id: '380000000009',
      brand_id: '360000000001',
      created_at: '2023-11-14T21:00:00Z',
      custom_status: '1',
      description: 'My order never arrived and nobody answers',
      external_id: null,
      form_id: '1',
      group_id: '1',
      id: '5158',
      is_public: true,
      organization_id: null,
      priority: 'HIGH',
      requester_id: '380000000001',
      status: 'OPEN',
      subject: 'Order T-1 is missing',
      submitter_id: '380000000001',
      tags: ['order'],
      type: 'QUESTION',
      updated_at: '2023-11-14T21:30:00Z',
      via: { channel: 'email' },
      ...detail,
    },
    event,
    id: `cbe4028c-7239-495d-b020-${kind.padEnd(12, '0').slice(0, 12)}`,
    subject: 'zen:ticket:5158',
    time: '2023-11-14T21:30:00.672717030Z',
    type: `zen:event-type:ticket.${kind}`,
    zendesk_event_version: '2022-11-06',
  };
}

export function ticketComment(author: object, body: string, more: Readonly<Record<string, unknown>> = {}): object {
  return ticketEvent('comment_added', { comment: { author, body, id: '390000000001', is_public: true, ...more } });
}

export function slackEvent(event: Readonly<Record<string, unknown>>): object {
  return {
    token: 'not used',
    team_id: 'T0000001',
    api_app_id: 'A0000001',
    event,
    type: 'event_callback',
    event_id: 'Ev0000001',
    event_time: SECONDS,
  };
}

export function slackMessage(more: Readonly<Record<string, unknown>> = {}): object {
  return slackEvent({
    type: 'message',
    channel: 'D0000001',
    user: 'U0000001',
    text: 'Can you help me with my order?',
    ts: `${String(SECONDS)}.000200`,
    event_ts: `${String(SECONDS)}.000200`,
    channel_type: 'im',
    ...more,
  });
}

/** The headers by which a network proves a body. */
export type Sign = (body: string | Buffer, secret: string, nowMs: number) => Record<string, string>;

const hmac = (secret: string, ...parts: readonly (string | Buffer)[]) => {
  const sum = createHmac('sha256', secret);
  for (const part of parts) sum.update(part);
  return sum;
};

export const signMeta: Sign = (body, secret) => ({
  'x-hub-signature-256': `sha256=${hmac(secret, body).digest('hex')}`,
});

export const signX: Sign = (body, secret) => ({
  'x-twitter-webhooks-signature': `sha256=${hmac(secret, body).digest('base64')}`,
});

export const signZendesk: Sign = (body, secret, nowMs) => {
  const timestamp = new Date(nowMs).toISOString();
  return {
    'x-zendesk-webhook-signature': hmac(secret, timestamp, body).digest('base64'),
    'x-zendesk-webhook-signature-timestamp': timestamp,
  };
};

export const signSlack: Sign = (body, secret, nowMs) => {
  const timestamp = String(Math.floor(nowMs / 1_000));
  return {
    'x-slack-signature': `v0=${hmac(secret, `v0:${timestamp}:`, body).digest('hex')}`,
    'x-slack-request-timestamp': timestamp,
  };
};
