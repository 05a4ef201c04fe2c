import type { JsonObject } from '../../events/event.model.js';
import { MappedDelivery, type Interaction } from './interaction.model.js';
import { dateMs, objectOf, present, textOf } from './payload-reader.js';
import { verifySigned } from './webhook-signature.js';
import type { HmacOptions, WebhookAdapter } from './webhook.model.js';

/** Zendesk sends again for some time after a failure, with a new signature each time. */
const TOLERANCE_S = 5 * 60;
const PREFIX = 'zen:event-type:ticket.';

const SIGNATURE: HmacOptions = {
  header: 'x-zendesk-webhook-signature',
  algorithm: 'sha256',
  encoding: 'base64',
  prefix: '',
  timestampHeader: 'x-zendesk-webhook-signature-timestamp',
  signedContent: '{timestamp}{body}',
  toleranceS: TOLERANCE_S,
};

/**
 * Ticket events of Zendesk, version 2022-11-06. Signature (base64 of HMAC-SHA-256 over timestamp and body):
 * https://developer.zendesk.com/documentation/webhooks/verifying/. Payloads:
 * https://developer.zendesk.com/api-reference/webhooks/event-types/ticket-events/.
 *
 * The customer is the ticket's requester, or whoever else outside the staff comments: `zendesk`, the id of the user.
 * What tickets say is private as messages are. Internal notes are nobody's interaction and are not kept at all.
 */
export const zendeskAdapter: WebhookAdapter = {
  signature: SIGNATURE,
  verify: (request, secrets, nowMs) => verifySigned(SIGNATURE, request, secrets, nowMs),
  countItems: () => 1,
  map: (body) => {
    const out = new MappedDelivery();
    const root = objectOf(body);
    const detail = objectOf(root?.['detail']);
    const type = textOf(root?.['type']);
    const id = textOf(root?.['id']);
    if (root === null || detail === null || id === null || type?.startsWith(PREFIX) !== true) {
      out.skip('unknown');
      return out;
    }
    const event = objectOf(root['event']) ?? {};
    const base = ticketBase(root, detail, id);
    const kind = type.slice(PREFIX.length);
    if (kind === 'comment_added') mapComment(base, detail, event, out);
    else if (kind === 'created') mapCreated(base, detail, out);
    else if (kind === 'status_changed') mapStatus(base, detail, event, out);
    else out.skip('unknown');
    return out;
  },
};

type TicketBase = Omit<Interaction, 'name' | 'person' | 'direction' | 'text'>;

function ticketBase(root: JsonObject, detail: JsonObject, id: string): TicketBase {
  const subject = textOf(detail['subject']);
  return {
    network: 'zendesk',
    id: `zendesk:event:${id}`,
    occurredAtMs: dateMs(root['time']) ?? dateMs(detail['updated_at']),
    isPrivate: true,
    language: null,
    properties: present({
      ticket_id: textOf(detail['id']),
      channel: textOf(objectOf(detail['via'])?.['channel']),
      priority: lower(textOf(detail['priority'])),
      status: lower(textOf(detail['status'])),
    }),
    ...(subject === null ? {} : { privateProperties: { subject } }),
  };
}

function mapCreated(base: TicketBase, detail: JsonObject, out: MappedDelivery): void {
  const requester = textOf(detail['requester_id']);
  if (requester === null) return out.skip('nobody');
  const submitter = textOf(detail['submitter_id']) ?? requester;
  out.add({
    ...base,
    name: 'Ticket Created',
    person: [{ ns: 'zendesk', value: requester }],
    direction: submitter === requester ? 'inbound' : 'outbound',
    text: textOf(detail['description']),
  });
}

function mapComment(base: TicketBase, detail: JsonObject, event: JsonObject, out: MappedDelivery): void {
  const comment = objectOf(event['comment']);
  const author = objectOf(comment?.['author']);
  const authorId = textOf(author?.['id']);
  if (comment === null) return out.skip('unknown');
  if (comment['is_public'] === false) return out.skip('ignored');
  const isStaff = author?.['is_staff'] === true;
  const customer = isStaff ? textOf(detail['requester_id']) : authorId;
  if (customer === null) return out.skip('nobody');
  if (isStaff && customer === authorId) return out.skip('own');
  const commentId = textOf(comment['id']);
  out.add({
    ...base,
    name: isStaff ? 'Ticket Reply Sent' : 'Ticket Comment Added',
    person: [{ ns: 'zendesk', value: customer }],
    direction: isStaff ? 'outbound' : 'inbound',
    text: textOf(comment['body']),
    properties: commentId === null ? base.properties : { ...base.properties, comment_id: commentId },
  });
}

function mapStatus(base: TicketBase, detail: JsonObject, event: JsonObject, out: MappedDelivery): void {
  const requester = textOf(detail['requester_id']);
  if (requester === null) return out.skip('nobody');
  out.add({
    ...base,
    name: 'Ticket Status Changed',
    person: [{ ns: 'zendesk', value: requester }],
    direction: 'outbound',
    text: null,
    properties: present({
      ...base.properties,
      status: lower(textOf(event['current'])) ?? lower(textOf(detail['status'])),
      previous_status: lower(textOf(event['previous'])),
    }),
  });
}

function lower(text: string | null): string | null {
  return text === null ? null : text.toLowerCase();
}
