import { createHmac } from 'node:crypto';
import type { JsonObject, RawIdentifier } from '../../events/event.model.js';
import { MappedDelivery, type Interaction, type InteractionName } from './interaction.model.js';
import { dateMs, lengthOf, objectOf, objectsOf, ownField, present, textOf, unixTimeMs } from './payload-reader.js';
import { verifySigned } from './webhook-signature.js';
import type { HmacOptions, WebhookAdapter } from './webhook.model.js';

/**
 * What may be signed for anybody who asks. The network proves its deliveries by the same HMAC with the same secret, so
 * that an answered token is a signature of that text: it must be none that could be taken for a delivery.
 */
const TOKEN = /^[A-Za-z0-9+/=_-]{1,200}$/;
const MAX_TOKEN_BYTES = 200;

const SIGNATURE: HmacOptions = {
  header: 'x-twitter-webhooks-signature',
  algorithm: 'sha256',
  encoding: 'base64',
  prefix: 'sha256=',
  timestampHeader: null,
  signedContent: '{body}',
  toleranceS: 0,
};

/**
 * The Account Activity API of X. Challenge-response check and signature, both HMAC-SHA-256 with the consumer secret:
 * https://docs.x.com/x-api/webhooks/introduction. Payloads:
 * https://developer.x.com/en/docs/twitter-api/enterprise/account-activity-api/guides/account-activity-data-objects;
 * posts in them: https://developer.x.com/en/docs/twitter-api/v1/data-dictionary/object-model/tweet.
 *
 * People are known by `twitter` (their handle) and `twitter_id` (which stays when the handle changes). `for_user_id` is
 * us: what we do is told apart, and counts for the one whom we answer or write to.
 */
export const xAdapter: WebhookAdapter = {
  signature: SIGNATURE,
  verify: (request, secrets, nowMs) => {
    const outcome = verifySigned(SIGNATURE, request, secrets, nowMs);
    return outcome === 'valid' && isToken(request.raw) ? 'invalid' : outcome;
  },
  answerGet: (query, { signing }) => {
    const token = query['crc_token'];
    const [newest] = signing;
    if (typeof token !== 'string' || !TOKEN.test(token) || newest === undefined) return null;
    const digest = createHmac('sha256', newest).update(token).digest('base64');
    return { type: 'application/json', body: JSON.stringify({ response_token: `sha256=${digest}` }) };
  },
  countItems: (body) => {
    let count = 0;
    // A field that is no list is passed over, but looked at as well.
    for (const value of Object.values(objectOf(body) ?? {})) count += Math.max(1, lengthOf(value));
    return Math.max(1, count);
  },
  map: (body) => {
    const out = new MappedDelivery();
    const root = objectOf(body);
    const own = textOf(root?.['for_user_id']);
    if (root === null || own === null) out.skip(root?.['user_event'] === undefined ? 'unknown' : 'ignored');
    else for (const field of Object.keys(root)) mapField(root, field, own, out);
    return out;
  },
};

/** Whether the challenge would sign this body: a proof of nothing. */
function isToken(raw: Buffer): boolean {
  return raw.length <= MAX_TOKEN_BYTES && TOKEN.test(raw.toString('latin1'));
}

const IGNORED: ReadonlySet<string> = new Set([
  'direct_message_indicate_typing_events',
  'direct_message_mark_read_events',
  'tweet_delete_events',
  'user_event',
]);
/** What only we can do: the API tells of those of the subscribed user alone. */
const OWN: ReadonlySet<string> = new Set([
  'unfollow_events',
  'block_events',
  'unblock_events',
  'mute_events',
  'unmute_events',
]);

function mapField(root: JsonObject, field: string, own: string, out: MappedDelivery): void {
  const items = objectsOf(root[field]);
  if (field === 'tweet_create_events') for (const item of items) mapPost(item, own, out);
  else if (field === 'favorite_events') for (const item of items) mapFavourite(item, own, out);
  else if (field === 'follow_events') for (const item of items) mapFollow(item, own, out);
  else if (field === 'direct_message_events') for (const item of items) mapMessage(root, item, own, out);
  else if (IGNORED.has(field)) out.skip('ignored');
  else if (OWN.has(field)) out.skip('own');
  else if (Array.isArray(root[field])) out.skip('unknown');
}

// --- posts ----------------------------------------------------------------------------------------------------------

function mapPost(post: JsonObject, own: string, out: MappedDelivery): void {
  const user = objectOf(post['user']);
  const author = textOf(user?.['id_str']);
  const id = textOf(post['id_str']);
  if (id === null) out.skip('unknown');
  else if (author === null) out.skip('nobody');
  else if (author === own) ownPost(post, id, own, out);
  else {
    const shared = objectOf(post['retweeted_status']);
    out.add({
      ...postBase(post, id),
      name: nameOfPost(post, own),
      person: personOf(user),
      direction: 'inbound',
      // The words of a repost are those of the one who wrote them.
      text: shared === null ? textOfPost(post) : null,
    });
  }
}

function nameOfPost(post: JsonObject, own: string): InteractionName {
  if (objectOf(post['retweeted_status']) !== null) return 'Post Shared';
  if (textOf(post['in_reply_to_user_id_str']) === own) return 'Comment Posted';
  const quoted = objectOf(objectOf(post['quoted_status'])?.['user']);
  return textOf(quoted?.['id_str']) === own ? 'Post Shared' : 'Mentioned';
}

