import type { JsonObject, JsonValue, RawIdentifier } from '../../events/event.model.js';
import { MappedDelivery, type Interaction, type InteractionName } from './interaction.model.js';
import { lengthOf, objectOf, objectsOf, present, textOf, unixTimeMs } from './payload-reader.js';
import { isEqualSecret, verifySigned } from './webhook-signature.js';
import type { HmacOptions, WebhookAdapter } from './webhook.model.js';

type MetaNetwork = 'facebook' | 'instagram';

const MAX_CHALLENGE_LENGTH = 200;

const SIGNATURE: HmacOptions = {
  header: 'x-hub-signature-256',
  algorithm: 'sha256',
  encoding: 'hex',
  prefix: 'sha256=',
  timestampHeader: null,
  signedContent: '{body}',
  toleranceS: 0,
};

/**
 * Webhooks of Meta's Graph API: the object `page` (field `feed`, `mention` and Messenger) and the object `instagram`
 * (comments, live comments and messages). Signature and handshake:
 * https://developers.facebook.com/docs/graph-api/webhooks/getting-started. Fields:
 * https://developers.facebook.com/docs/graph-api/webhooks/reference/page,
 * https://developers.facebook.com/docs/messenger-platform/reference/webhook-events and
 * https://developers.facebook.com/docs/instagram-platform/webhooks/examples.
 *
 * People are known by ids that hold for one page (or one Instagram account) only: `facebook_id`, `instagram_id`.
 * Instagram names the handle with comments: `instagram`. Its notice of a mention names nobody, and is counted as such.
 */
export const metaAdapter: WebhookAdapter = {
  signature: SIGNATURE,
  verify: (request, secrets, nowMs) => verifySigned(SIGNATURE, request, secrets, nowMs),
  answerGet: (query, { verify }) => {
    const challenge = query['hub.challenge'];
    if (query['hub.mode'] !== 'subscribe' || !isEqualSecret(query['hub.verify_token'], verify)) return null;
    if (typeof challenge !== 'string' || challenge.length > MAX_CHALLENGE_LENGTH) return null;
    return { type: 'text/plain', body: challenge };
  },
  countItems: (body) => {
    const entries = objectOf(body)?.['entry'];
    let count = 0;
    if (Array.isArray(entries)) for (const entry of entries) count += itemsOf(objectOf(entry));
    return Math.max(1, count);
  },
  map: (body) => {
    const out = new MappedDelivery();
    const root = objectOf(body);
    const network = networkOf(textOf(root?.['object']));
    const entries = objectsOf(root?.['entry']);
    if (network === null || entries.length === 0) out.skip('unknown');
    else for (const entry of entries) mapEntry(network, entry, out);
    return out;
  },
};

function itemsOf(entry: JsonObject | null): number {
  const items = lengthOf(entry?.['changes']) + lengthOf(entry?.['messaging']) + lengthOf(entry?.['standby']);
  return Math.max(1, items);
}

function networkOf(object: string | null): MetaNetwork | null {
  if (object === 'page') return 'facebook';
  return object === 'instagram' ? 'instagram' : null;
}

function mapEntry(network: MetaNetwork, entry: JsonObject, out: MappedDelivery): void {
  for (const change of objectsOf(entry['changes'])) mapChange(network, entry, change, out);
  // Apps that log in by Instagram get the field beside the id.
  if (entry['field'] !== undefined) mapChange(network, entry, entry, out);
  for (const item of objectsOf(entry['messaging'])) mapMessaging(network, entry, item, out);
  // Copies for an app that does not hold the conversation.
  for (const _ of objectsOf(entry['standby'])) out.skip('ignored');
}

function mapChange(network: MetaNetwork, entry: JsonObject, change: JsonObject, out: MappedDelivery): void {
  const value = objectOf(change['value']);
  const field = textOf(change['field']);
  if (value === null || field === null) out.skip('unknown');
  else if (network === 'instagram' && (field === 'comments' || field === 'live_comments')) {
    instagramComment(entry, value, field, out);
  } else if (network === 'instagram' && field === 'mentions') out.skip('nobody');
  else if (network === 'facebook' && field === 'feed') feedChange(entry, value, out);
  else if (network === 'facebook' && field === 'mention') feedMention(entry, value, out);
  else out.skip('unknown');
}

// --- Facebook: the feed of a page -----------------------------------------------------------------------------------

const POSTS: ReadonlySet<string> = new Set(['post', 'status', 'photo', 'video', 'album', 'link', 'event']);

