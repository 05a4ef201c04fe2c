import type { JsonObject } from '../../events/event.model.js';
import { MappedDelivery, type Interaction } from './interaction.model.js';
import { objectOf, present, textOf, unixTimeMs } from './payload-reader.js';
import { verifySigned } from './webhook-signature.js';
import type { HmacOptions, WebhookAdapter } from './webhook.model.js';

const TOLERANCE_S = 5 * 60;
const MAX_CHALLENGE_LENGTH = 200;

const SIGNATURE: HmacOptions = {
  header: 'x-slack-signature',
  algorithm: 'sha256',
  encoding: 'hex',
  prefix: 'v0=',
  timestampHeader: 'x-slack-request-timestamp',
  signedContent: 'v0:{timestamp}:{body}',
  toleranceS: TOLERANCE_S,
};

/**
 * The Events API of Slack. Signature with a replay window: https://docs.slack.dev/authentication/verifying-requests-from-slack.
 * Handshake and envelope: https://docs.slack.dev/apis/events-api/. Messages: https://docs.slack.dev/reference/events/message.
 *
 * People are known by `slack`, `<team>:<user>`. What is written in a workspace is private as messages are, channels
 * included. Bots, ours among them, are nobody's customer.
 */
export const slackAdapter: WebhookAdapter = {
  signature: SIGNATURE,
  verify: (request, secrets, nowMs) => verifySigned(SIGNATURE, request, secrets, nowMs),
  answerPost: (body) => {
    const root = objectOf(body);
    const challenge = textOf(root?.['challenge']);
    if (root?.['type'] !== 'url_verification' || challenge === null) return null;
    return { type: 'text/plain', body: challenge.slice(0, MAX_CHALLENGE_LENGTH) };
  },
  countItems: () => 1,
  map: (body) => {
    const out = new MappedDelivery();
    const root = objectOf(body);
    const event = objectOf(root?.['event']);
    if (root?.['type'] !== 'event_callback' || event === null) out.skip('unknown');
    else mapEvent(root, event, out);
    return out;
  },
};

/** Subtypes of messages that a person wrote. */
const WRITTEN: ReadonlySet<string> = new Set(['file_share', 'thread_broadcast', 'me_message']);

function mapEvent(root: JsonObject, event: JsonObject, out: MappedDelivery): void {
  const type = textOf(event['type']);
  if (type !== 'message' && type !== 'app_mention' && type !== 'reaction_added') return out.skip('unknown');
  const subtype = textOf(event['subtype']);
  if (event['bot_id'] !== undefined || subtype === 'bot_message') return out.skip('own');
  if (subtype !== null && !WRITTEN.has(subtype)) return out.skip('ignored');
  const user = textOf(event['user']);
  const team = textOf(event['user_team']) ?? textOf(event['team']) ?? textOf(root['team_id']);
  if (user === null || team === null) return out.skip('nobody');
  const found = interactionOf(type, event);
  if (found === null) return out.skip('unknown');
  out.add({
    network: 'slack',
    person: [{ ns: 'slack', value: `${team}:${user}` }],
    direction: 'inbound',
    occurredAtMs: unixTimeMs(event['event_ts']) ?? unixTimeMs(event['ts']) ?? unixTimeMs(root['event_time']),
    isPrivate: true,
    language: null,
    ...found,
  });
}

type Said = Pick<Interaction, 'name' | 'id' | 'text' | 'properties'>;

function interactionOf(type: 'message' | 'app_mention' | 'reaction_added', event: JsonObject): Said | null {
  if (type === 'reaction_added') {
    const item = objectOf(event['item']);
    const place = `${textOf(item?.['channel']) ?? ''}:${textOf(item?.['ts']) ?? ''}`;
    const [user, reaction, at] = [textOf(event['user']), textOf(event['reaction']), textOf(event['event_ts'])];
    return {
      name: 'Message Reacted To',
      id: `slack:reaction:${place}:${user ?? ''}:${reaction ?? ''}:${at ?? ''}`,
      text: null,
      properties: present({ in_reply_to: textOf(item?.['ts']), channel_id: textOf(item?.['channel']), reaction }),
    };
  }
  const channel = textOf(event['channel']);
  const ts = textOf(event['ts']);
  if (channel === null || ts === null) return null;
  const isMention = type === 'app_mention';
  return {
    name: isMention ? 'Mentioned' : 'Message Received',
    id: `slack:${isMention ? 'mention' : 'message'}:${channel}:${ts}`,
    text: textOf(event['text']),
    properties: present({
      channel_id: channel,
      channel_type: textOf(event['channel_type']),
      in_reply_to: textOf(event['thread_ts']),
    }),
  };
}
