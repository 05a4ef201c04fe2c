import { createHmac, timingSafeEqual } from 'node:crypto';
import type { SignatureOutcome, SignedRequest } from './webhook.model.js';

export type HmacAlgorithm = 'sha256' | 'sha512';
export type HmacEncoding = 'hex' | 'base64';

export interface HmacCheck {
  readonly algorithm: HmacAlgorithm;
  readonly encoding: HmacEncoding;
  /** What stands before the signature, as `sha256=`. */
  readonly prefix: string;
  /** What was signed, in order. */
  readonly parts: readonly (string | Buffer)[];
}

const DIGEST_BYTES: Readonly<Record<HmacAlgorithm, number>> = { sha256: 32, sha512: 64 };

/**
 * Whether a header holds the HMAC (RFC 2104) of the parts under one of the secrets. Every secret is tried and compared
 * in constant time. The text must be exactly the digest's: decoders forgive other alphabets, missing padding and stray
 * bits, by which many texts would be one signature.
 */
export function checkHmac(header: string | null, secrets: readonly Buffer[], check: HmacCheck): SignatureOutcome {
  if (header === null || header === '') return 'missing';
  if (!header.startsWith(check.prefix)) return 'invalid';
  const text = header.slice(check.prefix.length);
  const given = Buffer.from(text, check.encoding);
  const isText =
    given.length === DIGEST_BYTES[check.algorithm] &&
    given.toString(check.encoding) === (check.encoding === 'hex' ? text.toLowerCase() : text);
  const comparable = isText ? given : Buffer.alloc(DIGEST_BYTES[check.algorithm]);
  let isValid = false;
  for (const secret of secrets) {
    const hmac = createHmac(check.algorithm, secret);
    for (const part of check.parts) hmac.update(part);
    if (timingSafeEqual(hmac.digest(), comparable)) isValid = true;
  }
  return isValid && isText ? 'valid' : 'invalid';
}

/** A signature that counts is no older than this, and no further ahead; null: whenever. */
export function checkAge(signedAtMs: number | null, nowMs: number, toleranceMs: number): SignatureOutcome {
  if (signedAtMs === null) return 'missing';
  return Math.abs(nowMs - signedAtMs) <= toleranceMs ? 'valid' : 'stale';
}

/** The header, if it came once. */
export function headerOf({ headers }: SignedRequest, name: string): string | null {
  const value = headers[name];
  return typeof value === 'string' ? value : null;
}

/** Equal texts, told in a time that depends on neither. */
export function isEqualSecret(given: unknown, secrets: readonly Buffer[]): boolean {
  const text = Buffer.from(typeof given === 'string' ? given : '');
  const key = Buffer.alloc(32);
  const digest = (value: Buffer): Buffer => createHmac('sha256', key).update(value).digest();
  let isEqual = false;
  for (const secret of secrets) if (timingSafeEqual(digest(secret), digest(text))) isEqual = true;
  return isEqual && text.length > 0;
}