function feedChange(entry: JsonObject, value: JsonObject, out: MappedDelivery): void {
  const author = authorOf(value);
  const kind = feedKind(textOf(value['item']), textOf(value['verb']), value);
  if (kind === 'unknown' || kind === 'ignored') out.skip(kind);
  else if (author === null) out.skip('nobody');
  else if (author === textOf(entry['id'])) out.skip('own');
  else out.add(feedInteraction(kind, author, value, entry['time']));
}

function feedKind(
  item: string | null,
  verb: string | null,
  value: JsonObject,
): InteractionName | 'unknown' | 'ignored' {
  const isAdded = verb === 'add';
  if (verb === 'hide' || verb === 'unhide' || verb === 'mute' || verb === 'block') return 'ignored';
  if (item === 'comment') {
    if (isAdded) return 'Comment Posted';
    return verb === 'edited' || verb === 'edit' ? 'Comment Edited' : verb === 'remove' ? 'Comment Removed' : 'unknown';
  }
  if (item === 'reaction' || item === 'like') {
    const onPage = value['post_id'] === undefined && value['comment_id'] === undefined;
    if (isAdded || verb === 'edit') return onPage ? 'Followed' : 'Post Liked';
    return verb === 'remove' && !onPage ? 'Post Unliked' : 'ignored';
  }
  if (item === 'share') return isAdded ? 'Post Shared' : 'ignored';
  if (item !== null && POSTS.has(item)) return isAdded ? 'Post Published' : 'ignored';
  return 'unknown';
}

function feedInteraction(name: InteractionName, author: string, value: JsonObject, time?: JsonValue): Interaction {
  const id = (field: string): string => textOf(value[field]) ?? '';
  const [postId, commentId, parentId] = [id('post_id'), id('comment_id'), id('parent_id')];
  const at = id('created_time');
  const target = commentId === '' ? postId : commentId;
  const verb = textOf(value['verb']) ?? '';
  const ids: Partial<Record<InteractionName, string>> = {
    'Comment Posted': `comment:${commentId}`,
    'Comment Edited': `comment:${commentId}:edited:${at}`,
    'Comment Removed': `comment:${commentId}:removed`,
    'Post Published': `post:${postId}`,
    'Post Shared': `share:${textOf(value['share_id']) ?? `${postId}:${author}:${at}`}`,
  };
  return {
    name,
    network: 'facebook',
    // A like comes as "like" and as "reaction": one id for both.
    id: `facebook:${ids[name] ?? `reaction:${target}:${author}:${verb}:${at}`}`,
    person: [{ ns: 'facebook_id', value: author }],
    direction: 'inbound',
    occurredAtMs: unixTimeMs(value['created_time']) ?? unixTimeMs(time),
    text: textOf(value['message']),
    isPrivate: false,
    language: null,
    properties: present({
      post_id: postId === '' ? null : postId,
      comment_id: commentId === '' ? null : commentId,
      in_reply_to: name.startsWith('Comment') && parentId !== '' ? parentId : null,
      reaction: textOf(value['reaction_type']),
      permalink: textOf(objectOf(value['post'])?.['permalink_url']) ?? textOf(value['permalink_url']),
    }),
  };
}

function feedMention(entry: JsonObject, value: JsonObject, out: MappedDelivery): void {
  const author = authorOf(value);
  if (textOf(value['verb']) !== 'add') out.skip('ignored');
  else if (author === null) out.skip('nobody');
  else if (author === textOf(entry['id'])) out.skip('own');
  else {
    const found = feedInteraction('Mentioned', author, value, entry['time']);
    const target = textOf(value['comment_id']) ?? textOf(value['post_id']) ?? '';
    out.add({ ...found, id: `facebook:mention:${target}` });
  }
}

/** Who did it; the newer form, then the one before version 3. */
function authorOf(value: JsonObject): string | null {
  return (
    textOf(objectOf(value['from'])?.['id']) ?? textOf(objectOf(value['sender'])?.['id']) ?? textOf(value['sender_id'])
  );
}

// --- Instagram: comments --------------------------------------------------------------------------------------------

