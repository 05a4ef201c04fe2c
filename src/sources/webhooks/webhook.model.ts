import type { JsonValue } from '../../events/event.model.js';
import type { MappedDelivery } from './interaction.model.js';

export const WEBHOOK_ADAPTERS = ['meta', 'x', 'zendesk', 'slack', 'json'] as const;
export type WebhookAdapterKey = (typeof WEBHOOK_ADAPTERS)[number];

export const WEBHOOK_LIMITS = {
  /** Of a delivery as it comes and, if compressed, of what it expands to. */
  maxBodyBytes: 1_048_576,
  maxSecretBytes: 1_024,
  /** Of a delivery; more are refused with all of it. As many as a batch of the tracking API may have. */
  maxItems: 2_500,
  /** Of a delivery; what is refused beyond is counted in one more. */
  maxDeadLetters: 100,
  /** Raw deliveries are kept this long, … */
  keepDeliveriesMs: 7 * 24 * 60 * 60 * 1_000,
  /** … and of one webhook no more than this. */
  maxKeptBytes: 256 * 1_048_576,
} as const;

/** What a secret is for: `signing` proves deliveries, `verify` is the token that a network's handshake names. */
export const SECRET_PURPOSES = ['signing', 'verify'] as const;
export type SecretPurpose = (typeof SECRET_PURPOSES)[number];

/** How deliveries are signed: as a network does it, or as was decided for the adapter `json`. */
export interface HmacOptions {
  /** Name of the header that holds the signature; lower case. */
  readonly header: string;
  readonly algorithm: 'sha256' | 'sha512';
  readonly encoding: 'hex' | 'base64';
  /** What stands before the signature in the header, as `sha256=`. */
  readonly prefix: string;
  /** Name of the header that says when it was signed, as Unix time or ISO 8601; null: none does. */
  readonly timestampHeader: string | null;
  /** What is signed; `{timestamp}` and `{body}` are replaced. */
  readonly signedContent: string;
  readonly toleranceS: number;
}

/** What a person decides about a webhook. */
export interface WebhookOptions {
  /** Keeps what direct messages and tickets say, for keys with the scope admin to see. */
  readonly keepMessages: boolean;
  /** `json`: the mapping file's text. */
  readonly mapping?: string;
  /** `json`: path with dots to the list in the body; absent: the body is the list, or one item. */
  readonly items?: string;
  /** `json`: null: not signed; the deliveries carry a write key of the source. */
  readonly hmac?: HmacOptions | null;
  /** `json`: the property whose language and sentiment are added. */
  readonly textProperty?: string;
  /** `json`: that property is a private message. */
  readonly isPrivate?: boolean;
}

/** A webhook without its secrets. */
export interface Webhook {
  readonly sourceId: number;
  /** Key of its source, and the last part of its path. */
  readonly key: string;
  readonly adapter: WebhookAdapterKey;
  readonly options: WebhookOptions;
  /** ms */
  readonly createdAt: number;
}

/** A secret in force. */
export interface WebhookSecret {
  readonly purpose: SecretPurpose;
  readonly value: Buffer;
  /** ms; null: until it is replaced. */
  readonly expiresAt: number | null;
}

/** What a network sent, to be proved. */
export interface SignedRequest {
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** As it came, before anything was decoded. */
  readonly raw: Buffer;
}

/** `stale`: signed well, but too long ago, or too far in the future, to be more than a copy of an earlier delivery. */
export type SignatureOutcome = 'valid' | 'missing' | 'invalid' | 'stale';

export interface ChallengeAnswer {
  readonly type: 'text/plain' | 'application/json';
  readonly body: string;
}

/** How one network proves, shakes hands and describes what happened. Pure. */
export interface WebhookAdapter {
  readonly signature: HmacOptions;
  /** Whether the request was signed with one of the secrets, in time that does not tell how much of it fits. */
  verify(request: SignedRequest, secrets: readonly Buffer[], nowMs: number): SignatureOutcome;
  /** The answer to a GET that asks whether we are who the network was told; null: refused. Absent: there is none. */
  readonly answerGet?: (
    query: Readonly<Record<string, unknown>>,
    secrets: Readonly<Record<SecretPurpose, readonly Buffer[]>>,
  ) => ChallengeAnswer | null;
  /** The answer to a signed delivery that is a handshake; null: it is none. Absent: there is none. */
  readonly answerPost?: (body: JsonValue) => ChallengeAnswer | null;
  /**
   * How much `map` would look at: of all lists that it goes through, the items, whatever they are. At least 1, and cheap:
   * asked before a body of any size is mapped.
   */
  countItems(body: JsonValue): number;
  /** What happened, by the signed body. Unknown kinds are counted in it, and are no errors. */
  map(body: JsonValue): MappedDelivery;
}
