import { createHmac, timingSafeEqual } from 'node:crypto';

/*
 * A page may only ask for who it shows. A visitor's cookie is its own proof, as long as nobody can guess it. Anything
 * else, such as a user id or an address, the site's server has to vouch for:
 *
 *   signature = <expiry, Unix seconds> "." base64url(HMAC-SHA-256(signing secret, message))        RFC 2104, RFC 4648 §5
 *   message   = "weft-edge-v1" LF namespace LF value LF expiry
 *
 * The key of the HMAC is the text of the signing secret, `weft_s_…`, so that no language has to decode it. Namespace and
 * value are signed as they are sent. A namespace has no line break in it, so that no two pairs give one message.
 */

export interface IdentifierClaim {
  readonly namespace: string;
  readonly value: string;
  /** Null: none was sent. */
  readonly signature: string | null;
}

/** UUIDs, and at least 21 characters of the alphabet of nanoid and base64url: 122 random bits or more. */
const UNGUESSABLE = /^(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[A-Za-z0-9_-]{21,})$/i;
const SIGNATURE = /^(\d{1,11})\.([A-Za-z0-9_-]{43})$/;
const DIGEST_LENGTH = 43;

/** @param expiresAtS Unix seconds */
export function signIdentifier(
  signingSecret: string,
  { namespace, value }: Pick<IdentifierClaim, 'namespace' | 'value'>,
  expiresAtS: number,
): string {
  const expiry = String(expiresAtS);
  return `${expiry}.${digestOf(signingSecret, namespace, value, expiry).toString('base64url')}`;
}

/** Whether the one who shows an identifier of this form must be the one that it stands for. */
export function isUnguessable(namespace: string, value: string): boolean {
  return namespace === 'anonymous_id' && UNGUESSABLE.test(value);
}

/** The work is the same for a signature that is wrong, one that has expired and one that is right. */
export function isSignedBy(signingSecret: string, claim: IdentifierClaim, nowMs: number): boolean {
  const [, expiry = '0', digest = ''] = SIGNATURE.exec(claim.signature ?? '') ?? [];
  const expected = digestOf(signingSecret, claim.namespace, claim.value, expiry);
  // As texts: the last character of a digest has more spellings than one.
  const given = Buffer.alloc(DIGEST_LENGTH);
  given.write(digest, 'latin1');
  const isRight = timingSafeEqual(Buffer.from(expected.toString('base64url'), 'latin1'), given);
  return isRight && digest !== '' && Number(expiry) * 1_000 > nowMs;
}

function digestOf(signingSecret: string, namespace: string, value: string, expiry: string): Buffer {
  return createHmac('sha256', signingSecret).update(`weft-edge-v1\n${namespace}\n${value}\n${expiry}`).digest();
}