function instagramComment(entry: JsonObject, value: JsonObject, field: string, out: MappedDelivery): void {
  const from = objectOf(value['from']);
  const author = textOf(from?.['id']);
  const handle = textOf(from?.['username']);
  const id = textOf(value['id']) ?? textOf(value['comment_id']);
  if (id === null) out.skip('unknown');
  else if (author === null && handle === null) out.skip('nobody');
  else if (author === textOf(entry['id'])) out.skip('own');
  else {
    const person: RawIdentifier[] = [];
    if (handle !== null) person.push({ ns: 'instagram', value: handle });
    if (author !== null) person.push({ ns: 'instagram_id', value: author });
    const media = objectOf(value['media']);
    out.add({
      name: 'Comment Posted',
      network: 'instagram',
      id: `instagram:comment:${id}`,
      person,
      direction: 'inbound',
      occurredAtMs: unixTimeMs(entry['time']),
      text: textOf(value['text']),
      isPrivate: false,
      language: null,
      properties: present({
        comment_id: id,
        post_id: textOf(media?.['id']),
        in_reply_to: textOf(value['parent_id']) ?? textOf(media?.['id']),
        media_type: textOf(media?.['media_product_type']),
        live: field === 'live_comments' ? true : null,
      }),
    });
  }
}

// --- Messenger and Instagram messages -------------------------------------------------------------------------------

const RECEIPTS = ['read', 'delivery', 'message_edit', 'optin', 'pass_thread_control', 'take_thread_control'] as const;

function mapMessaging(network: MetaNetwork, entry: JsonObject, item: JsonObject, out: MappedDelivery): void {
  const sender = textOf(objectOf(item['sender'])?.['id']);
  const recipient = textOf(objectOf(item['recipient'])?.['id']);
  const message = objectOf(item['message']);
  const own = textOf(entry['id']);
  const isOurs = message?.['is_echo'] === true || (own !== null && sender === own);
  const customer = isOurs ? recipient : sender;
  if (RECEIPTS.some((name) => item[name] !== undefined)) out.skip('ignored');
  else if (customer === null) out.skip('nobody');
  else if (customer === own) out.skip('own');
  else {
    const kind = { network, item, customer, isOurs };
    const found = message === null ? otherMessaging(kind) : messageOf(kind, message);
    if (typeof found === 'string') out.skip(found);
    else out.add(found);
  }
}

interface Messaging {
  readonly network: MetaNetwork;
  readonly item: JsonObject;
  readonly customer: string;
  readonly isOurs: boolean;
}

function messageOf(messaging: Messaging, message: JsonObject): Interaction | 'ignored' | 'unknown' {
  const mid = textOf(message['mid']);
  if (message['is_deleted'] === true || message['is_unsupported'] === true) return 'ignored';
  if (mid === null) return 'unknown';
  const types = objectsOf(message['attachments']).flatMap((attachment) => textOf(attachment['type']) ?? []);
  const replyTo = objectOf(message['reply_to']);
  // An Instagram story that names us comes as a message with the story attached.
  const isMention = types.includes('story_mention') && !messaging.isOurs;
  return {
    ...messagingBase(messaging),
    name: isMention ? 'Mentioned' : messaging.isOurs ? 'Message Sent' : 'Message Received',
    id: `${messaging.network}:message:${mid}`,
    text: textOf(message['text']),
    properties: present({
      in_reply_to: textOf(replyTo?.['mid']) ?? textOf(objectOf(replyTo?.['story'])?.['id']),
      attachments: types.length === 0 ? null : types.slice(0, MAX_ATTACHMENTS),
    }),
  };
}

const MAX_ATTACHMENTS = 10;

function otherMessaging(messaging: Messaging): Interaction | 'ignored' | 'unknown' {
  const base = messagingBase(messaging);
  const { network, item, customer } = messaging;
  const at = textOf(item['timestamp']) ?? '';
  const reaction = objectOf(item['reaction']);
  if (reaction !== null) {
    const mid = textOf(reaction['mid']) ?? '';
    if (textOf(reaction['action']) !== 'react') return 'ignored';
    return {
      ...base,
      name: 'Message Reacted To',
      id: `${network}:message_reaction:${mid}:${customer}:${at}`,
      properties: present({ in_reply_to: mid, reaction: textOf(reaction['reaction']) }),
    };
  }
  const postback = objectOf(item['postback']);
  if (postback !== null) {
    return {
      ...base,
      name: 'Button Pressed',
      id: `${network}:postback:${textOf(postback['mid']) ?? `${customer}:${at}`}`,
      text: textOf(postback['title']),
    };
  }
  return 'unknown';
}

function messagingBase({ network, item, customer, isOurs }: Messaging): Omit<Interaction, 'name' | 'id'> {
  return {
    network,
    person: [{ ns: `${network}_id`, value: customer }],
    direction: isOurs ? 'outbound' : 'inbound',
    occurredAtMs: unixTimeMs(item['timestamp']),
    text: null,
    isPrivate: true,
    language: null,
    properties: {},
  };
}
