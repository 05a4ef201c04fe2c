import { hash } from 'node:crypto';
import type { Uuid } from '../../platform/ids.js';

/** From the widest to the narrowest. `pii` alone allows nothing: what `read` shows, it shows unmasked. */
export const API_SCOPES = ['admin', 'read', 'pii', 'ingest', 'edge'] as const;
export type ApiScope = (typeof API_SCOPES)[number];

/** Who asks: what a request may do and how often. */
export interface Principal {
  /** Unique over all who may ask; what limits and logs know them by. */
  readonly id: string;
  readonly scopes: readonly ApiScope[];
  /** The source that events which they send belong to; null for those who cannot send events by a write key. */
  readonly sourceId: number | null;
  /**
   * For the scope `edge`: the origins of pages that may ask, as browsers send them (`https://shop.example`), or `*` for
   * all. Empty: requests without an `Origin` header only, as servers send them.
   */
  readonly origins: readonly string[];
  /** GraphQL requests, or events, a second in the long run; null: as the installation limits all. */
  readonly ratePerSecond: number | null;
  readonly expiresAt: number | null;
}

/** What is known about a key; never its secret. */
export interface ApiKey extends Principal {
  readonly id: Uuid;
  /** For people. */
  readonly name: string;
  /** The first characters of the secret, to recognise it by. */
  readonly prefix: string;
  readonly createdAt: number;
  readonly revokedAt: number | null;
  /** The key that this one takes the place of. */
  readonly rotatedFrom: Uuid | null;
  /** Behind by up to a minute. */
  readonly lastUsedAt: number | null;
}

/**
 * `weft_<letter of the widest scope>_<43 base62 characters>`: the prefix lets secret scanners and people recognise a
 * key, the rest is 256 random bits.
 */
const SECRET = /^weft_[arie]_[0-9A-Za-z]{43}$/;
const BODY_LENGTH = 43;
const PREFIX_LENGTH = 11;
const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** @param random 32 random bytes */
export function makeSecret(scopes: readonly ApiScope[], random: Buffer): string {
  const letter = (API_SCOPES.find((scope) => scopes.includes(scope)) ?? 'ingest').charAt(0);
  return `weft_${letter}_${base62(random)}`;
}

/** What the key's identifier signatures are derived for, from the secret of the installation. */
export function signingPurpose(keyId: Uuid): string {
  return `edge-signing:${keyId}`;
}

/**
 * The signing secret of an edge key: with it the server of a site signs the identifiers that its pages may ask for.
 * @param derived 32 bytes, of {@link signingPurpose}
 */
export function signingSecret(derived: Buffer): string {
  return `weft_s_${base62(derived)}`;
}

/** 32 bytes as one whole number in base 62: no character is likelier than another by rejection or remainder. */
function base62(bytes: Buffer): string {
  let rest = BigInt(`0x${bytes.subarray(0, 32).toString('hex')}`);
  let text = '';
  for (let i = 0; i < BODY_LENGTH; i += 1) {
    text = ALPHABET.charAt(Number(rest % 62n)) + text;
    rest /= 62n;
  }
  return text;
}

/** False for what cannot be a key, so that it never costs a query. */
export function isSecretShaped(text: string): boolean {
  return SECRET.test(text);
}

/** Who asked, for people to read: keys have a name; who came with a token is known by their id. */
export function nameOf(principal: Principal): string {
  return 'name' in principal && typeof principal.name === 'string' ? principal.name : principal.id;
}

export function prefixOf(secret: string): string {
  return secret.slice(0, PREFIX_LENGTH);
}

/** SHA-256 is enough: the secret is random, so there is nothing that a slow hash would have to protect from guessing. */
export function hashSecret(secret: string): Buffer {
  return hash('sha256', secret, 'buffer');
}

/** `admin` includes the other scopes. */
export function hasScope(key: Pick<Principal, 'scopes'>, scope: ApiScope): boolean {
  return key.scopes.includes(scope) || key.scopes.includes('admin');
}

/** Whether a text is an origin as browsers write it in the header `Origin` (RFC 6454 §6.2), or `*`. */
export function isOrigin(text: string): boolean {
  if (text === '*') return true;
  return /^https?:\/\/[^*]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text;
}

export function isUsable(key: Pick<ApiKey, 'expiresAt' | 'revokedAt'>, nowMs: number): boolean {
  return (key.revokedAt === null || key.revokedAt > nowMs) && (key.expiresAt === null || key.expiresAt > nowMs);
}
