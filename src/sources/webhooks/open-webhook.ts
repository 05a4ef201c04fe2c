import { setImmediate } from 'node:timers/promises';
import { WeftError } from '../../platform/errors.js';
import type { InstallationSecret } from '../../platform/installation-secret.js';
import type { IncomingEvent, JsonValue } from '../../events/event.model.js';
import { SKIP_REASONS, type SkipReason } from './interaction.model.js';
import { eventOf } from './interaction-event.js';
import { ITEMS_PER_TURN, JsonMapper } from './json.adapter.js';
import { metaAdapter } from './meta.adapter.js';
import { slackAdapter } from './slack.adapter.js';
import type { TextReader } from '../../platform/text-reader.js';
import { verifySigned } from './webhook-signature.js';
import type {
  ChallengeAnswer,
  HmacOptions,
  SecretPurpose,
  SignatureOutcome,
  SignedRequest,
  Webhook,
  WebhookAdapter,
  WebhookAdapterKey,
  WebhookSecret,
} from './webhook.model.js';
import type { SealedSecret, StoredWebhook } from './webhook.store.js';
import { xAdapter } from './x.adapter.js';
import { zendeskAdapter } from './zendesk.adapter.js';

const NETWORKS: Readonly<Record<Exclude<WebhookAdapterKey, 'json'>, WebhookAdapter>> = {
  meta: metaAdapter,
  x: xAdapter,
  zendesk: zendeskAdapter,
  slack: slackAdapter,
};

/** A part of a delivery that could not be mapped. */
export interface UnmappedPart {
  readonly code: string;
  readonly reason: string;
  readonly item: JsonValue;
  /** Its place among the items of the delivery, from 0. */
  readonly index: number;
}

/** Why a part became no event; `left_out`: the mapping's `when` does not hold. */
export const LEFT_OUT_REASONS = [...SKIP_REASONS, 'left_out'] as const;
export type LeftOutReason = SkipReason | 'left_out';

export interface DeliveredEvents {
  readonly events: readonly IncomingEvent[];
  readonly unmapped: readonly UnmappedPart[];
  readonly leftOut: Readonly<Record<LeftOutReason, number>>;
}

/** A webhook made ready: its secrets opened, its mapping compiled. */
export interface OpenWebhook {
  readonly webhook: Webhook;
  /** Null where nothing signs the deliveries. */
  readonly signature: HmacOptions | null;
  /** True where nothing signs the deliveries, so that they have to carry a write key of the source. */
  readonly needsWriteKey: boolean;
  /** True where a body may hold what only two people should read. */
  readonly isPrivate: boolean;
  verify(request: SignedRequest, nowMs: number): SignatureOutcome;
  /** The answer to a GET; null: refused. */
  answerGet(query: Readonly<Record<string, unknown>>, nowMs: number): ChallengeAnswer | null;
  /** The answer to a signed delivery that is a handshake; null: it is none. */
  answerPost(body: JsonValue): ChallengeAnswer | null;
  /** How much `map` would look at; at least 1. */
  countItems(body: JsonValue): number;
  /** Lets others have their turn between the items. */
  map(body: JsonValue, reader: TextReader): Promise<DeliveredEvents>;
}

/** @throws WeftError DEFINITION_INVALID for a mapping that does not fit; CONFIG_INVALID where secrets cannot be opened */
export function openWebhook(stored: StoredWebhook, secret: InstallationSecret): OpenWebhook {
  const { secrets: sealed, ...webhook } = stored;
  const secrets = openSecrets(webhook, sealed, secret);
  const inForce = (purpose: SecretPurpose, nowMs: number): Buffer[] =>
    secrets
      .filter((each) => each.purpose === purpose && (each.expiresAt === null || each.expiresAt > nowMs))
      .map(({ value }) => value);
  return webhook.adapter === 'json'
    ? openJson(webhook, (nowMs) => inForce('signing', nowMs))
    : openNetwork(webhook, NETWORKS[webhook.adapter], inForce);
}

/** How deliveries of a webhook have to be signed; null: not at all, they carry a write key. */
export function signatureOf({ adapter, options }: Pick<Webhook, 'adapter' | 'options'>): HmacOptions | null {
  return adapter === 'json' ? (options.hmac ?? null) : NETWORKS[adapter].signature;
}

function openNetwork(
  webhook: Webhook,
  adapter: WebhookAdapter,
  inForce: (purpose: SecretPurpose, nowMs: number) => Buffer[],
): OpenWebhook {
  return {
    webhook,
    signature: adapter.signature,
    needsWriteKey: false,
    isPrivate: true,
    verify: (request, nowMs) => adapter.verify(request, inForce('signing', nowMs), nowMs),
    answerGet: (query, nowMs) =>
      adapter.answerGet?.(query, { signing: inForce('signing', nowMs), verify: inForce('verify', nowMs) }) ?? null,
    answerPost: (body) => adapter.answerPost?.(body) ?? null,
    countItems: (body) => adapter.countItems(body),
    map: async (body, reader) => {
      const { interactions, skipped } = adapter.map(body);
      const events: IncomingEvent[] = [];
      for (const [i, each] of interactions.entries()) {
        if (i > 0 && i % ITEMS_PER_TURN === 0) await setImmediate();
        events.push(eventOf(each, webhook.options.keepMessages, reader));
      }
      return { events, unmapped: [], leftOut: { ...skipped, left_out: 0 } };
    },
  };
}

function openJson(webhook: Webhook, signing: (nowMs: number) => Buffer[]): OpenWebhook {
  const { options, key } = webhook;
  const mapper = new JsonMapper(key, options);
  const hmac = options.hmac ?? null;
  return {
    webhook,
    signature: hmac,
    needsWriteKey: hmac === null,
    isPrivate: options.isPrivate ?? false,
    verify: (request, nowMs) => (hmac === null ? 'valid' : verifySigned(hmac, request, signing(nowMs), nowMs)),
    answerGet: () => null,
    answerPost: () => null,
    countItems: (body) => mapper.countItems(body),
    map: async (body, reader) => {
      const items = await mapper.map(body, reader);
      const leftOut = { own: 0, nobody: 0, ignored: 0, unknown: 0, left_out: 0 };
      const events: IncomingEvent[] = [];
      const unmapped: UnmappedPart[] = [];
      for (const [index, item] of items.entries()) {
        if ('event' in item) events.push(item.event);
        else if ('skipped' in item) leftOut.left_out++;
        else unmapped.push({ ...item, index });
      }
      return { events, unmapped, leftOut };
    },
  };
}

function openSecrets(
  { key, sourceId }: Webhook,
  sealed: readonly SealedSecret[],
  secret: InstallationSecret,
): WebhookSecret[] {
  const secrets = sealed.flatMap(({ purpose, sealed: bytes, expiresAt }) => {
    const value = secret.open(secretPurpose(sourceId, purpose), bytes);
    return value === null ? [] : [{ purpose, value, expiresAt }];
  });
  if (secrets.length > 0 || sealed.length === 0) return secrets;
  throw new WeftError('CONFIG_INVALID', `the secrets of the webhook ${key} cannot be opened`, {
    where: 'WEFT_SECRET',
    hint: `set them again: weft webhooks rotate-secret ${key}`,
  });
}

/** What a webhook's secret is sealed for: it opens nowhere else. */
export function secretPurpose(sourceId: number, purpose: SecretPurpose): string {
  return `webhook-secret:${String(sourceId)}:${purpose}`;
}

export function deliveryPurpose(sourceId: number): string {
  return `webhook-delivery:${String(sourceId)}`;
}
