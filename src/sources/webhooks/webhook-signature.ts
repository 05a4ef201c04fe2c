import { createHmac, timingSafeEqual } from 'node:crypto';
import { dateMs, unixTimeMs } from './payload-reader.js';
import type { HmacOptions, SignatureOutcome, SignedRequest } from './webhook.model.js';

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

/** Whether a delivery is signed as the options say. */
export function verifySigned(
  { header, algorithm, encoding, prefix, timestampHeader, signedContent, toleranceS }: HmacOptions,
  request: SignedRequest,
  secrets: readonly Buffer[],
  nowMs: number,
): SignatureOutcome {
  const timestamp = timestampHeader === null ? '' : (headerOf(request, timestampHeader) ?? '');
  const parts = signedContent
    .split(/(\{timestamp\}|\{body\})/)
    .map((part) => (part === '{body}' ? request.raw : part === '{timestamp}' ? timestamp : part));
  const outcome = checkHmac(headerOf(request, header), secrets, { algorithm, encoding, prefix, parts });
  if (outcome !== 'valid' || timestampHeader === null) return outcome;
  return checkAge(unixTimeMs(timestamp) ?? dateMs(timestamp), nowMs, toleranceS * 1_000);
}

/** What a sender has to do, in words; one sentence for each part, without a secret. */
export function describeSigning(options: HmacOptions): readonly string[] {
  const { header, algorithm, encoding, prefix, timestampHeader, signedContent, toleranceS } = options;
  const hash = algorithm === 'sha256' ? 'SHA-256' : 'SHA-512';
  const signed =
    signedContent === '{body}'
      ? 'the bytes of the body as they are sent'
      : `${signedContent}, where {body} is the bytes of the body as they are sent`;
  const time = timestampHeader === null ? '' : ` and {timestamp} is the header ${timestampHeader} as it is sent`;
  return [
    `header ${header}: ${prefix}<${encoding} of HMAC-${hash}>`,
    `signed is ${signed}${time}`,
    ...(timestampHeader === null
      ? []
      : [
          `${timestampHeader} (Unix time or ISO 8601) is at most ${String(toleranceS)} s off the time at which it comes`,
        ]),
  ];
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
