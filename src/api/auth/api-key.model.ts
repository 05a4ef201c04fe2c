import { hash } from 'node:crypto';
import type { Uuid } from '../../platform/ids.js';

export const API_SCOPES = ['admin', 'read', 'ingest'] as const;
export type ApiScope = (typeof API_SCOPES)[number];

/** What is known about a key; never its secret. */
export interface ApiKey {
  readonly id: Uuid;
  /** For people. */
  readonly name: string;
  /** The first characters of the secret, to recognise it by. */
  readonly prefix: string;
  readonly scopes: readonly ApiScope[];
  /** The source that events sent with this key belong to; null for keys that cannot send events. */
  readonly sourceId: number | null;
  readonly createdAt: number;
  readonly expiresAt: number | null;
  readonly revokedAt: number | null;
  /** Behind by up to a minute. */
  readonly lastUsedAt: number | null;
}

/**
 * `weft_<letter of the widest scope>_<43 base62 characters>`: the prefix lets secret scanners and people recognise a
 * key, the rest is 256 random bits.
 */
const SECRET = /^weft_[ari]_[0-9A-Za-z]{43}$/;
const BODY_LENGTH = 43;
const PREFIX_LENGTH = 11;
const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** @param random 32 random bytes */
export function makeSecret(scopes: readonly ApiScope[], random: Buffer): string {
  const letter = (API_SCOPES.find((scope) => scopes.includes(scope)) ?? 'ingest').charAt(0);
  // The whole number in base 62: no character is likelier than another by rejection or remainder.
  let rest = BigInt(`0x${random.subarray(0, 32).toString('hex')}`);
  let body = '';
  for (let i = 0; i < BODY_LENGTH; i += 1) {
    body = ALPHABET.charAt(Number(rest % 62n)) + body;
    rest /= 62n;
  }
  return `weft_${letter}_${body}`;
}

/** False for what cannot be a key, so that it never costs a query. */
export function isSecretShaped(text: string): boolean {
  return SECRET.test(text);
}

export function prefixOf(secret: string): string {
  return secret.slice(0, PREFIX_LENGTH);
}

/** SHA-256 is enough: the secret is random, so there is nothing that a slow hash would have to protect from guessing. */
export function hashSecret(secret: string): Buffer {
  return hash('sha256', secret, 'buffer');
}

/** `admin` includes the other scopes. */
export function hasScope(key: Pick<ApiKey, 'scopes'>, scope: ApiScope): boolean {
  return key.scopes.includes(scope) || key.scopes.includes('admin');
}

export function isUsable(key: Pick<ApiKey, 'expiresAt' | 'revokedAt'>, nowMs: number): boolean {
  return (key.revokedAt === null || key.revokedAt > nowMs) && (key.expiresAt === null || key.expiresAt > nowMs);
}