/** Our own post: an answer to a customer, or nobody's business. */
function ownPost(post: JsonObject, id: string, own: string, out: MappedDelivery): void {
  const customer = textOf(post['in_reply_to_user_id_str']);
  if (customer === null || customer === own) return out.skip('own');
  const handle = textOf(post['in_reply_to_screen_name']);
  out.add({
    ...postBase(post, id),
    name: 'Reply Sent',
    person: identifiers(customer, handle),
    direction: 'outbound',
    text: textOfPost(post),
  });
}

function postBase(post: JsonObject, id: string): Omit<Interaction, 'name' | 'person' | 'direction' | 'text'> {
  const handle = textOf(objectOf(post['user'])?.['screen_name']);
  const original = objectOf(post['retweeted_status']) ?? objectOf(post['quoted_status']);
  return {
    network: 'x',
    id: `x:post:${id}`,
    occurredAtMs: unixTimeMs(post['timestamp_ms']) ?? dateMs(post['created_at']),
    isPrivate: false,
    language: languageOf(post),
    properties: present({
      post_id: id,
      in_reply_to: textOf(post['in_reply_to_status_id_str']),
      shared_post_id: textOf(original?.['id_str']),
      permalink: handle === null ? null : `https://x.com/${encodeURIComponent(handle)}/status/${id}`,
      like_count: countOf(post['favorite_count']),
      reply_count: countOf(post['reply_count']),
      share_count: countOf(post['retweet_count']),
      quote_count: countOf(post['quote_count']),
    }),
  };
}

function textOfPost(post: JsonObject): string | null {
  return textOf(objectOf(post['extended_tweet'])?.['full_text']) ?? textOf(post['full_text']) ?? textOf(post['text']);
}

/** Codes of two letters; X has longer ones for "undetermined", "only links" and the like. */
function languageOf(post: JsonObject): string | null {
  const code = textOf(post['lang']);
  return code !== null && /^[a-z]{2}$/.test(code) ? code : null;
}

// --- likes, follows, messages ---------------------------------------------------------------------------------------

function mapFavourite(event: JsonObject, own: string, out: MappedDelivery): void {
  const user = objectOf(event['user']);
  const author = textOf(user?.['id_str']);
  const id = textOf(event['id']);
  if (id === null) out.skip('unknown');
  else if (author === null) out.skip('nobody');
  else if (author === own) out.skip('own');
  else {
    const post = objectOf(event['favorited_status']);
    out.add({
      name: 'Post Liked',
      network: 'x',
      id: `x:like:${id}`,
      person: personOf(user),
      direction: 'inbound',
      occurredAtMs: unixTimeMs(event['timestamp_ms']) ?? dateMs(event['created_at']),
      text: null,
      isPrivate: false,
      language: null,
      properties: present({
        post_id: textOf(post?.['id_str']),
        like_count: countOf(post?.['favorite_count']),
      }),
    });
  }
}

function mapFollow(event: JsonObject, own: string, out: MappedDelivery): void {
  const source = objectOf(event['source']);
  const author = textOf(source?.['id_str']) ?? textOf(source?.['id']);
  const at = textOf(event['created_timestamp']) ?? '';
  if (textOf(event['type']) !== 'follow') out.skip(author === own ? 'own' : 'unknown');
  else if (author === null) out.skip('nobody');
  else if (author === own) out.skip('own');
  else {
    out.add({
      name: 'Followed',
      network: 'x',
      id: `x:follow:${author}:${at}`,
      person: personOf(source),
      direction: 'inbound',
      occurredAtMs: unixTimeMs(at),
      text: null,
      isPrivate: false,
      language: null,
      properties: present({ follower_count: countOf(source?.['followers_count']) }),
    });
  }
}

function mapMessage(root: JsonObject, event: JsonObject, own: string, out: MappedDelivery): void {
  const message = objectOf(event['message_create']);
  const id = textOf(event['id']);
  if (textOf(event['type']) !== 'message_create' || message === null || id === null) return out.skip('unknown');
  const sender = textOf(message['sender_id']);
  const recipient = textOf(objectOf(message['target'])?.['recipient_id']);
  const isOurs = sender === own;
  const customer = isOurs ? recipient : sender;
  if (customer === null) return out.skip('nobody');
  if (customer === own) return out.skip('own');
  const user = objectOf(ownField(objectOf(root['users']), customer));
  const data = objectOf(message['message_data']);
  out.add({
    name: isOurs ? 'Message Sent' : 'Message Received',
    network: 'x',
    id: `x:message:${id}`,
    person: identifiers(customer, textOf(user?.['screen_name'])),
    direction: isOurs ? 'outbound' : 'inbound',
    occurredAtMs: unixTimeMs(event['created_timestamp']),
    text: textOf(data?.['text']),
    isPrivate: true,
    language: null,
    properties: objectOf(data?.['attachment']) === null ? {} : { attachments: ['media'] },
  });
}

function personOf(user: JsonObject | null): RawIdentifier[] {
  return identifiers(textOf(user?.['id_str']) ?? textOf(user?.['id']), textOf(user?.['screen_name']));
}

function identifiers(id: string | null, handle: string | null): RawIdentifier[] {
  const found: RawIdentifier[] = [];
  if (handle !== null) found.push({ ns: 'twitter', value: handle });
  if (id !== null) found.push({ ns: 'twitter_id', value: id });
  return found;
}

function countOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null;
}
